//! Mode SAFE with real processes: bought, and cancelled before the seller commits.

use std::sync::Arc;

use crate::{
    bad_input::{market, money},
    process::run,
    proxy::{Trap, When},
    town::{MERCHANT, Town},
};

#[test]
fn what_is_bought_in_mode_safe_is_delivered_proved_and_paid() {
    let (town, purse) = market(Town::open());
    run(&mut town.buy(&purse, "song", &["--mode", "safe"])).good();
    let bought = purse.purchases()[0].clone();
    assert_eq!(
        (&bought["state"], &bought["mode"]),
        (&"complete".into(), &"safe".into())
    );
    assert_eq!(bought["receipt_verified"], true);
    purse
        .run(&["cancel", "last"])
        .fails(1, "money has been asked for already");
    town.settle(&[&purse]);
}

#[test]
fn a_lock_that_the_shop_never_prepared_is_back_as_soon_as_its_owner_cancels() {
    let (town, purse) = market(Town::proxied());
    let before = money(&town, &purse);
    let role = Arc::clone(&town.roles[MERCHANT]);
    town.proxies[MERCHANT].set(Trap {
        path: "/v1/accept",
        number: 1,
        when: When::Before,
        action: Box::new(move || role.kill()),
    });
    let shop = town.url(MERCHANT);
    let mut buying = purse.command(&[
        "buy",
        &shop,
        "song",
        "--yes",
        "--mode",
        "safe",
        "--lock-for",
        "3000",
    ]);
    let mut buying = buying.spawn().expect("starts");
    let begun = std::time::Instant::now();
    while town.roles[MERCHANT].is_running() {
        assert!(begun.elapsed().as_secs() < 60, "{}", town.said());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    buying.kill().expect("it waits for the shop");
    buying.wait().expect("a child of ours");
    let locked = purse.purchases()[0].clone();
    assert_eq!(locked["state"], "locked");
    assert_eq!(locked["cancellable_until"], locked["expires_at"]);
    // Long before the expiry.
    let ended = purse.run(&["cancel", "last"]).good();
    assert_eq!(ended["purchase"]["state"], "returned", "{}", town.said());
    assert_eq!(money(&town, &purse), before);
}
