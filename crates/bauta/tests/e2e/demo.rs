//! `bauta demo`: what the README's first command shows.

use std::fs;

use serde_json::Value;

use crate::process::{bauta, run};

#[track_caller]
fn check_good(good: &Value, bytes: usize) {
    assert_eq!(good["bytes"], bytes, "{good}");
    assert_eq!(good["receipt_verified"], true, "{good}");
    assert_eq!(good["price"], "4.99 EUR", "{good}");
    for name in ["blake3", "txid", "lock_tag"] {
        assert_eq!(good[name].as_str().map(str::len), Some(64), "{good}");
    }
    assert!(
        good["name"].is_string() && good["seconds"].is_number(),
        "{good}"
    );
}

#[test]
fn the_demonstration_sells_a_sample_by_itself() {
    let shown = run(bauta().args(["demo", "--json"])).good();
    assert_eq!(shown["ok"], true);
    let goods = shown["goods"].as_array().expect("a list");
    assert_eq!(goods.len(), 1);
    check_good(&goods[0], 20_000_000);
}

#[test]
fn the_demonstration_sells_in_mode_safe_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("letter.txt");
    fs::write(&file, b"dear reader").expect("written");
    let mut demo = bauta();
    let shown = run(demo.args(["demo", "--json", "--mode", "safe"]).arg(&file)).good();
    assert_eq!(shown["ok"], true);
    check_good(&shown["goods"][0], 11);
}

#[test]
fn the_demonstration_sells_files_and_folders_and_keeps_what_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("letter.txt");
    fs::write(&file, b"dear reader").expect("written");
    let album = folder.path().join("album");
    fs::create_dir(&album).expect("a folder");
    fs::write(album.join("one"), vec![1; 100_000]).expect("written");
    let data = folder.path().join("data");
    let mut demo = bauta();
    demo.args(["demo", "--json", "--data"])
        .arg(&data)
        .args([&file, &album]);
    let shown = run(&mut demo).good();
    assert_eq!(shown["ok"], true, "{shown}");
    let goods = shown["goods"].as_array().expect("a list");
    assert_eq!(goods.len(), 2);
    check_good(&goods[0], 11);
    let delivered = goods[0]["path"].as_str().expect("kept");
    assert_eq!(fs::read(delivered).expect("delivered"), b"dear reader");
    let tar = goods[1]["path"].as_str().expect("kept");
    assert!(tar.ends_with(".tar"), "{tar}");
    assert!(fs::read(tar).expect("delivered").len() > 100_000);
    assert_eq!(fs::read(&file).expect("still there"), b"dear reader");

    let again = run(&mut demo);
    again.fails(1, "is not empty");
}

#[test]
fn the_demonstration_of_a_file_that_is_not_there_says_so() {
    let shown = run(bauta().args(["demo", "--json", "no-such-file"]));
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert!(
        shown.json()["error"]
            .as_str()
            .is_some_and(|error| error.contains("no-such-file"))
    );
}
