//! What is sold arrives, opens and is proved.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    http,
    process::{bauta, run},
    purse::{Purse, is_delivered},
    town::{MERCHANT, Plan, Town},
};

/// Buys and saves; the purchase's report and the bytes.
#[track_caller]
fn buy(town: &Town, purse: &Purse, good: &str, more: &[&str]) -> (serde_json::Value, Vec<u8>) {
    let folder = purse.folder.join("..").join("bought").join(good);
    fs::create_dir_all(&folder).expect("a folder");
    let output = folder.to_str().expect("plain names");
    let bought = run(&mut town.buy(purse, good, &[&["--output", output], more].concat())).good();
    assert_eq!(bought["ok"], true, "{bought}");
    let path = bought["path"].as_str().expect("saved");
    (
        bought["purchase"].clone(),
        fs::read(path).expect("it is there"),
    )
}

#[test]
fn a_file_is_sold_paid_delivered_opened_and_proved() {
    let town = Town::open();
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let path = town.file("film.mkv", &content);
    let good = town.sell(&path, "4.99EUR", "A film");
    let purse = town.rich_customer("customer", "20EUR");
    let (purchase, arrived) = buy(&town, &purse, &good, &[]);
    assert!(arrived == content, "other bytes arrived");
    assert_eq!(purchase["state"], "complete", "{purchase:#}");
    assert_eq!(purchase["receipt_verified"], true);
    assert_eq!(purchase["file_name"], "film.mkv");
    assert_eq!(purchase["bytes"], content.len());
    let receipt = purse.run(&["receipt", "last"]).good();
    let receipt = receipt["receipt"].as_str().expect("a text");
    assert!(receipt.starts_with("c2sp.org/tlog-proof@v1"), "{receipt}");
    town.settle(&[&purse]);
    assert_eq!(purse.settled(), 2_000 - 499);
}

#[test]
fn a_folder_arrives_as_a_tar_file_that_nobody_unpacks() {
    let town = Town::open();
    town.file("album/one.txt", b"first");
    let path = town.file("album/deep/two.txt", b"second");
    let album = path
        .parent()
        .and_then(|deep| deep.parent())
        .expect("two levels");
    let good = town.sell(album, "1EUR", "An album");
    let purse = town.rich_customer("customer", "5EUR");
    let (purchase, arrived) = buy(&town, &purse, &good, &[]);
    assert_eq!(purchase["file_name"], "album.tar");
    assert_eq!(&arrived[257..262], b"ustar");
    let holds = |text: &[u8]| arrived.windows(text.len()).any(|window| window == text);
    assert!(holds(b"first") && holds(b"second") && holds(b"deep/two.txt"));
    let beside = purse.folder.join("..").join("bought").join(&good);
    assert_eq!(
        fs::read_dir(beside).expect("a folder").count(),
        1,
        "unpacked"
    );
    town.settle(&[&purse]);
}

#[test]
fn an_empty_file_is_a_good_like_any_other() {
    let town = Town::open();
    let good = town.sell(&town.file("nothing", b""), "0.01EUR", "Nothing");
    let purse = town.rich_customer("customer", "1EUR");
    let (purchase, arrived) = buy(&town, &purse, &good, &[]);
    assert!(arrived.is_empty());
    assert_eq!(purchase["receipt_verified"], true);
    town.settle(&[&purse]);
}

#[test]
fn a_new_version_replaces_the_old_one_and_what_is_withdrawn_is_refused() {
    let town = Town::open();
    let path = town.file("book.txt", b"first edition");
    let good = town.sell(&path, "1EUR", "A book");
    let purse = town.rich_customer("customer", "5EUR");
    assert_eq!(buy(&town, &purse, &good, &[]).1, b"first edition");
    let path = town.file("book.txt", b"second edition");
    let path = path.to_str().expect("plain names");
    let updated = town
        .operate(
            MERCHANT,
            &[
                "update", &good, path, "--price", "1EUR", "--title", "A book",
            ],
        )
        .good();
    assert_eq!(updated["version"], 2, "{updated}");
    fs::remove_dir_all(purse.folder.join("..").join("bought")).expect("removed");
    assert_eq!(buy(&town, &purse, &good, &[]).1, b"second edition");
    let first = purse.purchases().pop().expect("two");
    let id = first["id"].as_str().expect("an id").to_owned();
    let again = town.path().join("again");
    let again = again.to_str().expect("plain names");
    purse.run(&["save", &id, again]).good();
    assert_eq!(fs::read(again).expect("saved"), b"first edition");

    let money = (town.books(), purse.settled());
    town.operate(MERCHANT, &["withdraw", &good]).good();
    let refused = run(&mut town.buy(&purse, &good, &[]));
    refused.fails(1, "the shop has no such good");
    assert_eq!((town.books(), purse.settled()), money);
    town.settle(&[&purse]);
}

#[test]
fn a_named_payer_pays_from_the_account() {
    let town = Town::open();
    let good = town.sell(&town.file("map.pdf", b"here"), "2.50EUR", "A map");
    let purse = town.customer("customer", "10EUR");
    let (purchase, arrived) = buy(&town, &purse, &good, &["--from-account"]);
    assert_eq!(arrived, b"here");
    assert_eq!(purchase["named"], true);
    assert!(is_delivered(&purchase));
    assert_eq!(town.balance_of(&purse.account), 750);
    town.settle(&[&purse]);
}

#[test]
fn two_customers_buy_at_once_and_a_wallet_comes_back_from_its_words() {
    let town = Town::open();
    let good = town.sell(&town.file("game.bin", &[7; 70_000]), "3EUR", "A game");
    let first = town.rich_customer("first", "10EUR");
    let mut second = town.rich_customer("second", "10EUR");
    thread::scope(|scope| {
        for purse in [&first, &second] {
            let (town, good) = (&town, &good);
            scope.spawn(move || run(&mut town.buy(purse, good, &[])).good());
        }
    });
    town.settle(&[&first, &second]);

    // The folder is lost with the purchases in it; the words bring the money back.
    let new = town.path().join("new-words");
    fs::create_dir_all(&new).expect("a folder");
    second.folder = town.path().join("third");
    let words_file = new.join("words");
    let words = words_file.to_str().expect("plain names");
    second
        .run(&["init", "--no-passphrase", "--words-to", words])
        .good();
    second.run(&["bank", "add", &town.url(0)]).good();
    let bank = second.run(&["bank", "list"]).good();
    second.account = bank[0]["account"].as_str().expect("an account").to_owned();
    second.credited = 0;
    town.credit(&mut second, "6EUR", "for the third");
    second.run(&["withdraw", "6EUR"]).good();
    run(&mut town.buy(&second, &good, &[])).good();
    let had = second.settled();
    fs::remove_dir_all(&second.folder).expect("lost");
    let arguments = [
        "restore",
        "--no-passphrase",
        "--words-from",
        words,
        "--bank",
        &town.url(0),
    ];
    second.run(&arguments).good();
    assert_eq!(second.settled(), had);
    assert_eq!(had, 300);
}

#[test]
fn what_has_no_place_to_go_is_not_bought() {
    let town = Town::open();
    let good = town.sell(&town.file("song", b"la"), "1EUR", "A song");
    let purse = town.rich_customer("customer", "5EUR");
    let before = town.books();
    let taken = town.file("taken", b"mine");
    let nowhere = town.path().join("no-folder/song");
    for output in [&taken, &nowhere] {
        let output = output.to_str().expect("plain names");
        let refused = run(&mut town.buy(&purse, &good, &["--output", output]));
        assert_eq!(refused.code, Some(1), "{refused:?}");
    }
    assert_eq!(fs::read(taken).expect("still there"), b"mine");
    assert!(purse.purchases().is_empty());
    assert_eq!(town.books(), before);
}

#[test]
fn one_process_plays_every_role_and_stops_in_order_when_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let apart = Town::write(folder, &Plan::default());
    let whole = apart.path().join("whole.toml");
    let parts = apart
        .roles
        .iter()
        .map(|role| fs::read_to_string(&role.config));
    let parts: Result<Vec<String>, _> = parts.collect();
    let mut together = toml::Table::new();
    for part in parts.expect("configurations") {
        together.extend(part.parse::<toml::Table>().expect("valid"));
    }
    fs::write(&whole, together.to_string()).expect("written");
    let mut serving = bauta();
    serving.arg("serve").arg("--config").arg(&whole);
    let mut serving = serving.stderr(Stdio::piped()).spawn().expect("starts");
    wait_for(&apart);
    let good = apart.sell(&apart.file("song", b"la la"), "1EUR", "A song");
    let purse = apart.rich_customer("customer", "5EUR");
    assert_eq!(buy(&apart, &purse, &good, &[]).1, b"la la");
    apart.settle(&[&purse]);
    let id = serving.id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status();
    assert!(told.expect("kill runs").success());
    assert_eq!(serving.wait().expect("a child of ours").code(), Some(0));
    let mut said = String::new();
    let mut stderr = serving.stderr.take().expect("piped");
    stderr.read_to_string(&mut said).expect("text");
    assert!(said.trim_end().ends_with("stopped"), "{said}");
}

/// Waits until each role answers, whoever plays it.
fn wait_for(town: &Town) {
    let is_ready = |port| http::get(port, "/readyz").is_some_and(|answer| answer.status == 200);
    let begun = Instant::now();
    while !town.roles.iter().all(|role| is_ready(role.port)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody answers");
        thread::sleep(Duration::from_millis(20));
    }
}
