//! An honest bank, archive, shop and customers, made of the very handlers that the product runs, with a clock that is set
//! by hand. A script puts a liar in some role's place: it has that role's real keys.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bauta_crypto::sign::SigningKey;
use bauta_io::SystemRng;
use bauta_proto::{
    ids::{AccountId, BankId, LockTag, Txid},
    lock::{LockState, LockStatusRequest},
    log::policy::Policy,
    money::{Amount, Currency, Money},
    offer::Mode,
    problem::Problem,
    time::{Clock, Seconds, Timestamp},
    transport::{CallError, Endpoint, Request, bank, call},
};
use bauta_server::{
    config::{HttpConfig, PolicySource},
    keys::RoleSeed,
    roles::{
        archive::{Archive, ArchiveConfig},
        bank::{Bank, BankConfig, bank_id, operator},
        merchant::{
            Merchant, MerchantConfig, PayeeAccount, PayingBank,
            goods::{AddedGood, GoodInput, Shop},
            payee_key,
        },
    },
    work::World,
};
use bauta_store::merchant::{MerchantReader, Order, OrderState};
use bauta_wallet::{
    BuyOptions, Environment, Protection, PurchaseReport, PurchaseState, SaveOptions, Wallet,
    WalletError, observer::Unobserved,
};

use crate::net::{Answer, BANK, Caller, LOG, Net, SHOP, Ways};

/// When every town begins.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000);
/// What every good costs, in cents.
pub(crate) const PRICE: u64 = 500;
/// What every customer starts with, in cents.
pub(crate) const PURSE: u64 = 2_000;
/// The name of the log.
pub(crate) const ORIGIN: &str = "log.example/bauta";

/// A clock that is set by hand.
pub(crate) struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// The roles and what is between them.
pub(crate) struct Town {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<HandClock>,
    /// The archive's own clock, which can be wrong.
    pub(crate) archive_clock: Arc<HandClock>,
    pub(crate) ways: Arc<Ways>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) bank: Arc<Bank<Net>>,
    pub(crate) merchant: Arc<Merchant<Net>>,
    pub(crate) bank_config: BankConfig,
    pub(crate) merchant_config: MerchantConfig,
}

/// A customer's wallet, and the goods that it may want.
pub(crate) struct Customer {
    pub(crate) wallet: Wallet<Net>,
    _folder: tempfile::TempDir,
}

impl Town {
    /// A town whose bank issues coins.
    pub(crate) async fn new() -> Self {
        Self::with(|_, _| ()).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut BankConfig, &mut MerchantConfig)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        let clock = Arc::new(HandClock(AtomicU64::new(START.0)));
        let archive_clock = Arc::new(HandClock(AtomicU64::new(START.0)));
        let ways = Arc::new(Ways::default());
        let bank_seed = seed(path, "bank", 1);
        let world = World {
            clock: archive_clock.clone() as Arc<dyn Clock>,
            transport: Arc::new(Net {
                ways: ways.clone(),
                caller: Caller::Archive,
            }),
        };
        let archive = open_archive(path, "archive", bank_id(&bank_seed), &world);
        archive.publish_once().await.expect("published");
        ways.place(LOG, archive.router());
        let policy = PolicySource(archive.policy().text().to_owned());
        let mut bank_config = bank_config(path, policy.clone());
        let mut merchant_config = merchant_config(path, policy, bank_id(&bank_seed));
        change(&mut bank_config, &mut merchant_config);
        let world = |caller| World {
            clock: clock.clone() as Arc<dyn Clock>,
            transport: Arc::new(Net {
                ways: ways.clone(),
                caller,
            }),
        };
        let bank = Bank::open(&bank_config, bank_seed, world(Caller::Bank)).expect("opens");
        ways.place(BANK, bank.router());
        let merchant_seed = seed(path, "merchant", 2);
        let merchant = Merchant::open(&merchant_config, merchant_seed, world(Caller::Merchant));
        let merchant = merchant.expect("opens");
        ways.place(SHOP, merchant.router());
        let town = Self {
            folder,
            clock,
            archive_clock,
            ways,
            archive,
            bank,
            merchant,
            bank_config,
            merchant_config,
        };
        town.round().await;
        town.pass(1).await;
        town
    }

    /// One party's ways to the others.
    pub(crate) fn net(&self, caller: Caller) -> Net {
        Net {
            ways: self.ways.clone(),
            caller,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Everything that the roles do by themselves, once. What a liar makes impossible is tried again in the next round.
    pub(crate) async fn round(&self) {
        let _unpublished = self.archive.publish_once().await;
        let _untold = self.bank.tick().await;
        let _unpublished = self.archive.publish_once().await;
        let _unread = self.merchant.follow_logs().await;
        let _unpushed = self.merchant.push_commits().await;
        let _unproved = self.merchant.collect_receipts().await;
        let _unclaimed = self.merchant.claim().await;
    }

    /// Lets time pass, for everybody, and everybody work once at the end of it.
    pub(crate) async fn pass(&self, seconds: u32) {
        self.set_clock(self.now().plus(Seconds(seconds)));
        self.round().await;
    }

    /// Everybody's clock.
    pub(crate) fn set_clock(&self, now: Timestamp) {
        self.clock.0.store(now.0, Ordering::SeqCst);
        self.set_archive_clock(now);
    }

    pub(crate) fn set_archive_clock(&self, now: Timestamp) {
        self.archive_clock.0.store(now.0, Ordering::SeqCst);
    }

    /// Lets time pass until everything that was locked must have been decided and claimed, second by second around the
    /// moments that matter.
    pub(crate) async fn settle(&self) {
        for seconds in [1, 5, 20, 30, 20, 20, 20, 20, 20, 40, 60, 1, 1] {
            self.pass(seconds).await;
        }
    }

    /// The bank's key: its word.
    pub(crate) fn bank_key(&self) -> SigningKey {
        self.seed("bank").signing_key("bank")
    }

    /// The log's key, for promises.
    pub(crate) fn log_key(&self) -> SigningKey {
        self.seed("archive").signing_key("log")
    }

    /// The key of the shop: its offers.
    pub(crate) fn merchant_key(&self) -> SigningKey {
        self.seed("merchant").signing_key("merchant")
    }

    /// The key of the shop's account at the bank.
    pub(crate) fn payee_key(&self) -> SigningKey {
        payee_key(&self.seed("merchant"), self.bank.bank_id())
    }

    pub(crate) fn seed(&self, role: &str) -> RoleSeed {
        RoleSeed::load(&self.folder.path().join(format!("{role}.key"))).expect("a key file")
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        self.archive.policy()
    }

    /// Puts a good on sale.
    pub(crate) fn good(&self, title: &str) -> AddedGood {
        self.good_at(title, PRICE)
    }

    pub(crate) fn good_at(&self, title: &str, cents: u64) -> AddedGood {
        let path = self.folder.path().join("good.txt");
        std::fs::write(&path, contents(title)).expect("written");
        let mut shop = Shop::open(&self.merchant_config.data, self.clock.clone()).expect("opens");
        let input = GoodInput {
            title: title.to_owned(),
            price: money(cents),
            description: "Description".into(),
            licence: "Licence".into(),
            refund_rule: "Rule".into(),
            media_type: None,
        };
        let added = shop.add_good(&path, &input, &mut SystemRng::new(), &mut |_| ());
        added.expect("added")
    }

    /// Pays cash into an account.
    pub(crate) fn credit(&self, account: AccountId, cents: u64, reference: &str) {
        let now = self.now();
        operator::credit(&self.bank_config, account, money(cents), reference, now)
            .expect("credited");
    }

    /// What an account holds, in cents.
    pub(crate) fn account_holds(&self, account: AccountId) -> u64 {
        let mut holds = 0;
        operator::accounts(&self.bank_config, |row| {
            if row.account == account {
                holds += row.balance.amount.minor_units();
            }
        })
        .expect("reads");
        holds
    }

    /// What the shop has been paid, in cents.
    pub(crate) fn shop_earned(&self) -> u64 {
        self.account_holds(self.payee_key().verifying_key().into())
    }

    /// A wallet with [`PURSE`] in coins.
    pub(crate) async fn customer(&self) -> Customer {
        let mut customer = self.stranger_wallet();
        let report = customer.wallet.add_bank(BANK, None).await.expect("a bank");
        let bank: BankId = report.bank.parse().expect("an id");
        let account = customer.wallet.account(bank);
        self.credit(account, PURSE, &account.hex());
        customer
            .wallet
            .withdraw(bank, money(PURSE))
            .await
            .expect("withdrawn");
        customer
    }

    /// A wallet that knows no bank.
    pub(crate) fn stranger_wallet(&self) -> Customer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let environment = Environment {
            transport: Arc::new(self.net(Caller::Customer)),
            clock: self.clock.clone(),
            rng: Box::new(SystemRng::new()),
            observer: Box::new(Unobserved),
        };
        let wallet = Wallet::init(folder.path(), &Protection::Unprotected, environment);
        Customer {
            wallet: wallet.expect("a new folder"),
            _folder: folder,
        }
    }

    /// Asks over the wire as `caller`.
    pub(crate) async fn ask_as<E: Endpoint>(
        &self,
        caller: Caller,
        address: &str,
        request: &E::Request,
    ) -> Result<E::Reply, Problem> {
        match call::<E, _>(&self.net(caller), address, request).await {
            Ok(reply) => Ok(reply),
            Err(CallError::Refused(problem)) => Err(*problem),
            Err(other) => panic!("neither an answer nor a refusal: {other}"),
        }
    }

    /// Asks as an attacker.
    pub(crate) async fn ask<E: Endpoint>(
        &self,
        address: &str,
        request: &E::Request,
    ) -> Result<E::Reply, Problem> {
        self.ask_as::<E>(Caller::Stranger, address, request).await
    }

    /// Fetches a file of the log.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(format!("{LOG}{path}"));
        self.ways.ask(&request).await.expect("answers")
    }

    /// What the bank says became of a lock.
    pub(crate) async fn state(&self, lock_tag: LockTag) -> LockState {
        let question = LockStatusRequest {
            bank: self.bank.bank_id(),
            lock_tags: vec![lock_tag],
        };
        let status = self.ask::<bank::Status>(BANK, &question).await;
        status.expect("answers").body.locks[0].state.clone()
    }

    /// The shop's record of a sale.
    pub(crate) fn sale(&self, txid: Txid) -> Option<Order> {
        let reader = MerchantReader::open(&self.merchant_config.store_path()).expect("opens");
        reader.sale(txid).expect("reads")
    }

    /// Every paid order of the shop.
    pub(crate) fn sales(&self) -> Vec<Order> {
        let reader = MerchantReader::open(&self.merchant_config.store_path()).expect("opens");
        let orders = reader.orders(&OrderState::ALL, 100).expect("reads");
        orders
            .into_iter()
            .filter(|order| order.accept.is_some())
            .collect()
    }

    /// V1: the books hold, row by row, and no value is created or lost. What should be in the town: all that was paid in.
    #[track_caller]
    pub(crate) fn check_books(&self, paid_in: u64) {
        let audit = operator::audit(&self.bank_config).expect("reads");
        foiled(audit.defects.is_empty(), "the bank's books are broken");
        let total = |amount: Amount| amount.minor_units();
        let euros = audit.currencies.iter().find(|row| row.currency == euro());
        let there = euros.map_or(0, |row| {
            total(row.accounts) + total(row.circulation) + total(row.locked) + total(row.income)
        });
        foiled(there == paid_in, "value was created or lost");
    }
}

impl Customer {
    /// Buys as far as it goes now, without waiting.
    pub(crate) async fn buy(&mut self, good: &str) -> Result<PurchaseReport, WalletError> {
        let options = BuyOptions {
            patience: Duration::ZERO,
            ..BuyOptions::default()
        };
        self.wallet.buy(SHOP, good, &options).await
    }

    /// What may be spent now, in cents.
    pub(crate) fn available(&self) -> u64 {
        let balances = self.wallet.balance().expect("reads");
        balances
            .iter()
            .map(|balance| balance.available.minor_units)
            .sum()
    }

    /// Takes everything as far as it goes now.
    pub(crate) async fn resume(&mut self) {
        self.wallet.resume().await.expect("reads");
    }

    /// Where the only purchase stands.
    pub(crate) fn purchase(&self) -> PurchaseReport {
        let purchases = self.wallet.list().expect("reads");
        assert_eq!(purchases.len(), 1, "one purchase");
        purchases.into_iter().next().expect("one")
    }

    /// The goods, if they can be opened and are what was offered.
    pub(crate) async fn goods(&mut self, title: &str) -> bool {
        self.opened().await.as_deref() == Some(contents(title).as_slice())
    }

    /// Whatever the purchase opens to.
    pub(crate) async fn opened(&mut self) -> Option<Vec<u8>> {
        let purchase = self.purchase();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let saved = self
            .wallet
            .save(purchase.id, folder.path(), SaveOptions::default())
            .await;
        saved
            .ok()
            .map(|path| std::fs::read(path).expect("readable"))
    }

    /// Ends in goods or money, and in nothing between.
    pub(crate) async fn ended_in_goods_or_money(&mut self, town: &Town, title: &str) {
        self.resume().await;
        town.pass(20).await;
        self.resume().await;
        let state = self.purchase().state;
        match state {
            PurchaseState::Complete | PurchaseState::Delivered => {
                foiled(self.goods(title).await, "paid for what cannot be opened");
            }
            PurchaseState::Returned | PurchaseState::Refused => {
                foiled(self.available() == PURSE, "neither goods nor money");
            }
            _ => foiled(false, "neither goods nor money in time"),
        }
    }
}

/// What a good with this title holds.
pub(crate) fn contents(title: &str) -> Vec<u8> {
    title.as_bytes().repeat(3_000)
}

/// Says that an attack failed, or panics in the words that `cargo xtask mutants` looks for.
#[track_caller]
pub(crate) fn foiled(is_foiled: bool, gain: &str) {
    assert!(is_foiled, "the attack succeeded: {gain}");
}

pub(crate) fn euro() -> Currency {
    Currency::from_code("EUR").expect("known")
}

pub(crate) fn money(cents: u64) -> Money {
    Amount::new(cents).expect("small").of(euro())
}

fn seed(folder: &Path, role: &str, number: u8) -> RoleSeed {
    let path = folder.join(format!("{role}.key"));
    std::fs::write(&path, format!("{number:02x}").repeat(32)).expect("written");
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, owner_only).expect("changed");
    RoleSeed::load(&path).expect("a key file")
}

/// Another archive with the keys of the town's: its second history.
pub(crate) fn second_archive(town: &Town) -> Arc<Archive> {
    let bank = town.bank.bank_id();
    let folder = town.folder.path();
    let world = World {
        clock: town.archive_clock.clone() as Arc<dyn Clock>,
        transport: Arc::new(town.net(Caller::Archive)),
    };
    open_archive(folder, "other", bank, &world)
}

fn open_archive(folder: &Path, data: &str, bank: BankId, world: &World<Net>) -> Arc<Archive> {
    let config = ArchiveConfig {
        http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
        key_file: folder.join("archive.key"),
        data: folder.join(data),
        origin: ORIGIN.into(),
        url: Some(LOG.into()),
        log_policy: None,
        disbelieved_witnesses: Vec::new(),
        witness_timeout_ms: 3_000,
        witness_grace_ms: 10,
        policies: Vec::new(),
        shard_days: 0,
        shards_ahead: None,
        retention_days: None,
        claim_days: 30,
        banks: vec![bank],
        checkpoint_interval_ms: 1_000,
        commit_span_max_s: 86_400,
        batch_max: 64,
    };
    Archive::open(&config, seed(folder, "archive", 3), world).expect("opens")
}

fn bank_config(folder: &Path, log_policy: PolicySource) -> BankConfig {
    BankConfig {
        http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
        data: folder.join("bank"),
        key_file: folder.join("bank.key"),
        name: "Bank".to_owned(),
        currencies: vec![euro()],
        log_policy,
        exponent_max: 10,
        issue_days: 30,
        spend_days: 90,
        settle_days: 180,
        announce_days: 7,
        lock_span_max_s: 86_400,
        claim_days: 7,
        dispute_window_max_s: 86_400,
        follow_interval_ms: 1_000,
        batch_max: 64,
    }
}

fn merchant_config(folder: &Path, log_policy: PolicySource, bank: BankId) -> MerchantConfig {
    MerchantConfig {
        modes: vec![Mode::Fast, Mode::Safe],
        http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
        data: folder.join("merchant"),
        key_file: folder.join("merchant.key"),
        name: "Shop".into(),
        log_policy,
        banks: vec![PayingBank {
            bank,
            url: BANK.into(),
            account: PayeeAccount::Own,
        }],
        offer_minutes: 15,
        lock_min_s: None,
        lock_max_s: None,
        reveal_window_s: 120,
        dispute_window_s: 600,
        checkpoint_interval_s: 2,
        bank_round_trip_s: 10,
        claim_interval_ms: 1_000,
        offers_max: 100,
        batch_max: 16,
    }
}
