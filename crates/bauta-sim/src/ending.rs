//! What everybody ended with, read from their own records, and whether it all fits together.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use bauta_proto::ids::LockTag;
use bauta_server::roles::bank::{bank_id, operator};
use bauta_store::{
    bank::Audit,
    merchant::{MerchantReader, Order, OrderState},
};
use bauta_wallet::purchase::{PurchaseReport, PurchaseState};

use crate::{
    customer::{Customer, SimWallet},
    node::{Kind, Node, NodeId},
    roles,
    watch::Violation,
    world::Core,
};

/// What a run came to.
#[derive(Debug, Default)]
pub struct Ending {
    /// The seed from which it came.
    pub seed: u64,
    /// What every customer ended with.
    pub purses: BTreeMap<NodeId, Purse>,
    /// What every merchant ended with.
    pub shops: BTreeMap<NodeId, ShopBooks>,
    /// What every bank's books say.
    pub banks: BTreeMap<NodeId, Audit>,
    /// Which operations every node's disk has done since the world began, by number: those before are how it was furnished.
    pub operations: BTreeMap<NodeId, Range<u64>>,
    /// How often nodes went down.
    pub crashes: u64,
    /// The promises that were broken; none in a sound world.
    pub violations: Vec<Violation>,
    /// A hash over everything that happened: the same in every run of the seed.
    pub hash: u64,
    /// How much happened.
    pub events: u64,
    /// How long it took in virtual time.
    pub lasted: Duration,
    /// What happened, a line each, if the plan asked for it.
    pub story: Vec<String>,
}

/// What a customer ended with, in minor units.
#[derive(Debug, Default)]
pub struct Purse {
    /// Paid into the account at the beginning.
    pub deposited: u64,
    /// On the account.
    pub account: u64,
    /// In coins that can be spent.
    pub coins: u64,
    /// In anything that is still open.
    pub open: u64,
    /// Every purchase that the last device knows.
    pub purchases: Vec<PurchaseReport>,
    /// Every purchase of devices that were lost, as it stood then.
    pub lost: Vec<PurchaseReport>,
    /// The worth of those of them that were delivered in the end.
    pub spent_on_lost: u64,
}

/// What a merchant ended with.
#[derive(Debug, Default)]
pub struct ShopBooks {
    /// On its accounts at all banks, in minor units.
    pub income: u64,
    /// Every order on record.
    pub orders: Vec<Order>,
}

impl Purse {
    /// The worth of what was bought and can be opened.
    #[must_use]
    pub fn spent(&self) -> u64 {
        let is_bought = |report: &&PurchaseReport| {
            matches!(
                report.state,
                PurchaseState::Delivered | PurchaseState::Complete
            )
        };
        let bought = self.purchases.iter().filter(is_bought);
        let bought: u64 = bought.map(|report| report.price.minor_units).sum();
        bought + self.spent_on_lost
    }

    /// Everything that the customer has: money and goods.
    #[must_use]
    pub fn worth(&self) -> u64 {
        self.account + self.coins + self.open + self.spent()
    }
}

/// Reads everybody's records.
pub(crate) fn read(core: &Arc<Core>, customers: &[Arc<Customer>]) -> Ending {
    let mut ending = Ending {
        seed: core.plan.seed,
        crashes: core.all_nodes().map(|node| node.disk.life()).sum(),
        ..Ending::default()
    };
    let mut accounts = BTreeMap::new();
    for node in core.nodes_of(Kind::Bank) {
        let bank = bank_id(&node.keys);
        let config = roles::bank_config(core, node.id);
        let read = operator::accounts(&config, |row| {
            accounts.insert((bank, row.account), row.balance.amount.minor_units());
        });
        if let Err(error) = read {
            found(
                core,
                "V1",
                format!("the books of {} do not open: {error}", node.id),
            );
        }
        if let Some(audit) = audit(core, node) {
            ending.banks.insert(node.id, audit);
        }
    }
    for node in core.nodes_of(Kind::Merchant) {
        let orders = orders(core, node);
        let own = |bank| bauta_server::roles::merchant::payee_account(&node.keys, bank);
        let banks = core.nodes_of(Kind::Bank);
        let income = banks.iter().filter_map(|at| {
            let bank = bank_id(&at.keys);
            accounts.get(&(bank, own(bank)))
        });
        let income = income.sum();
        ending.shops.insert(node.id, ShopBooks { income, orders });
    }
    let sales = sales(&ending);
    for customer in customers {
        let mut purse = Purse {
            deposited: customer.deposited(),
            ..Purse::default()
        };
        for device in customer.devices() {
            match customer.open(&device) {
                Ok(wallet) => {
                    let bank = bank_id(&core.node(customer.bank()).keys);
                    let account = accounts.get(&(bank, wallet.account(bank)));
                    purse.account = account.copied().unwrap_or(0);
                    read_wallet(&wallet, &mut purse, &sales);
                }
                Err(error) => core.tell(format_args!("{device:?} does not open: {error}")),
            }
        }
        ending.purses.insert(customer.id(), purse);
    }
    ending
}

/// The last device has the money; every device has its purchases.
fn read_wallet(wallet: &SimWallet, purse: &mut Purse, sales: &BTreeMap<LockTag, OrderState>) {
    let lost = std::mem::take(&mut purse.purchases);
    let is_sold = |report: &&PurchaseReport| sale_of(report, sales) == Some(OrderState::Claimed);
    let sold = lost.iter().filter(is_sold);
    purse.spent_on_lost += sold.map(|report| report.price.minor_units).sum::<u64>();
    purse.lost.extend(lost);
    purse.purchases = wallet.list().unwrap_or_default();
    let balances = wallet.balance().unwrap_or_default();
    purse.coins = balances.iter().map(|one| one.available.minor_units).sum();
    let open = balances.iter().map(|one| {
        let pending: u64 = one.pending.iter().map(|part| part.amount.minor_units).sum();
        let locked: u64 = one.locked.iter().map(|part| part.amount.minor_units).sum();
        pending + locked + one.unsure.minor_units
    });
    purse.open = open.sum();
}

/// What became of every lock that was handed to a merchant.
fn sales(ending: &Ending) -> BTreeMap<LockTag, OrderState> {
    let orders = ending.shops.values().flat_map(|shop| &shop.orders);
    let sale = |order: &Order| {
        let accept = order.accept.as_ref()?;
        Some((accept.lock.lock_tag(), order.state))
    };
    orders.filter_map(sale).collect()
}

fn sale_of(report: &PurchaseReport, sales: &BTreeMap<LockTag, OrderState>) -> Option<OrderState> {
    let tag: LockTag = report.lock_tag.as_ref()?.parse().ok()?;
    sales.get(&tag).copied()
}

fn orders(core: &Core, node: &Node) -> Vec<Order> {
    let path = roles::merchant_config(core, node.id).store_path();
    let reader = MerchantReader::open(&path);
    let orders = reader.and_then(|reader| reader.orders(&[], 1_000));
    orders.unwrap_or_default()
}

/// Whether every sale of every honest merchant has ended.
pub(crate) fn merchants_are_settled(core: &Core) -> bool {
    let is_over = |order: &Order| {
        matches!(
            order.state,
            OrderState::Offered | OrderState::Claimed | OrderState::Failed
        )
    };
    core.nodes_of(Kind::Merchant)
        .into_iter()
        .all(|node| !core.watch().is_honest(node.id) || orders(core, node).iter().all(is_over))
}

/// Whether no honest bank holds anything in locks.
pub(crate) fn banks_are_settled(core: &Core) -> bool {
    core.nodes_of(Kind::Bank).into_iter().all(|node| {
        let audit = operator::audit(&roles::bank_config(core, node.id));
        !core.watch().is_honest(node.id)
            || audit.is_ok_and(|audit| audit.currencies.iter().all(|one| one.locked.is_zero()))
    })
}

/// The full audit of a bank: whether rows and totals agree.
pub(crate) fn audit(core: &Core, node: &Node) -> Option<Audit> {
    let config = roles::bank_config(core, node.id);
    if !node.disk.has(&config.store_path()) {
        return None;
    }
    match operator::audit(&config) {
        Ok(audit) => {
            for defect in &audit.defects {
                found(core, "V1", format!("{}: {defect}", node.id));
            }
            Some(audit)
        }
        // A store that has not its tables yet has nothing to audit.
        Err(_) => None,
    }
}

/// Whether what everybody has fits together.
pub(crate) fn check(core: &Core, ending: &mut Ending) {
    for (id, purse) in &ending.purses {
        check_purse(core, *id, purse);
    }
    for (id, audit) in &ending.banks {
        if core.watch().is_honest(*id) {
            check_bank(core, *id, audit, ending);
        }
    }
    for (id, shop) in &ending.shops {
        if core.watch().is_honest(*id) {
            check_shop(core, *id, shop);
        }
    }
    check_sales(core, ending);
}

fn check_purse(core: &Core, id: NodeId, purse: &Purse) {
    if !core.watch().is_honest(id) {
        return;
    }
    if purse.worth() != purse.deposited {
        found(
            core,
            "V1",
            format!(
                "{id} paid in {} and has {} on its account, {} in coins, {} open, {} in goods",
                purse.deposited,
                purse.account,
                purse.coins,
                purse.open,
                purse.spent()
            ),
        );
    }
}

fn check_bank(core: &Core, id: NodeId, audit: &Audit, ending: &Ending) {
    let customers = ending
        .purses
        .iter()
        .filter(|(customer, _)| NodeId::bank(customer.number % core.plan.banks) == id);
    let coins: u64 = customers.map(|(_, purse)| purse.coins).sum();
    for totals in &audit.currencies {
        let circulation = totals.circulation.minor_units();
        let locked = totals.locked.minor_units();
        if locked != 0 {
            found(core, "V5", format!("{id} still holds {locked} in locks"));
        }
        if circulation != coins {
            found(
                core,
                "V1",
                format!("{id} has {circulation} in circulation, and purses hold {coins}"),
            );
        }
    }
}

fn check_shop(core: &Core, id: NodeId, shop: &ShopBooks) {
    let claimed = shop
        .orders
        .iter()
        .filter(|order| order.state == OrderState::Claimed);
    let due: u64 = claimed
        .map(|order| order.offer.body.price.amount.minor_units())
        .sum();
    if due != shop.income {
        found(
            core,
            "V2",
            format!("{id} has sold for {due} and was paid {}", shop.income),
        );
    }
}

/// Goods for whoever paid, and pay for whoever delivered.
fn check_sales(core: &Core, ending: &Ending) {
    let sales = sales(ending);
    for (id, purse) in &ending.purses {
        for purchase in &purse.purchases {
            let state = sale_of(purchase, &sales);
            let promise = match (purchase.state, state) {
                (PurchaseState::Delivered | PurchaseState::Complete, Some(OrderState::Claimed))
                | (
                    PurchaseState::Returned,
                    None | Some(OrderState::Failed | OrderState::Offered),
                )
                | (PurchaseState::Refused, _) => continue,
                (PurchaseState::Delivered | PurchaseState::Complete, _) => "V2",
                (PurchaseState::Returned, _) => "V4",
                _ => "V5",
            };
            found(
                core,
                promise,
                format!(
                    "a purchase of {id} ended as {:?}, and its order as {state:?}",
                    purchase.state
                ),
            );
        }
    }
}

fn found(core: &Core, promise: &'static str, what: String) {
    core.watch().find(promise, what);
}
