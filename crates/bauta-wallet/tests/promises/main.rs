//! What the wallet promises its owner, against an honest bank, log and shop in memory and a way between that fails.

mod crashes;
mod money;
mod safe;
mod world;

use std::{path::Path, sync::Arc, time::Duration};

use bauta_proto::{
    ids::BankId,
    money::{Amount, Money},
    offer::Mode,
};
use bauta_wallet::{
    BuyOptions, Environment, Protection, PurchaseReport, Result, Wallet,
    observer::{Observer, Unobserved},
};

use crate::world::{BANK, SHOP, World, euro};

pub(crate) fn money(units: u64) -> Money {
    Amount::new(units).expect("small").of(euro())
}

pub(crate) fn environment(world: &Arc<World>, observer: Box<dyn Observer>) -> Environment<World> {
    Environment {
        transport: world.clone(),
        clock: world.clone(),
        rng: Box::new(rand_core::UnwrapErr(getrandom::SysRng)),
        observer,
    }
}

pub(crate) fn new_wallet(world: &Arc<World>, folder: &Path) -> Wallet<World> {
    let environment = environment(world, Box::new(Unobserved));
    Wallet::init(folder, &Protection::Unprotected, environment).expect("a new folder")
}

pub(crate) fn reopen(
    world: &Arc<World>,
    folder: &Path,
    observer: Box<dyn Observer>,
) -> Wallet<World> {
    let environment = environment(world, observer);
    Wallet::open(
        folder,
        &Protection::Unprotected,
        Duration::ZERO,
        environment,
    )
    .expect("opens")
}

/// A wallet with 20 EUR in coins.
pub(crate) async fn funded(world: &Arc<World>, folder: &Path) -> Wallet<World> {
    let mut wallet = new_wallet(world, folder);
    let bank = add_bank(&mut wallet).await;
    wallet
        .withdraw(bank, money(2_000))
        .await
        .expect("withdrawn");
    wallet
}

pub(crate) async fn add_bank(wallet: &mut Wallet<World>) -> BankId {
    let report = wallet.add_bank(BANK, None).await.expect("a bank");
    report.bank.parse().expect("an id")
}

pub(crate) fn patient(seconds: u64) -> BuyOptions {
    BuyOptions {
        patience: Duration::from_secs(seconds),
        ..BuyOptions::default()
    }
}

pub(crate) async fn buy(wallet: &mut Wallet<World>) -> Result<PurchaseReport> {
    wallet.buy(SHOP, "song", &patient(1)).await
}

/// Buys in mode SAFE.
pub(crate) async fn buy_safely(wallet: &mut Wallet<World>) -> Result<PurchaseReport> {
    buy_safely_for(wallet, 1).await
}

/// The same with as much patience, in seconds.
pub(crate) async fn buy_safely_for(
    wallet: &mut Wallet<World>,
    seconds: u64,
) -> Result<PurchaseReport> {
    let options = BuyOptions {
        mode: Some(Mode::Safe),
        ..patient(seconds)
    };
    wallet.buy(SHOP, "song", &options).await
}

pub(crate) fn available(wallet: &Wallet<World>) -> u64 {
    let balances = wallet.balance().expect("readable");
    balances
        .iter()
        .map(|balance| balance.available.minor_units)
        .sum()
}
