//! Clocks that are wrong by hours: seen before money moves, or the money comes back.
//!
//! The program reads the system's clock; these tests run the same roles and the same wallet, each in a process of its
//! own, with a clock that is off.

use std::{env, path::PathBuf, process::Command, sync::Arc, time::Duration};

use bauta_io::{HttpOptions, HttpTransport, SystemClock, SystemRng};
use bauta_proto::time::{Clock, Seconds, Timestamp};
use bauta_server::{config::Config, serve, work::World};
use bauta_wallet::{
    BuyOptions, Environment, Protection, Wallet, WalletError, observer::Unobserved,
};

use crate::{
    process::run,
    purse::{Purse, is_delivered},
    town::{ARCHIVE, BANK, LOCK_FOR, MERCHANT, Town},
};

/// Two hours, in seconds.
const HOURS: i64 = 7_200;

/// The system's clock and a constant.
struct WrongClock(i64);

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add_signed(self.0))
    }
}

fn transport() -> Arc<HttpTransport> {
    Arc::new(HttpTransport::new(HttpOptions::default()).expect("a client"))
}

fn market() -> (Town, Purse) {
    let town = Town::open();
    town.sell(&town.file("song", b"la la"), "4.99EUR", "song");
    let purse = town.rich_customer("customer", "20EUR");
    (town, purse)
}

/// Starts a role again, as the same code in a process whose clock is off.
pub(crate) fn restart_with_clock(town: &Town, role: usize, seconds: i64) {
    town.roles[role].kill();
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args([
            "--ignored",
            "--exact",
            "clocks::child_that_serves_with_a_wrong_clock",
        ])
        .env("BAUTA_E2E_CONFIG", &town.roles[role].config)
        .env("BAUTA_E2E_CLOCK", seconds.to_string());
    town.roles[role].start_as(&mut command);
    town.roles[role].wait();
}

#[test]
#[ignore = "started by the tests of this file"]
fn child_that_serves_with_a_wrong_clock() {
    let Ok(config) = env::var("BAUTA_E2E_CONFIG") else {
        return;
    };
    let seconds = env::var("BAUTA_E2E_CLOCK").expect("set");
    let config = Config::load(&PathBuf::from(config)).expect("a configuration");
    let world = World {
        clock: Arc::new(WrongClock(seconds.parse().expect("a number"))),
        transport: transport(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(serve::run(&config, &world))
        .expect("serves");
}

/// Buys with a wallet whose clock is off.
fn buy_with_clock(town: &Town, purse: &Purse, seconds: i64) -> Result<String, WalletError> {
    let environment = Environment {
        transport: transport(),
        clock: Arc::new(WrongClock(seconds)),
        rng: Box::new(SystemRng::new()),
        observer: Box::new(Unobserved),
    };
    let wait = Duration::from_secs(5);
    let wallet = Wallet::open(&purse.folder, &Protection::Unprotected, wait, environment);
    let mut wallet = wallet.expect("opens");
    let options = BuyOptions {
        lock_span: Some(Seconds(LOCK_FOR.parse().expect("a number"))),
        ..BuyOptions::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bought = runtime.block_on(wallet.buy(&town.url(MERCHANT), "song", &options));
    bought.map(|report| format!("{:?}", report.state))
}

#[test]
fn a_wallet_whose_clock_is_wrong_by_hours_is_told_and_locks_nothing() {
    let (town, purse) = market();
    let before = town.books();
    for (seconds, words) in [(HOURS, "ahead of the log's"), (-HOURS, "behind the log's")] {
        let error = buy_with_clock(&town, &purse, seconds).expect_err("the clock is wrong");
        let text = error.to_string();
        assert!(
            text.contains("clock") && text.contains(words) || text.contains("offer"),
            "{text}"
        );
        assert_eq!(town.books(), before);
    }
    // With the right time everything goes on.
    purse.resume();
    town.settle(&[&purse]);
}

#[test]
fn a_bank_whose_clock_is_wrong_by_hours_costs_nobody_anything() {
    for seconds in [HOURS, -HOURS] {
        let (town, purse) = market();
        restart_with_clock(&town, BANK, seconds);
        let bought = run(&mut town.buy(&purse, "song", &[]));
        assert!(bought.code != Some(1), "{bought:?}");
        town.roles[BANK].restart();
        purse.resume();
        town.settle(&[&purse]);
    }
}

#[test]
fn an_archive_whose_clock_is_ahead_by_hours_is_seen_before_money_is_locked() {
    let (town, purse) = market();
    let before = town.books();
    restart_with_clock(&town, ARCHIVE, HOURS);
    run(&mut town.buy(&purse, "song", &[])).fails(1, "clock");
    town.roles[ARCHIVE].restart();
    // What the log has dated ahead it never dates back: the wallet goes on refusing, and does not wait for hours.
    let resumed = purse.run(&["resume", "--wait"]);
    assert_eq!(resumed.code, Some(4), "{resumed:?}");
    assert_eq!(town.books(), before);
    town.settle(&[&purse]);
}

#[test]
fn an_archive_whose_clock_falls_behind_by_hours_costs_nobody_anything() {
    let (town, purse) = market();
    restart_with_clock(&town, ARCHIVE, -HOURS);
    // Its checkpoints stay at the last time that it showed, which is still near.
    let bought = run(&mut town.buy(&purse, "song", &[]));
    assert!(matches!(bought.code, Some(0 | 1 | 4)), "{bought:?}");
    town.roles[ARCHIVE].restart();
    purse.resume();
    town.settle(&[&purse]);
}

#[test]
fn a_shop_whose_clock_is_wrong_by_hours_is_paid_for_what_it_delivers_only() {
    std::thread::scope(|scope| {
        for seconds in [HOURS, -HOURS] {
            scope.spawn(move || {
                let (town, purse) = market();
                restart_with_clock(&town, MERCHANT, seconds);
                let bought = run(&mut town.buy(&purse, "song", &[]));
                assert!(matches!(bought.code, Some(0 | 3 | 4 | 5)), "{bought:?}");
                purse.resume();
                let purchases = purse.purchases();
                let ended = |one: &serde_json::Value| {
                    is_delivered(one) || one["state"] == "returned" || one["state"] == "refused"
                };
                assert!(purchases.iter().all(ended), "{purchases:#?}");
                town.roles[MERCHANT].restart();
                town.settle(&[&purse]);
            });
        }
    });
}
