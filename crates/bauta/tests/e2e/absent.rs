//! Others that are away: the purchase waits, ends by another way, or the money comes back.

use std::{
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    bad_input::{market, money},
    process::run,
    proxy::{Trap, When},
    purse::is_delivered,
    town::{ARCHIVE, BANK, MERCHANT, Town},
};

#[test]
fn without_the_bank_nothing_is_bought_and_nothing_is_lost() {
    let (town, purse) = market(Town::open());
    let before = money(&town, &purse);
    town.roles[BANK].kill();
    purse
        .run(&["withdraw", "1EUR"])
        .fails(4, "no connection to the other side");
    let bought = run(&mut town.buy(&purse, "song", &[]));
    bought.fails(4, "no connection to the other side");
    assert_eq!(purse.run(&["resume"]).code, Some(4));
    town.roles[BANK].start();
    town.roles[BANK].wait();
    purse.resume();
    let bought = purse.purchases();
    assert!(bought.iter().all(is_delivered), "{bought:#?}");
    assert_eq!(
        money(&town, &purse).2,
        before.2 - 100,
        "the withdrawal was made once"
    );
    town.settle(&[&purse]);
}

#[test]
fn without_the_shop_before_the_lock_nothing_is_paid() {
    let (town, purse) = market(Town::open());
    let before = money(&town, &purse);
    town.roles[MERCHANT].kill();
    run(&mut town.buy(&purse, "song", &[])).fails(4, "no connection to the other side");
    assert_eq!(money(&town, &purse), before);
}

#[test]
fn a_shop_that_goes_away_with_the_lock_leaves_the_money_with_its_owner() {
    let (town, purse) = market(Town::proxied());
    let before = money(&town, &purse);
    let role = Arc::clone(&town.roles[MERCHANT]);
    town.proxies[MERCHANT].set(Trap {
        path: "/v1/accept",
        number: 1,
        when: When::Before,
        action: Box::new(move || role.kill()),
    });
    let bought = run(&mut town.buy(&purse, "song", &[]));
    assert!(matches!(bought.code, Some(3 | 4)), "{bought:?}");
    purse.resume();
    assert_eq!(purse.purchases()[0]["state"], "returned");
    assert_eq!(money(&town, &purse), before);
    town.settle(&[&purse]);
}

#[test]
fn with_the_log_away_the_bank_takes_the_preimage_and_the_goods_come() {
    let (town, purse) = market(Town::proxied());
    let role = Arc::clone(&town.roles[ARCHIVE]);
    town.proxies[ARCHIVE].set(Trap {
        path: "/v1/leaf",
        number: 1,
        when: When::Before,
        action: Box::new(move || role.kill()),
    });
    let accounts = town.books().accounts;
    let mut buying = town.buy(&purse, "song", &[]).spawn().expect("starts");
    let begun = Instant::now();
    while town.books().accounts < accounts + 499 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", town.said());
        thread::sleep(Duration::from_millis(50));
    }
    // It has the goods and would wait for the receipt.
    buying.kill().expect("it waits");
    buying.wait().expect("a child of ours");
    purse.run(&["resume"]);
    assert_eq!(
        purse.purchases()[0]["state"],
        "delivered",
        "{}",
        town.said()
    );
    let saved = town.path().join("saved");
    purse
        .run(&["save", "last", saved.to_str().expect("plain names")])
        .good();
    assert_eq!(fs::read(saved).expect("saved"), [5; 50_000]);
    town.roles[ARCHIVE].start();
    town.roles[ARCHIVE].wait();
    purse.resume();
    town.settle(&[&purse]);
    assert!(is_delivered(&purse.purchases()[0]));
}

#[test]
fn with_the_log_away_from_the_beginning_nothing_is_locked() {
    let (town, purse) = market(Town::open());
    let before = money(&town, &purse);
    town.roles[ARCHIVE].kill();
    let bought = run(&mut town.buy(&purse, "song", &[]));
    bought.fails(4, "the log");
    assert_eq!(money(&town, &purse), before);
    town.roles[ARCHIVE].start();
    town.roles[ARCHIVE].wait();
    purse.resume();
    assert!(is_delivered(&purse.purchases()[0]));
    town.settle(&[&purse]);
}

#[test]
fn a_wallet_lost_while_its_money_is_locked_comes_back_from_its_words_with_all_of_it() {
    let town = Town::proxied();
    town.sell(&town.file("song", b"la la"), "4.99EUR", "song");
    let purse = town.customer("customer", "20EUR");
    purse.run(&["withdraw", "20EUR"]).good();
    let role = Arc::clone(&town.roles[MERCHANT]);
    town.proxies[MERCHANT].set(Trap {
        path: "/v1/accept",
        number: 1,
        when: When::Before,
        action: Box::new(move || role.kill()),
    });
    let mut buying = town.buy(&purse, "song", &[]).spawn().expect("starts");
    let begun = Instant::now();
    while town.books().locked == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "nothing is locked"
        );
        thread::sleep(Duration::from_millis(50));
    }
    buying.kill().expect("it waits for the shop");
    buying.wait().expect("a child of ours");
    fs::remove_dir_all(&purse.folder).expect("lost");

    purse.restore(&town.url(BANK)).good();
    let balance = purse.run(&["balance"]).good();
    let sure = balance[0]["available"]["minor_units"]
        .as_u64()
        .expect("a number");
    let unsure = balance[0]["unsure"]["minor_units"]
        .as_u64()
        .expect("a number");
    assert_eq!(sure + unsure, 2_000, "{balance}");
    while town.books().locked > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(100),
            "the lock is not released"
        );
        thread::sleep(Duration::from_millis(500));
    }
    purse.resume();
    assert_eq!(purse.settled(), 2_000);
    town.settle(&[&purse]);
}
