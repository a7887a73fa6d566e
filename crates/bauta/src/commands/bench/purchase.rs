//! Complete purchases: order, offer, lock, acceptance, commit, key; with bank, archive and merchant in one process.

use std::sync::Arc;

use bauta_crypto::{secret::Secret, sign::SigningKey};
use bauta_io::{SystemClock, SystemRng};
use bauta_proto::{
    codec::Message,
    coin::authorize,
    customer::{CheckedLock, OpenedOffer},
    ids::HashLock,
    lock::{LockReply, LockRequest, Payer},
    log::leaf::{Deed, Leaf},
    money::Money,
    offer::{Mode, OrderReply, OrderRequest},
    time::Clock,
    transport::{
        bank::LockValue,
        merchant::{AcceptOffer, Order},
    },
};
use rayon::prelude::*;

use super::{
    Plan,
    coins::{self, Coin},
    floor::Floor,
    load::{Connection, Measured, Prepared, drive},
    process::Process,
    row::{Row, Rows},
    setting::{Configured, Setting, Shop},
};
use crate::failure::{Failure, Outcome};
use crate::setup::TRADE;

/// More purchases than two cores complete in a second.
const PER_SECOND_MAX: usize = 3_000;
/// Customers at once.
const CONNECTIONS: usize = 128;
/// Signatures that a purchase needs: offer, spend, lock, acceptance, promise.
const SIGNED: f64 = 5.0;
/// Signatures that are checked: offer and lock by the customer, the spend by the bank, acceptance, lock and promise by the
/// merchant, the lock by the archive.
const VERIFIED: f64 = 7.0;

/// Measures purchases.
pub fn measure(plan: &Plan, rows: &mut Rows<'_>) -> Outcome {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure_all(plan, rows))
}

async fn measure_all(plan: &Plan, rows: &mut Rows<'_>) -> Outcome {
    let floor = Floor::measure()?;
    let folder = plan.folder("purchase")?;
    let good = folder.join("good.bin");
    std::fs::write(&good, vec![7; 100_000])?;
    let configured = Configured::write(&folder, &TRADE, false)?;
    let shop = Shop::open(&configured, &good)?;
    let roles = configured.serve_together().await?;
    let setting = Setting::learn(configured).await?;
    rows.say("purchase: preparing customers and their coins");
    let count = plan.requests(PER_SECOND_MAX);
    let (coins, _) = coins::withdraw(&setting, 0, count, &[]).await?;
    let purchases: Vec<Purchase> = coins
        .into_par_iter()
        .map(|coin| Purchase::new(&setting, &shop, coin))
        .collect();
    rows.say("purchase: measuring");
    let connections = plan.connections(CONNECTIONS);
    let customers = customers(&setting, &shop, connections).await?;
    let processes = [&roles, &Process::load()];
    let measured = buy(customers, purchases, shop.price, plan, &processes).await?;
    let floor_us = SIGNED * floor.sign + VERIFIED * floor.verify + floor.coin_check;
    let row = Row::new("purchase", &measured, floor_us, &["roles", "load"]);
    rows.add(row.wanted("1500/s"))
}

async fn customers(setting: &Setting, shop: &Shop, count: usize) -> Outcome<Vec<Customer>> {
    let mut customers = Vec::with_capacity(count);
    for _ in 0..count {
        customers.push(Customer {
            merchant: Connection::open(shop.address).await?,
            bank: Connection::open(setting.address).await?,
        });
    }
    Ok(customers)
}

async fn buy(
    customers: Vec<Customer>,
    purchases: Vec<Purchase>,
    price: Money,
    plan: &Plan,
    processes: &[&Process],
) -> Outcome<Measured> {
    let count = purchases.len();
    let purchases: Arc<[Purchase]> = purchases.into();
    let step = move |mut customer: Customer, index: usize| {
        let purchases = Arc::clone(&purchases);
        async move {
            customer.buy(&purchases[index], price).await?;
            Ok(customer)
        }
    };
    drive(customers, count, plan.limit, processes, step).await
}

/// What a customer has prepared: an order under a fresh pseudonym, and the coin that will pay.
struct Purchase {
    order: OrderRequest,
    prepared: Prepared,
    pseudonym: SigningKey,
    coin: Coin,
}

impl Purchase {
    fn new(setting: &Setting, shop: &Shop, coin: Coin) -> Self {
        let mut rng = SystemRng::new();
        let pseudonym = SigningKey::from_seed(&Secret::generate(&mut rng));
        let order = OrderRequest {
            merchant: shop.merchant,
            good: shop.good,
            version: 1,
            bank: setting.bank,
            log_policy: setting.policy,
            mode: Mode::Fast,
            pseudonym: pseudonym.verifying_key().into(),
            nonce: *Secret::generate(&mut rng).expose(),
        };
        Self {
            prepared: Prepared::new::<Order>(&order),
            order,
            pseudonym,
            coin,
        }
    }
}

/// A customer's connections.
struct Customer {
    merchant: Connection,
    bank: Connection,
}

impl Customer {
    /// Buys, with every check that a wallet makes on the way.
    async fn buy(&mut self, purchase: &Purchase, price: Money) -> Outcome {
        let reply = self.merchant.post(&purchase.prepared).await?;
        let reply = OrderReply::from_bytes(&reply).map_err(|e| Failure::from_error(&e))?;
        let now = SystemClock.now();
        let offer = OpenedOffer::check(reply, &purchase.order, price, now);
        let offer = offer.map_err(|error| Failure::from_error(&error))?;
        let inputs = vec![purchase.coin.input()];
        let payer = Payer::Coins(inputs.clone());
        let request =
            offer.lock_request(offer.lock_expiry(now), HashLock([0; 32]), payer, Vec::new());
        let authorized = authorize(request, &inputs, &[&purchase.coin.key]);
        let reply = self.bank.call::<LockValue>(&authorized).await?;
        let lock = checked(reply, &authorized.body)?;
        let accept = offer.accept(&lock, &purchase.pseudonym);
        let delivery = self.merchant.call::<AcceptOffer>(&accept).await?;
        let (tag, expiry) = (lock.lock().lock_tag(), lock.lock().public.expiry);
        let leaf_hash = Leaf::of_lock(Deed::Commit, tag, expiry, delivery.preimage).hash();
        let promised = delivery
            .promises
            .first()
            .map(|promise| promise.body.leaf_hash);
        if offer.open_key(&delivery.preimage).is_none() || promised != Some(leaf_hash) {
            return Err(Failure::local("the merchant delivered something else"));
        }
        Ok(())
    }
}

fn checked(reply: LockReply, request: &LockRequest) -> Outcome<CheckedLock> {
    CheckedLock::check(reply.lock, request).map_err(|error| Failure::from_error(&error))
}
