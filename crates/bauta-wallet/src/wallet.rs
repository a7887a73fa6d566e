//! The wallet itself: its records, its seed and its ways to the outside. The other modules add its operations.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bauta_crypto::secret::Secret;
use bauta_proto::{
    coin::Keyset,
    ids::{BankId, KeysetId},
    log::reader::LogReader,
    time::{Clock, Timestamp},
    transport::{CallError, Endpoint, Request, Transport, call, fetch},
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    error::{Result, WalletError},
    key::{self, Protection},
    observer::{Event, Observer, Send, Write},
    records::{Bank, KnownKeyset},
    seed::{Seed, SeedRecord},
    store::{Batch, Store, StoreError},
};

/// The wallet's ways to the outside.
pub struct Environment<T> {
    /// Carries requests.
    pub transport: Arc<T>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub rng: Box<dyn CryptoRng + std::marker::Send>,
    /// Is told what happens.
    pub observer: Box<dyn Observer>,
}

/// The customer's agent. Every change of what it owns is on disk before anything is sent that depends on it, so that it
/// may be stopped at any moment; [`Wallet::resume`] goes on from there.
pub struct Wallet<T> {
    pub(crate) store: Store,
    pub(crate) seed: Seed,
    pub(crate) is_restored: bool,
    pub(crate) transport: Arc<T>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Box<dyn CryptoRng + std::marker::Send>,
    pub(crate) observer: Box<dyn Observer>,
    /// Keysets that were read already; a keyset never changes.
    keysets: Mutex<HashMap<KeysetId, Arc<Keyset>>>,
}

impl<T: Transport> Wallet<T> {
    /// Makes a wallet with a fresh seed in `folder`. Have its owner write down [`Wallet::words`].
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one; [`WalletError::Key`].
    pub fn init(
        folder: &Path,
        protection: &Protection,
        mut environment: Environment<T>,
    ) -> Result<Self> {
        let seed = Seed::generate(&mut environment.rng);
        Self::create(folder, protection, seed, false, environment)
    }

    /// Makes a wallet from the words of another one. Its money comes back bank by bank, with [`Wallet::add_bank`].
    ///
    /// # Errors
    /// [`WalletError::Words`], and as [`Wallet::init`].
    pub fn restore(
        folder: &Path,
        protection: &Protection,
        words: &str,
        environment: Environment<T>,
    ) -> Result<Self> {
        let seed = Seed::from_words(words)?;
        Self::create(folder, protection, seed, true, environment)
    }

    fn create(
        folder: &Path,
        protection: &Protection,
        seed: Seed,
        is_restored: bool,
        mut environment: Environment<T>,
    ) -> Result<Self> {
        make_private_folder(folder)?;
        if Store::is_in(folder) {
            return Err(StoreError::Exists.into());
        }
        let storage_key = Secret::generate(&mut environment.rng);
        key::write(folder, &storage_key, protection)?;
        let mut store = Store::create(folder, &storage_key, &mut environment.rng)?;
        let mut batch = Batch::new();
        batch.put(&seed.record(is_restored));
        store.commit(batch, &mut environment.rng)?;
        Ok(Self::assemble(store, seed, is_restored, environment))
    }

    /// Opens the wallet in `folder`, after waiting up to `wait` for another process to let go of it.
    ///
    /// # Errors
    /// [`WalletError::Key`] for a wrong passphrase or key file; [`WalletError::Store`].
    pub fn open(
        folder: &Path,
        protection: &Protection,
        wait: Duration,
        mut environment: Environment<T>,
    ) -> Result<Self> {
        let storage_key = key::open(folder, protection)?;
        let store = Store::open(folder, &storage_key, wait, &mut environment.rng)?;
        let record = store.one::<SeedRecord>(&[])?;
        let record = record.ok_or(StoreError::Unfinished)?;
        let seed = Seed::from_record(&record);
        Ok(Self::assemble(
            store,
            seed,
            record.restored != 0,
            environment,
        ))
    }

    fn assemble(store: Store, seed: Seed, is_restored: bool, environment: Environment<T>) -> Self {
        Self {
            store,
            seed,
            is_restored,
            transport: environment.transport,
            clock: environment.clock,
            rng: environment.rng,
            observer: environment.observer,
            keysets: Mutex::default(),
        }
    }

    /// The 24 words from which the wallet can be made again.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        self.seed.words()
    }

    /// Keeps the storage key in another way from now on.
    ///
    /// # Errors
    /// [`WalletError::Key`]: `old` does not open it, or the new file cannot be written; the old way is then in force.
    pub fn change_protection(&mut self, old: &Protection, new: &Protection) -> Result<()> {
        let folder = self.store.folder();
        let storage_key = key::open(folder, old)?;
        Ok(key::write(folder, &storage_key, new)?)
    }

    /// The wallet's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn observe(&mut self, event: Event) {
        self.observer.observe(event);
    }

    /// Makes changes durable.
    pub(crate) fn commit(&mut self, write: Write, batch: Batch) -> Result<()> {
        self.observer.observe(Event::BeforeWrite(write));
        self.store.commit(batch, &mut self.rng)?;
        self.observer.observe(Event::AfterWrite(write));
        Ok(())
    }

    /// Calls one operation of a role.
    pub(crate) async fn call<E: Endpoint>(
        &mut self,
        send: Send,
        base: &str,
        request: &E::Request,
    ) -> std::result::Result<E::Reply, CallError>
    where
        E::Request: Sync,
    {
        self.observer.observe(Event::BeforeSend(send));
        let reply = call::<E, T>(&self.transport, base, request).await;
        self.observer.observe(Event::AfterSend(send));
        reply
    }

    /// Fetches a document.
    pub(crate) async fn fetch(
        &mut self,
        send: Send,
        url: String,
        bytes_max: usize,
    ) -> std::result::Result<Vec<u8>, CallError> {
        self.observer.observe(Event::BeforeSend(send));
        let body = fetch(&*self.transport, Request::get(url), bytes_max).await;
        self.observer.observe(Event::AfterSend(send));
        body
    }

    /// Nothing can be done for a while.
    pub(crate) async fn pause(&mut self, span: Duration) {
        let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.observe(Event::Waiting { milliseconds });
        tokio::time::sleep(span).await;
    }

    pub(crate) fn bank(&self, bank: BankId) -> Result<Bank> {
        let record = self.store.one(&bank.0)?;
        record.ok_or(WalletError::UnknownBank)
    }

    /// A keyset that was accepted before.
    pub(crate) fn keyset(&self, bank: BankId, id: KeysetId) -> Result<Arc<Keyset>> {
        let mut keysets = self.keysets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keyset) = keysets.get(&id).filter(|keyset| keyset.bank == bank) {
            return Ok(keyset.clone());
        }
        let known: Option<KnownKeyset> = self.store.one(&[bank.0, id.0].concat())?;
        let known = known.ok_or(WalletError::BankAnswer)?;
        let keyset = Arc::new(known.published.keyset.body);
        keysets.insert(id, keyset.clone());
        Ok(keyset)
    }

    /// Readers of the logs by which the bank decides locks of this expiry.
    pub(crate) fn log_readers(&self, bank: &Bank, expiry: Timestamp) -> Result<Vec<LogReader<T>>> {
        let policy = Arc::new(bank.parsed_policy()?);
        let readers = LogReader::all_for(&self.transport, &policy, expiry);
        if readers.is_empty() {
            return Err(WalletError::NoLogAddress);
        }
        Ok(readers)
    }
}

/// Nobody else on this machine sees what is in the wallet's folder, or how large it is. A folder that is there already is
/// left as its owner made it.
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
