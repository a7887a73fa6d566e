//! Several archives in one policy, and archives with shards: trade goes on while enough of them live.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bad_input::{market, money},
    process::run,
    proxy::{Trap, When},
    purse::Purse,
    town::{ARCHIVE, BANK, MERCHANT, Plan, Town},
};

/// Witnesses of a town with several archives.
const WITNESSES: usize = 4;
/// The second and third archive among the roles.
const OTHERS: [usize; 2] = [MERCHANT + WITNESSES + 1, MERCHANT + WITNESSES + 2];

/// Three archives and four witnesses.
fn three(logs_needed: usize) -> Plan {
    Plan {
        witnesses: WITNESSES,
        further_archives: 2,
        logs_needed,
        ..Plan::default()
    }
}

/// Buys the town's only good; it must come with a receipt that holds.
#[track_caller]
fn buy(town: &Town, purse: &Purse, mode: &str) {
    let bought = run(&mut town.buy(purse, "song", &["--mode", mode]));
    assert_eq!(bought.code, Some(0), "{bought:?}\n{}", town.said());
    assert_complete(&purse.purchases()[0], mode);
    let receipt = purse.run(&["receipt", "last"]).good();
    let receipt = receipt["receipt"].as_str().expect("a text");
    assert!(receipt.starts_with("c2sp.org/tlog-proof@v1"), "{receipt}");
}

#[track_caller]
fn assert_complete(purchase: &Value, mode: &str) {
    assert_eq!(purchase["state"], "complete", "{purchase:#}");
    assert_eq!(purchase["receipt_verified"], true, "{purchase:#}");
    assert_eq!(purchase["mode"], mode, "{purchase:#}");
}

/// Starts to buy at a shop that is killed before it sees the lock.
#[track_caller]
fn lock_at_a_shop_that_dies(town: &Arc<Town>, purse: &Purse, mode: &str) {
    let role = Arc::clone(&town.roles[MERCHANT]);
    town.proxies[MERCHANT].set(Trap {
        path: "/v1/accept",
        number: 1,
        when: When::Before,
        action: Box::new(move || role.kill()),
    });
    let mut buying = town.buy(purse, "song", &["--mode", mode]);
    let mut buying = buying.spawn().expect("starts");
    let begun = Instant::now();
    while town.roles[MERCHANT].is_running() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", town.said());
        thread::sleep(Duration::from_millis(50));
    }
    buying.kill().expect("it waits for the shop");
    buying.wait().expect("a child of ours");
    assert_eq!(purse.purchases()[0]["state"], "locked");
}

/// Trade, an archive that dies before, during and after a purchase, and a lock that comes back without it.
fn an_archive_may_die(logs_needed: usize) -> (Arc<Town>, Purse) {
    let plan = Plan {
        proxied: true,
        ..three(logs_needed)
    };
    let (town, purse) = market(Town::build(plan));
    purse.run(&["withdraw", "10EUR"]).good();
    buy(&town, &purse, "fast");
    for place in [ARCHIVE, OTHERS[0], OTHERS[1]] {
        has_commits(&town, place, 1);
    }

    // In the middle of a purchase, and after the one before it: the archive that everybody names first.
    let role = Arc::clone(&town.roles[ARCHIVE]);
    town.proxies[ARCHIVE].set(Trap {
        path: "/v1/leaf",
        number: 1,
        when: When::Before,
        action: Box::new(move || role.kill()),
    });
    buy(&town, &purse, "safe");
    assert!(!town.roles[ARCHIVE].is_running(), "it was asked");
    // From now on it is gone before the purchase begins.
    buy(&town, &purse, "fast");
    buy(&town, &purse, "safe");
    let first = purse.purchases().pop().expect("four");
    let id = first["id"].as_str().expect("an id");
    purse.run(&["receipt", id]).good();
    for place in OTHERS {
        has_commits(&town, place, 4);
    }
    let files = town.path().join("archive/public");
    let verified = town.verify_log(files.to_str().expect("plain names")).good();
    assert_eq!(verified["logs"][0]["commits"], 1, "{verified}");
    town.settle(&[&purse]);

    (town, purse)
}

/// Waits until a log shows so many commits: whoever is not needed for a sale may be slower.
#[track_caller]
fn has_commits(town: &Town, place: usize, commits: u64) {
    let begun = Instant::now();
    loop {
        let verified = town.verify_log(&town.url(place)).good();
        if verified["logs"][0]["commits"] == commits {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{verified}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn one_of_three_archives_may_die_for_good_where_one_is_enough() {
    an_archive_may_die(1);
}

#[test]
fn one_of_three_archives_may_die_for_good_where_two_are_needed() {
    let (town, purse) = an_archive_may_die(2);
    // A bank that starts now has never reached it, and a lock that nobody commits comes back all the same.
    town.roles[BANK].restart();
    let before = money(&town, &purse);
    lock_at_a_shop_that_dies(&town, &purse, "safe");
    // Before the shop is back: it would take the lock.
    purse.resume();
    let ended = purse.purchases()[0].clone();
    assert_eq!(ended["state"], "returned", "{ended:#}\n{}", town.said());
    assert_eq!(money(&town, &purse), before);
    town.roles[MERCHANT].start();
    town.roles[MERCHANT].wait();
    buy(&town, &purse, "safe");
    town.settle(&[&purse]);
}

/// Locks of today stand in one shard, the bank's keys, which live longer, in later ones; nobody is told where.
fn bought_through_shards(plan: Plan, archives: &[usize]) {
    let (town, purse) = market(Town::build(plan));
    buy(&town, &purse, "fast");
    buy(&town, &purse, "safe");
    let shown: Vec<_> = archives
        .iter()
        .map(|archive| sold_in_one_shard(&town, *archive))
        .collect();
    assert!(shown.contains(&true), "the bank's keys stand in some log");
    town.settle(&[&purse]);
}

/// Waits until both sales stand in one shard of the archive; whether the bank's keys stand in later ones.
#[track_caller]
fn sold_in_one_shard(town: &Town, archive: usize) -> bool {
    let begun = Instant::now();
    loop {
        let verified = town.verify_log(&town.url(archive)).good();
        let shards = verified["logs"].as_array().expect("a list").iter();
        let counts =
            shards.map(|shard| ["commits", "prepares", "records"].map(|name| shard[name].as_u64()));
        let counts: Vec<_> = counts.filter(|counts| *counts != [Some(0); 3]).collect();
        if let [[Some(2), Some(1), Some(0)], of_keysets @ ..] = &counts[..] {
            let no_sale = |counts: &[Option<u64>; 3]| counts[0] == Some(0) && counts[1] == Some(0);
            assert!(of_keysets.iter().all(no_sale), "{verified}");
            return !of_keysets.is_empty();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{verified}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_is_bought_through_a_shard_is_delivered_and_proved_and_keysets_stand_in_a_later_one() {
    let plan = Plan {
        shard_days: 30,
        ..Plan::default()
    };
    bought_through_shards(plan, &[ARCHIVE]);
}

#[test]
fn what_is_bought_through_shards_of_three_archives_is_delivered_and_proved() {
    let plan = Plan {
        shard_days: 7,
        ..three(2)
    };
    bought_through_shards(plan, &[ARCHIVE, OTHERS[0], OTHERS[1]]);
}
