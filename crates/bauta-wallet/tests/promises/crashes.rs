//! Stopped or cut off anywhere: goods or money, never neither.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bauta_wallet::{
    CancelOutcome, PurchaseState, Wallet,
    observer::{Event, Observer, Unobserved},
};

use crate::{
    add_bank, available, buy, buy_safely, buy_safely_for, environment, money, new_wallet, reopen,
    world::{Fault, Merchant, PRICE, World},
};

/// Longest wait for the outcome of a cancel.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends everything at the event with this number, as a power failure would.
fn stop_at(number: usize, seen: Arc<Mutex<usize>>) -> Box<dyn Observer> {
    Box::new(move |event: Event| {
        if matches!(event, Event::Waiting { .. } | Event::Downloading { .. }) {
            return;
        }
        let mut seen = seen.lock().unwrap_or_else(|error| error.into_inner());
        *seen += 1;
        if *seen == number {
            std::panic::panic_any("the power fails here");
        }
    })
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

/// What an owner wants done.
#[derive(Clone, Copy, Debug)]
enum Errand {
    /// Withdraw and buy.
    Goods,
    /// Withdraw, buy where nothing is delivered, take the money back and exchange the coins.
    Refund,
    /// Withdraw and buy in mode SAFE.
    Safe,
    /// Withdraw, buy in mode SAFE where nothing is prepared, and cancel.
    Cancel,
    /// Withdraw, buy in mode SAFE, and cancel when the merchant has prepared.
    CancelTooLate,
}

impl Errand {
    /// As far as it goes: an error ends it, as it would end a command.
    async fn run(self, world: &World, wallet: &mut Wallet<World>) -> bauta_wallet::Result<()> {
        let bank = wallet.find_bank(None)?;
        wallet.withdraw(bank, money(1_000)).await?;
        match self {
            Self::Goods => {
                buy(wallet).await?;
            }
            Self::Safe => {
                buy_safely(wallet).await?;
            }
            Self::Refund => {
                world.state().merchant_does = Merchant::Refuses;
                buy(wallet).await?;
                world.pass(500);
                wallet.resume().await?;
                wallet.refresh().await?;
            }
            Self::Cancel => {
                world.state().merchant_does = Merchant::Refuses;
                let bought = buy_safely_for(wallet, 0).await?;
                wallet.cancel(bought.id)?;
                let ended = wallet.finish_purchase(bought.id, PATIENCE).await?;
                assert_eq!(ended.state, PurchaseState::Returned);
            }
            Self::CancelTooLate => {
                world.state().merchant_does = Merchant::PreparesAndVanishes;
                let bought = buy_safely_for(wallet, 0).await?;
                wallet.cancel(bought.id)?;
                world.state().merchant_does = Merchant::Honest;
                let ended = wallet.finish_purchase(bought.id, PATIENCE).await?;
                assert_eq!(ended.cancel, Some(CancelOutcome::TooLate));
                assert_eq!(ended.state, PurchaseState::Complete);
            }
        }
        Ok(())
    }
}

/// What must hold at the end: all that was withdrawn is either in the wallet or was paid for goods that are there.
async fn check_the_end(world: &Arc<World>, folder: &Path) {
    let mut wallet = reopen(world, folder, Box::new(Unobserved));
    for _ in 0..3 {
        wallet.resume().await.expect("resumed");
        world.pass(500);
    }
    let resumed = wallet.resume().await.expect("resumed");
    assert_eq!(
        resumed.again_at, None,
        "something is left: {:?}",
        resumed.troubles
    );
    let purchases = wallet.list().expect("listed");
    let complete = purchases
        .iter()
        .filter(|report| report.state == PurchaseState::Complete);
    let paid = complete.count() as u64 * PRICE;
    let state = world.state();
    assert_eq!(
        paid, state.sold,
        "paid for what is here, and for nothing else"
    );
    assert_eq!(
        available(&wallet) + paid,
        state.withdrawn,
        "no money is lost"
    );
    let balances = wallet.balance().expect("read");
    assert!(
        balances
            .iter()
            .all(|balance| balance.locked.is_empty() && balance.pending.is_empty())
    );
}

#[test]
fn stopped_at_any_moment_the_wallet_ends_in_goods_or_money() {
    stop_everywhere(Errand::Goods);
}

#[test]
fn stopped_at_any_moment_of_a_refund_the_money_is_back() {
    stop_everywhere(Errand::Refund);
}

fn stop_everywhere(errand: Errand) {
    std::panic::set_hook(Box::new(|_| {}));
    for number in 1.. {
        let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
        run(async {
            let mut wallet = new_wallet(&world, folder.path());
            add_bank(&mut wallet).await;
        });
        let seen = Arc::new(Mutex::new(0));
        let mut wallet = reopen(&world, folder.path(), stop_at(number, seen.clone()));
        let outcome = catch_unwind(AssertUnwindSafe(|| run(errand.run(&world, &mut wallet))));
        drop(wallet);
        let checked = catch_unwind(AssertUnwindSafe(|| {
            run(check_the_end(&world, folder.path()))
        }));
        if let Err(error) = checked {
            let _ = std::panic::take_hook();
            eprintln!("stopped at event {number}");
            std::panic::resume_unwind(error);
        }
        if outcome.is_ok() {
            assert!(number > 20, "the errand has more than {number} events");
            break;
        }
    }
    let _ = std::panic::take_hook();
}

#[test]
fn stopped_at_any_moment_of_a_safe_purchase_the_wallet_ends_in_goods_or_money() {
    stop_everywhere(Errand::Safe);
}

#[test]
fn stopped_at_any_moment_of_a_cancel_the_money_is_back() {
    stop_everywhere(Errand::Cancel);
}

#[test]
fn stopped_at_any_moment_of_a_cancel_that_is_too_late_nothing_is_in_doubt() {
    stop_everywhere(Errand::CancelTooLate);
}

#[test]
fn every_request_of_a_safe_purchase_may_be_lost_or_unanswered() {
    cut_everywhere(Errand::Safe);
}

#[test]
fn every_request_of_a_cancel_may_be_lost_or_unanswered() {
    cut_everywhere(Errand::Cancel);
}

#[test]
fn every_request_may_be_lost_or_unanswered() {
    cut_everywhere(Errand::Goods);
}

#[test]
fn every_request_of_a_refund_may_be_lost_or_unanswered() {
    cut_everywhere(Errand::Refund);
}

fn cut_everywhere(errand: Errand) {
    for fault in [Fault::Lost, Fault::Unanswered] {
        for number in 1.. {
            let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
            let requests = run(async {
                let mut wallet = new_wallet(&world, folder.path());
                add_bank(&mut wallet).await;
                let before = world.state().requests;
                world.state().fault = Some((before + number, fault));
                let _ = errand.run(&world, &mut wallet).await;
                let mut state = world.state();
                state.fault = None;
                state.requests - before
            });
            run(check_the_end(&world, folder.path()));
            if requests < number {
                assert!(number > 8, "the errand has more than {number} requests");
                break;
            }
        }
    }
}

#[test]
fn a_second_process_is_told_that_another_is_at_work() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let _wallet = new_wallet(&world, folder.path());
    let second = Wallet::open(
        folder.path(),
        &bauta_wallet::Protection::Unprotected,
        std::time::Duration::ZERO,
        environment(&world, Box::new(Unobserved)),
    );
    let error = second.err().expect("refused").to_string();
    assert_eq!(error, "another wallet command is running on this wallet");
}
