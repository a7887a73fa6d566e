//! The merchant: a shop that makes offers, takes locks, lets the preimage go by the margins of the protocol, delivers the
//! key and claims its money.
//!
//! It learns orders and one-purchase pseudonyms; never a customer's name, address or account.

mod config;
mod endpoints;
mod follow;
pub mod goods;
mod jobs;
mod logs;
mod prepare;
mod receipts;
mod sale;
mod shelf;
mod tar_stream;

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use bauta_crypto::{secret::Secret, sign::SigningKey};
use bauta_proto::{
    accept::Delivery,
    catalogue::{AcceptedBank, Catalogue},
    ids::{AccountId, BankId, MerchantId, Txid},
    log::policy::Policy,
    merchant::{Conditions, Margins, SaleSecrets, Seller},
    offer::Mode,
    problem::{Problem, ProblemKind},
    time::{Clock, Seconds, Timestamp},
    transport::Transport,
};
use bauta_store::{
    StoreError,
    merchant::{
        MerchantCommand, MerchantReader, MerchantRefusal, MerchantStore, Order, OrderState,
    },
};
use tokio::sync::{Semaphore, watch};

pub use config::{MerchantConfig, MerchantConfigError, PayeeAccount, PayingBank};
pub use jobs::JobError;

use self::{logs::Log, shelf::Shelf};
use crate::{batch::Writer, config::PolicySourceError, keys::RoleSeed, work::World};

/// Preimages on their way at once; a lock that comes on top of them is stored, and a job sends its preimage later.
const SENDS_MAX: usize = 1_024;
/// Downloads at once that are read in large chunks.
const LARGE_CHUNKS_MAX: usize = 32;
/// For how long an unpaid offer is kept after it has lapsed, so that a late customer learns why.
const OFFER_GRACE: Seconds = Seconds::hours(1);

/// The merchant's name: the public key that follows from its seed.
#[must_use]
pub fn merchant_id(seed: &RoleSeed) -> MerchantId {
    signing_key(seed).verifying_key().into()
}

/// The key of the shop's own account at `bank`: it signs for statements and for giving money back.
#[must_use]
pub fn payee_key(seed: &RoleSeed, bank: BankId) -> SigningKey {
    seed.signing_key(&format!("account at {}", bank.hex()))
}

/// The shop's own account at `bank`. Different at every bank, so that two banks cannot tell that it is one shop.
#[must_use]
pub fn payee_account(seed: &RoleSeed, bank: BankId) -> AccountId {
    payee_key(seed, bank).verifying_key().into()
}

fn signing_key(seed: &RoleSeed) -> SigningKey {
    seed.signing_key("merchant")
}

/// A running shop.
pub struct Merchant<T> {
    /// Signs offers.
    key: SigningKey,
    /// From which the secrets of each sale are derived.
    sale_secret: Secret<32>,
    banks: HashMap<BankId, Payment>,
    policy: Arc<Policy>,
    /// The policy's logs that have an address, in its order.
    logs: Vec<Log<T>>,
    /// How purchases can be decided.
    modes: Vec<Mode>,
    conditions: Conditions,
    margins: Margins,
    claim_interval: Duration,
    world: World<T>,
    writer: Writer<MerchantCommand, Result<Order, MerchantRefusal>>,
    /// For what is not a command: pruning.
    store: Arc<Mutex<MerchantStore>>,
    reader: Mutex<MerchantReader>,
    shelf: Shelf,
    /// Folder of the encrypted goods.
    ciphertexts: PathBuf,
    sends: Arc<Semaphore>,
    /// Places of downloads that are read in large chunks.
    large_chunks: Arc<Semaphore>,
    /// Orders that a task is working on.
    in_hand: Mutex<HashSet<Txid>>,
    /// Whether the last look for unfinished sales could read and write the store.
    healthy: AtomicBool,
}

/// Where a bank is, and whom it pays.
#[derive(Clone, Debug)]
struct Payment {
    url: String,
    account: AccountId,
}

/// Why a shop does not start. Its operator has to act.
#[derive(Debug, thiserror::Error)]
pub enum MerchantStartError {
    /// A setting is out of bounds.
    #[error(transparent)]
    Config(#[from] MerchantConfigError),
    /// There is no log policy.
    #[error("the shop has no log policy (log_policy)")]
    Policy(#[from] PolicySourceError),
    /// No log of the policy has an address.
    #[error("no log of the log policy has an address")]
    LogAddress,
    /// Sales under another policy are open: their preimages would go to logs that decide nothing about them.
    #[error(
        "open sales name another log policy: start with that one until they have ended (log_policy)"
    )]
    PolicyInUse,
    /// The data folder cannot be made.
    #[error("the shop's data folder cannot be used")]
    Folder(#[from] io::Error),
    /// The store cannot be opened.
    #[error("the shop's store cannot be opened")]
    Store(#[from] StoreError),
}

impl<T: Transport + 'static> Merchant<T> {
    /// Opens the store, makes it and the folders if there are none, and starts the writer.
    ///
    /// # Errors
    /// [`MerchantStartError`].
    ///
    /// # Panics
    /// Panics if the system cannot start a thread.
    pub fn open(
        config: &MerchantConfig,
        seed: RoleSeed,
        world: World<T>,
    ) -> Result<Arc<Self>, MerchantStartError> {
        let conditions = config.conditions()?;
        let policy = Arc::new(config.log_policy.load()?);
        let logs = logs::of_policy(&policy, &world.transport);
        if logs.is_empty() {
            return Err(MerchantStartError::LogAddress);
        }
        let ciphertexts = goods::ciphertext_folder(&config.data);
        std::fs::create_dir_all(&ciphertexts)?;
        let path = config.store_path();
        let store = MerchantStore::open(&path)?.with_offers_max(config.offers_max);
        let reader = MerchantReader::open(&path)?;
        if reader.waits_for_other_logs(policy.policy_id())? {
            return Err(MerchantStartError::PolicyInUse);
        }
        let store = Arc::new(Mutex::new(store));
        let writes = Arc::clone(&store);
        let apply = move |commands: Vec<_>| locked(&writes).apply(&commands);
        Ok(Arc::new(Self {
            key: signing_key(&seed),
            sale_secret: seed.secret("sale"),
            banks: payments(config, &seed),
            shelf: Shelf::new(front(config, &seed, &policy), MerchantReader::open(&path)?),
            policy,
            logs,
            modes: config.modes.clone(),
            conditions,
            margins: config.margins(),
            claim_interval: Duration::from_millis(config.claim_interval_ms),
            world,
            writer: Writer::start("merchant", config.batch_max, apply),
            store,
            reader: Mutex::new(reader),
            ciphertexts,
            sends: Arc::new(Semaphore::new(SENDS_MAX)),
            large_chunks: Arc::new(Semaphore::new(LARGE_CHUNKS_MAX)),
            in_hand: Mutex::default(),
            healthy: AtomicBool::new(true),
        }))
    }

    /// The shop's paths.
    pub fn router(self: &Arc<Self>) -> Router {
        endpoints::router(Arc::clone(self))
    }

    /// Does what is due, again and again, until `shutdown` says true or its sender is gone.
    pub async fn run_jobs(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        jobs::run(&self, shutdown).await;
    }

    /// Whether the shop can take orders.
    ///
    /// # Errors
    /// What is wrong.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.healthy.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err("the shop's store cannot be read or written")
        }
    }
}

impl<T> Merchant<T> {
    /// The merchant's name in messages.
    #[must_use]
    pub fn merchant_id(&self) -> MerchantId {
        self.key.verifying_key().into()
    }

    fn now(&self) -> Timestamp {
        Clock::now(&*self.world.clock)
    }

    /// The logs that take leaves of this expiry.
    fn logs_for(&self, expiry: Timestamp) -> impl Iterator<Item = &Log<T>> {
        self.logs.iter().filter(move |log| log.known.takes(expiry))
    }

    /// The log of this name.
    fn log(&self, name: &[u8; 32]) -> Option<&Log<T>> {
        self.logs.iter().find(|log| log.name == *name)
    }

    fn seller(&self, account: AccountId) -> Seller<'_> {
        Seller {
            key: &self.key,
            sale_secret: &self.sale_secret,
            account,
        }
    }

    fn secrets(&self, order: &Order) -> SaleSecrets {
        SaleSecrets::derive(&self.sale_secret, &order.request(), order.answered_at)
    }

    /// Reads orders; for a thread that may wait a moment.
    fn reader(&self) -> MutexGuard<'_, MerchantReader> {
        locked(&self.reader)
    }

    /// Has a command applied, and tells the caller why if it is refused.
    async fn apply(&self, command: MerchantCommand) -> Result<Order, Problem> {
        self.writer.apply(command).await?.map_err(|refusal| {
            Problem::new(match refusal {
                MerchantRefusal::UnknownOffer => ProblemKind::UnknownOffer,
                MerchantRefusal::OtherLock => ProblemKind::OtherLock,
                MerchantRefusal::TooManyOffers => ProblemKind::Overloaded,
            })
        })
    }

    /// What an acceptance is answered with: a function of the order's record alone.
    fn delivery(&self, order: &Order) -> Result<Delivery, Problem> {
        if order.is_deliverable() {
            return Ok(Delivery {
                txid: order.txid,
                preimage: *self.secrets(order).preimage.expose(),
                promises: order.told_promises().cloned().collect(),
            });
        }
        if order.state == OrderState::Failed {
            let problem = Problem::new(ProblemKind::DeliveryFailed);
            return Err(match order.reason {
                Some(reason) => problem.detail(reason.text()),
                None => problem,
            });
        }
        Err(ProblemKind::DeliveryPending.into())
    }
}

fn payments(config: &MerchantConfig, seed: &RoleSeed) -> HashMap<BankId, Payment> {
    let payment = |bank: &PayingBank| {
        let account = match bank.account {
            PayeeAccount::Own => payee_account(seed, bank.bank),
            PayeeAccount::Other(account) => account,
        };
        let url = bank.url.clone();
        (bank.bank, Payment { url, account })
    };
    config.banks.iter().map(payment).collect()
}

fn front(config: &MerchantConfig, seed: &RoleSeed, policy: &Policy) -> Catalogue {
    let accepted = |bank: &PayingBank| AcceptedBank {
        bank: bank.bank.hex(),
        url: bank.url.clone(),
    };
    Catalogue {
        merchant: merchant_id(seed).hex(),
        name: config.name.clone(),
        log_policy: policy.text().to_owned(),
        banks: config.banks.iter().map(accepted).collect(),
        modes: config.modes.iter().map(|mode| mode.name().into()).collect(),
        goods: Vec::new(),
    }
}

/// What the lock guards is whole even if a thread panicked: every change of it is one assignment or transaction.
fn locked<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
