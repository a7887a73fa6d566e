//! The audit after a round: every unit of money and every good is where it must be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::{customer::Customer, figures::Figures, round::World};
use crate::{
    purse::{is_delivered, units},
    town::{self, Town},
    weather,
};

/// Longest wait for shops' claims; their pauses double with each attempt that failed.
const CLAIM_LIMIT: Duration = Duration::from_secs(90);

/// What must stand in the shops' and the bank's books.
pub(super) struct Books {
    /// The account of each shop at the bank.
    accounts: Vec<(usize, String)>,
    /// Every purchase that was delivered: its txid, and the price in minor units.
    delivered: BTreeMap<String, u64>,
}

impl Books {
    pub(super) fn open(town: &Town, shops: [usize; 2]) -> Self {
        let account = |shop| {
            let id = town.operate(shop, &["id"]).good();
            let account = id["accounts"][0]["account"].as_str().expect("an account");
            (shop, account.to_owned())
        };
        Self {
            accounts: shops.into_iter().map(account).collect(),
            delivered: BTreeMap::new(),
        }
    }
}

impl World {
    /// Looks at everything; a panic says what is not as it must be.
    pub(super) fn audit(&mut self, figures: &mut Figures) {
        let claimed = self.wait_for_claims();
        for customer in &mut self.customers {
            let ended = look_at_purchases(customer, &self.town, figures);
            self.books.delivered.extend(ended);
            take_lost(customer, &claimed, &mut self.books.delivered);
            if customer.has_lost {
                thread::sleep(2 * weather::DELAY_MAX);
                customer.restore_again(&self.town);
                figures.restored += 1;
            }
            figures.wallets_killed += std::mem::take(&mut customer.killed);
        }
        let delivered: BTreeSet<&String> = self.books.delivered.keys().collect();
        let paid: BTreeSet<&String> = claimed.iter().flat_map(|(_, txids)| txids).collect();
        let differing: Vec<_> = paid.symmetric_difference(&delivered).collect();
        assert!(
            differing.is_empty(),
            "paid or delivered, but not both: {differing:?}"
        );
        self.compare_money(&claimed);
        self.look_at_stores();
        self.verify_logs();
    }

    /// Waits until no lock and no sale is open; what each shop was paid for, by txid.
    fn wait_for_claims(&self) -> Vec<(usize, BTreeSet<String>)> {
        let begun = Instant::now();
        loop {
            let shops = self.books.accounts.iter();
            let orders: Vec<(usize, Vec<Value>)> = shops
                .map(|(shop, _)| (*shop, orders(&self.town, *shop)))
                .collect();
            let open = orders.iter().flat_map(|(_, orders)| orders);
            let open: Vec<&Value> = open.filter(|order| is_open(order)).collect();
            if open.is_empty() && self.town.books().locked == 0 {
                return orders.into_iter().map(claimed).collect();
            }
            assert!(
                begun.elapsed() < CLAIM_LIMIT,
                "locks or sales stay open: {:?}, {open:#?}",
                self.town.books()
            );
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// What was put in is where it belongs: in accounts, in coins, or paid for goods.
    fn compare_money(&self, claimed: &[(usize, BTreeSet<String>)]) {
        let mut expected = town::Books::default();
        for customer in &self.customers {
            let purse = &customer.purse;
            let (account, coins) = (self.town.balance_of(&purse.account), purse.settled());
            let paid = purse.paid() + customer.lost_paid;
            assert_eq!(
                purse.credited,
                account + coins + paid,
                "{}: {account} in the account, {coins} in coins, {paid} paid",
                customer.name
            );
            expected.reserve += purse.credited;
            expected.accounts += account;
            expected.circulation += coins;
        }
        for ((_, account), (_, txids)) in self.books.accounts.iter().zip(claimed) {
            let earned: u64 = txids.iter().map(|txid| self.books.delivered[txid]).sum();
            let holds = self.town.balance_of(account);
            assert_eq!(holds, earned, "a shop is paid once for each good");
            expected.accounts += earned;
        }
        assert_eq!(self.town.books(), expected);
    }

    /// Every entry, tile and signature of every log is in order, and enough witnesses say so.
    fn verify_logs(&self) {
        for archive in self.places.archives() {
            self.town.verify_log(&self.town.url(archive)).good();
        }
    }

    /// No database is damaged, and no role has stumbled over its own feet.
    fn look_at_stores(&self) {
        let mut count = 0;
        for entry in walk(self.town.path()) {
            if entry.extension().is_some_and(|extension| extension == "db") {
                assert_eq!(integrity(&entry), "ok", "{}", entry.display());
                count += 1;
            }
        }
        let stores = self.town.roles.len() + self.customers.len();
        assert!(count >= stores, "{count} of {stores} databases");
        let said = self.town.said();
        let complaint = said.lines().find(|line| line.contains("panicked"));
        assert_eq!(complaint, None);
    }
}

/// The purchases that ended in this round; what was delivered is compared with what was sold.
fn look_at_purchases(
    customer: &mut Customer,
    town: &Town,
    figures: &mut Figures,
) -> BTreeMap<String, u64> {
    let mut delivered = BTreeMap::new();
    for purchase in customer.purse.purchases() {
        let id = purchase["id"].as_str().expect("an id").to_owned();
        if customer.seen.contains(&id) {
            continue;
        }
        match purchase["state"].as_str().expect("a state") {
            "complete" => {
                compare_goods(customer, town, &purchase, &id);
                let txid = purchase["txid"].as_str().expect("a txid").to_owned();
                delivered.insert(txid, units(&purchase["price"]));
                figures.delivered += 1;
                figures.delivered_safe += u64::from(purchase["mode"] == "safe");
            }
            "returned" => figures.returned += 1,
            "refused" => figures.refused += 1,
            _ => panic!("{}: in doubt: {purchase:#}", customer.name),
        }
        count_cancel(customer, &purchase, figures);
        customer.seen.insert(id);
    }
    delivered
}

/// A cancel that the logs decided in time has brought the money back.
fn count_cancel(customer: &Customer, purchase: &Value, figures: &mut Figures) {
    match purchase["cancel"].as_str() {
        None => {}
        Some("wanted") => {
            let is_back = purchase["state"] == "returned";
            assert!(is_back, "{}: not cancelled: {purchase:#}", customer.name);
            figures.cancelled += 1;
        }
        Some("too-late") => figures.cancelled_too_late += 1,
        Some(_) => panic!("{}: cancelled how? {purchase:#}", customer.name),
    }
}

fn compare_goods(customer: &Customer, town: &Town, purchase: &Value, id: &str) {
    assert!(is_delivered(purchase));
    let path = town.path().join("saved");
    let to = path.to_str().expect("plain names");
    customer.purse.run(&["save", id, to, "--force"]).good();
    let title = purchase["title"].as_str().expect("a title");
    let sold = fs::read(town.path().join("sources").join(title)).expect("it is there");
    let arrived = fs::read(&path).expect("it is there");
    assert!(
        arrived == sold,
        "{}: other bytes: {purchase:#}",
        customer.name
    );
}

/// What a lost wallet had bought is paid for; what was open may be, as its owner had the goods' key in reach.
fn take_lost(
    customer: &mut Customer,
    claimed: &[(usize, BTreeSet<String>)],
    delivered: &mut BTreeMap<String, u64>,
) {
    for lost in customer.lost.drain(..) {
        let is_paid = claimed.iter().any(|(_, txids)| txids.contains(&lost.txid));
        if is_paid || lost.is_delivered {
            customer.lost_paid += lost.price;
            delivered.insert(lost.txid, lost.price);
        }
    }
}

fn orders(town: &Town, shop: usize) -> Vec<Value> {
    let orders = town.operate(shop, &["orders"]).good();
    orders.as_array().expect("a list").clone()
}

/// Whether a lock that pays for the order is on record and no end is.
fn is_open(order: &Value) -> bool {
    !matches!(
        order["state"].as_str(),
        Some("offered" | "claimed" | "failed")
    )
}

fn claimed((shop, orders): (usize, Vec<Value>)) -> (usize, BTreeSet<String>) {
    let claimed = orders.iter().filter(|order| order["state"] == "claimed");
    let txids = claimed.map(|order| order["txid"].as_str().expect("a txid").to_owned());
    (shop, txids.collect())
}

/// What SQLite says about all of a file; other processes may be writing it.
fn integrity(path: &Path) -> String {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let database = Connection::open_with_flags(path, flags).expect("opens");
    let said = database.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    said.expect("an answer")
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
