//! Disks that are full: nothing is promised that is not written, and nothing is lost.
//!
//! The full disk is a small file system in memory, mounted in a mount namespace of its own, where nobody else sees it.

use std::{env, fs, io::Write, path::Path, process::Command};

use crate::{
    process::run,
    town::{BANK, MERCHANT, Plan, ROLES, Town},
};

/// Runs a test of this file again where it may mount; false, with the reason printed, where the system does not let it.
fn in_a_namespace(test: &str) -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount"]);
    let mut probe = Command::new("unshare");
    probe.args([
        "--user",
        "--map-root-user",
        "--mount",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
        "/mnt",
    ]);
    if !probe.output().is_ok_and(|probe| probe.status.success()) {
        println!("skipped: this system does not let a test mount a file system of its own");
        return false;
    }
    let mut inside = unshare;
    inside
        .arg(env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "--nocapture", test])
        .env("BAUTA_E2E_MAY_MOUNT", "1");
    let ended = run(&mut inside);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("1 passed"), "{}", ended.stdout);
    true
}

/// Mounts a file system of this many bytes.
fn mount(folder: &Path, bytes: u64) {
    fs::create_dir_all(folder).expect("a folder");
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
        .arg(folder);
    assert!(mount.status().expect("mount runs").success());
}

/// Fills the file system of a folder to the last byte.
fn fill(folder: &Path) {
    let mut file = fs::File::create(folder.join("filler")).expect("a file");
    for size in [65_536, 4_096, 512, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

fn make_room(folder: &Path) {
    fs::remove_file(folder.join("filler")).expect("it is there");
}

#[test]
fn a_role_whose_disk_is_full_says_so_and_goes_on_when_there_is_room() {
    in_a_namespace("disk::child_with_full_disks");
}

#[test]
#[ignore = "started by a_role_whose_disk_is_full_says_so_and_goes_on_when_there_is_room"]
fn child_with_full_disks() {
    if env::var_os("BAUTA_E2E_MAY_MOUNT").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for role in ROLES {
        mount(&folder.path().join(role), 6_000_000);
    }
    mount(&folder.path().join("customer"), 3_000_000);
    let town = Town::write(folder, &Plan::default());
    town.roles.iter().for_each(|role| role.start());
    town.roles.iter().for_each(|role| role.wait());
    town.sell(&town.file("song", &[3; 20_000]), "4.99EUR", "song");
    town.sell(&town.file("film", &vec![3; 4_000_000]), "1EUR", "film");
    let purse = town.customer("customer", "50EUR");
    purse.run(&["withdraw", "30EUR"]).good();

    let disk = town.path().join("bank");
    fill(&disk);
    let before = town.books();
    purse
        .run(&["withdraw", "5EUR"])
        .fails(4, "cannot write to its storage");
    let bought = run(&mut town.buy(&purse, "song", &[]));
    bought.fails(4, "cannot write to its storage");
    assert_eq!(town.books(), before);
    make_room(&disk);
    purse.resume();
    town.settle(&[&purse]);
    assert_eq!(town.balance_of(&purse.account), 1_500);

    for role in [1, MERCHANT] {
        let disk = town.path().join(ROLES[role]);
        fill(&disk);
        let bought = run(&mut town.buy(&purse, "song", &[]));
        assert!(
            matches!(bought.code, Some(0 | 3 | 4)),
            "{}: {bought:?}",
            ROLES[role]
        );
        make_room(&disk);
        purse.resume();
        town.settle(&[&purse]);
    }

    let disk = town.path().join("customer");
    let before = (town.books(), purse.settled());
    run(&mut town.buy(&purse, "film", &[])).fails(4, "no space is left");
    fill(&disk);
    purse
        .run(&["withdraw", "1EUR"])
        .fails(4, "no space is left");
    assert_eq!(town.books(), before.0);
    make_room(&disk);
    assert_eq!(purse.settled(), before.1);
    assert_eq!(town.roles[BANK].said().matches("panicked").count(), 0);
    assert!(!town.said().contains("panicked"), "{}", town.said());
}
