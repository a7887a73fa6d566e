//! kill -9 of each role and of the wallet at every place of a purchase: goods or money, never neither.

use std::{
    env,
    path::PathBuf,
    process::Command,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use bauta_io::{HttpOptions, HttpTransport, SystemClock, SystemRng};
use bauta_proto::time::Seconds;
use bauta_wallet::{
    BuyOptions, Environment, Protection, Wallet,
    observer::{Event, Observer},
};

use crate::{
    process::{Output, run},
    proxy::{Trap, When},
    purse::{Purse, is_delivered},
    town::{ARCHIVE, BANK, LOCK_FOR, MERCHANT, Town},
};

const PRICE: &str = "4.99EUR";

/// A moment of a purchase: the `number`-th request to `role` whose path begins with `path`.
#[derive(Clone, Copy, Debug)]
struct Place {
    role: usize,
    path: &'static str,
    number: usize,
    when: When,
}

/// The three moments of a request.
fn around(role: usize, path: &'static str, number: usize) -> [Place; 3] {
    When::ALL.map(|when| Place {
        role,
        path,
        number,
        when,
    })
}

/// A shop with one small good and a customer who can buy it often.
fn market() -> (Arc<Town>, Purse) {
    let town = Arc::new(Town::proxied());
    town.sell(&song(&town, 0), PRICE, "song");
    let purse = town.customer("customer", "300EUR");
    purse.run(&["withdraw", "200EUR"]).good();
    (town, purse)
}

/// A file that no wallet has fetched yet.
fn song(town: &Town, number: usize) -> PathBuf {
    let content = format!("{number} la ").repeat(10_000);
    town.file("song.flac", content.as_bytes())
}

/// Buys while `victims` are killed at `place` and started again a moment later; the purchase must end and the money agree.
fn buy_while_killing(town: &Arc<Town>, purse: &Purse, victims: &[usize], place: Place) {
    let victims = victims
        .iter()
        .map(|victim| Arc::clone(&town.roles[*victim]));
    let roles: Vec<_> = victims.collect();
    let (runs_again, running_again) = mpsc::channel();
    let action = move || {
        roles.iter().for_each(|role| role.kill());
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            roles.iter().for_each(|role| role.start());
            // A test that has failed meanwhile does not ask.
            runs_again.send(()).unwrap_or_default();
        });
    };
    let before = purse.purchases().len();
    let title = format!("song {place:?}");
    town.sell(&song(town, before + 1), PRICE, &title);
    town.proxies[place.role].set(Trap {
        path: place.path,
        number: place.number,
        when: place.when,
        action: Box::new(action),
    });
    let bought = run(&mut town.buy(purse, &title, &[]));
    check_exit(&bought);
    finish(town, purse, before);
    let reached = running_again.recv_timeout(Duration::from_secs(10));
    assert!(reached.is_ok(), "{place:?} was never reached: {bought:?}");
    town.roles.iter().for_each(|role| role.wait());
}

/// A purchase that is interrupted says so, and how to go on.
fn check_exit(bought: &Output) {
    match bought.code {
        Some(0 | 3) => {}
        Some(4) => assert!(
            bought.stdout.contains("resume")
                || bought.stdout.contains("epeat")
                || bought.stdout.contains("gain"),
            "{bought:?}"
        ),
        _ => panic!("{bought:?}"),
    }
}

/// Goes on until the purchase has ended in goods or money, and compares all the money.
fn finish(town: &Town, purse: &Purse, before: usize) {
    for role in &town.roles {
        role.wait();
    }
    purse.resume();
    let purchases = purse.purchases();
    assert!(purchases.len() <= before + 1);
    for purchase in &purchases {
        let state = purchase["state"].as_str().expect("a state");
        let is_over = is_delivered(purchase) || matches!(state, "returned" | "refused");
        assert!(is_over, "neither goods nor money: {purchase:#}");
    }
    town.settle(&[purse]);
}

/// Kills `victim` at each place, in three towns side by side.
fn kill_at(victim: usize, places: &[Place]) {
    assert!(places.len() >= 20, "twenty places at least");
    let delivered: usize = thread::scope(|scope| {
        let parts = places.chunks(places.len().div_ceil(3));
        let towns: Vec<_> = parts
            .map(|part| scope.spawn(move || kill_in_one_town(victim, part)))
            .collect();
        let ended = towns.into_iter().map(|town| town.join());
        ended.map(|town| town.expect("no town fails")).sum()
    });
    assert!(
        delivered * 2 > places.len(),
        "most purchases survive: {delivered}"
    );
}

/// Returns how many purchases ended in goods.
fn kill_in_one_town(victim: usize, places: &[Place]) -> usize {
    let (town, purse) = market();
    for place in places {
        buy_while_killing(&town, &purse, &[victim], *place);
    }
    let purchases = purse.purchases();
    purchases.iter().filter(|one| is_delivered(one)).count()
}

#[test]
fn the_bank_killed_at_any_place_costs_nobody_money_or_goods() {
    let mut places = Vec::new();
    places.extend(around(ARCHIVE, "/checkpoint", 2));
    places.extend(around(BANK, "/v1/lock", 1));
    places.extend(around(BANK, "/v1/claim", 1));
    places.extend(around(MERCHANT, "/v1/catalogue", 1));
    places.extend(around(MERCHANT, "/v1/order", 1));
    places.extend(around(MERCHANT, "/v1/ciphertext/", 1));
    places.extend(around(MERCHANT, "/v1/accept", 1));
    places.extend(around(ARCHIVE, "/v1/leaf", 1));
    kill_at(BANK, &places);
}

#[test]
fn the_archive_killed_at_any_place_costs_nobody_money_or_goods() {
    let mut places = Vec::new();
    places.extend(around(ARCHIVE, "/v1/leaf", 1));
    places.extend(around(ARCHIVE, "/checkpoint", 1));
    places.extend(around(ARCHIVE, "/checkpoint", 4));
    places.extend(around(ARCHIVE, "/tile/", 1));
    places.extend(around(BANK, "/v1/lock", 1));
    places.extend(around(BANK, "/v1/claim", 1));
    places.extend(around(MERCHANT, "/v1/order", 1));
    places.extend(around(MERCHANT, "/v1/accept", 1));
    kill_at(ARCHIVE, &places);
}

#[test]
fn the_merchant_killed_at_any_place_costs_nobody_money_or_goods() {
    let mut places = Vec::new();
    places.extend(around(MERCHANT, "/v1/catalogue", 1));
    places.extend(around(MERCHANT, "/v1/catalogue", 2));
    places.extend(around(MERCHANT, "/v1/order", 1));
    places.extend(around(MERCHANT, "/v1/ciphertext/", 1));
    places.extend(around(MERCHANT, "/v1/accept", 1));
    places.extend(around(BANK, "/v1/lock", 1));
    places.extend(around(BANK, "/v1/claim", 1));
    places.extend(around(ARCHIVE, "/v1/leaf", 1));
    kill_at(MERCHANT, &places);
}

#[test]
fn every_role_killed_at_once_at_any_place_costs_nobody_money_or_goods() {
    let (town, purse) = market();
    let requests = [
        (MERCHANT, "/v1/order"),
        (BANK, "/v1/lock"),
        (MERCHANT, "/v1/accept"),
        (ARCHIVE, "/v1/leaf"),
        (BANK, "/v1/claim"),
    ];
    for (role, path) in requests {
        for place in around(role, path, 1) {
            buy_while_killing(&town, &purse, &[BANK, ARCHIVE, MERCHANT], place);
        }
    }
}

#[test]
fn the_wallet_killed_at_any_write_or_request_ends_in_goods_or_money() {
    const WORLDS: usize = 2;
    let ends = thread::scope(|scope| {
        let worlds: Vec<_> = (0..WORLDS)
            .map(|world| scope.spawn(move || kill_wallets(world + 1, WORLDS)))
            .collect();
        let ends: Vec<_> = worlds.into_iter().map(|world| world.join()).collect();
        ends
    });
    for end in ends {
        let end = end.expect("no world fails");
        assert!(end > 20, "a purchase has only {end} places");
    }
}

/// Stops a wallet at the `first` event, then at every `step`-th after it, until a purchase gets through. Returns the last.
fn kill_wallets(first: usize, step: usize) -> usize {
    let (town, mut purse) = market();
    for event in (first..).step_by(step) {
        let before = purse.purchases().len();
        let errand = run(&mut self_stopping(&town, &purse, event));
        match errand.code {
            // Ended by a signal.
            None => finish(&town, &purse, before),
            Some(0) => {
                finish(&town, &purse, before);
                return event;
            }
            Some(_) => panic!("the errand failed by itself: {errand:?}"),
        }
        let reference = format!("again {event}");
        town.credit(&mut purse, "1EUR", &reference);
    }
    unreachable!("the range has no end")
}

/// This test program again, as a wallet that aborts at its `event`-th event.
fn self_stopping(town: &Town, purse: &Purse, event: usize) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--ignored", "--exact", "crashes::child_that_stops_itself"])
        .env("BAUTA_E2E_WALLET", &purse.folder)
        .env("BAUTA_E2E_SHOP", town.url(MERCHANT))
        .env("BAUTA_E2E_STOP_AT", event.to_string());
    command
}

#[test]
#[ignore = "started by the_wallet_killed_at_any_write_or_request_ends_in_goods_or_money"]
fn child_that_stops_itself() {
    let Ok(shop) = env::var("BAUTA_E2E_SHOP") else {
        return;
    };
    let folder = PathBuf::from(env::var("BAUTA_E2E_WALLET").expect("set"));
    let stop_at = env::var("BAUTA_E2E_STOP_AT").expect("set");
    let stop_at: usize = stop_at.parse().expect("a number");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(errand(&folder, &shop, stop_at));
}

/// Withdraws a little and buys the song, unless the process ends on the way.
async fn errand(folder: &std::path::Path, shop: &str, stop_at: usize) {
    let environment = Environment {
        transport: Arc::new(HttpTransport::new(HttpOptions::default()).expect("a client")),
        clock: Arc::new(SystemClock),
        rng: Box::new(SystemRng::new()),
        observer: stop_at_event(stop_at),
    };
    let wait = Duration::from_secs(5);
    let wallet = Wallet::open(folder, &Protection::Unprotected, wait, environment);
    let mut wallet = wallet.expect("opens");
    let bank = wallet.find_bank(None).expect("one bank");
    let little = "1EUR".parse().expect("an amount");
    wallet.withdraw(bank, little).await.expect("withdrawn");
    let lock_for = LOCK_FOR.parse().expect("a number");
    let options = BuyOptions {
        lock_span: Some(Seconds(lock_for)),
        ..BuyOptions::default()
    };
    wallet.buy(shop, "song", &options).await.expect("bought");
}

/// Ends the process at the event with this number, as SIGKILL would: nothing is flushed, nothing is dropped.
fn stop_at_event(number: usize) -> Box<dyn Observer> {
    let mut seen = 0;
    Box::new(move |event: Event| {
        if !matches!(event, Event::Waiting { .. } | Event::Downloading { .. }) {
            seen += 1;
            if seen == number {
                std::process::abort();
            }
        }
    })
}

#[test]
fn the_wallet_killed_from_outside_at_any_time_ends_in_goods_or_money() {
    let (town, purse) = market();
    for milliseconds in [3, 10, 20, 35, 50, 75, 100, 150, 200, 300] {
        let before = purse.purchases().len();
        let mut buying = town.buy(&purse, "song", &[]);
        let mut child = buying
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        thread::sleep(Duration::from_millis(milliseconds));
        let _ended_before = child.kill();
        child.wait().expect("a child of ours");
        finish(&town, &purse, before);
    }
}
