//! A customer: a real wallet, and somebody who uses it, loses patience, and switches it on again after every crash.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bauta_proto::{ids::AccountId, money::Money, offer::Mode, time::Clock};
use bauta_server::roles::bank::{bank_id, operator};
use bauta_wallet::{
    BuyOptions, Environment, Protection, Wallet, WalletError, observer::Unobserved,
    store::StoreError,
};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::{
    net::SimTransport,
    node::{Node, NodeId},
    plan::Errand,
    roles::{self, CURRENCY, GOOD},
    world::Core,
};

/// What every customer pays into its account at the beginning, in minor units.
pub(crate) const DEPOSIT: u64 = 100;
/// How often a withdrawal or exchange is tried before the owner gives it up.
const ATTEMPTS_MAX: u32 = 20;

/// A wallet in the world.
pub(crate) type SimWallet = Wallet<SimTransport>;

/// A customer, as far as it remembers what it did: that survives every crash of its device.
pub(crate) struct Customer {
    core: Arc<Core>,
    node: Arc<Node>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    errands: VecDeque<Errand>,
    /// Counts the devices; all but the last one are lost.
    device: u32,
    words: Option<Zeroizing<String>>,
    has_deposited: bool,
    is_done: bool,
    is_settled: bool,
    /// Whether a device was lost with something open on it.
    was_lost_in_flight: bool,
}

impl Customer {
    pub(crate) fn new(core: &Arc<Core>, node: &Arc<Node>, errands: Vec<Errand>) -> Arc<Self> {
        let memory = Memory {
            errands: errands.into(),
            ..Memory::default()
        };
        Arc::new(Self {
            core: Arc::clone(core),
            node: Arc::clone(node),
            memory: Mutex::new(memory),
        })
    }

    pub(crate) fn id(&self) -> NodeId {
        self.node.id
    }

    /// The bank at which it has its account.
    pub(crate) fn bank(&self) -> NodeId {
        NodeId::bank(self.node.id.number % self.core.plan.banks)
    }

    /// Whether nothing of what it began is open.
    pub(crate) fn is_settled(&self) -> bool {
        let memory = self.memory();
        memory.is_done && memory.is_settled
    }

    /// How much it has paid in.
    pub(crate) fn deposited(&self) -> u64 {
        if self.memory().has_deposited {
            DEPOSIT
        } else {
            0
        }
    }

    /// All its devices, the one that it uses last.
    pub(crate) fn devices(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let (folder, last) = (self.node.folder.clone(), self.memory().device);
        (0..=last).map(move |device| device_folder(&folder, device))
    }

    /// Opens the wallet of one device.
    pub(crate) fn open(&self, folder: &std::path::Path) -> Result<SimWallet, WalletError> {
        let environment = self.environment();
        Wallet::open(
            folder,
            &Protection::Unprotected,
            Duration::ZERO,
            environment,
        )
    }

    /// A new device, from the words.
    pub(crate) fn restore(
        &self,
        folder: &std::path::Path,
        words: &str,
    ) -> Result<SimWallet, WalletError> {
        Wallet::restore(folder, &Protection::Unprotected, words, self.environment())
    }

    /// Lives until the world ends.
    pub(crate) async fn live(self: Arc<Self>) {
        let disk = &self.node.disk;
        loop {
            tokio::select! {
                biased;
                () = disk.crashed() => {}
                () = self.session() => {}
            }
            if disk.is_down() {
                self.core.recover(&self.node).await;
            } else {
                sleep(self.core.chance.milliseconds(500..3_000)).await;
            }
        }
    }

    /// From switching the device on to switching it off, or to an error that only that helps against.
    async fn session(&self) {
        let mut wallet = match self.switch_on() {
            Ok(wallet) => wallet,
            Err(error) => {
                self.tell(format_args!("the wallet does not open: {error}"));
                return;
            }
        };
        self.memory().words = Some(wallet.words());
        let account = wallet.account(bank_id(&self.core.node(self.bank()).keys));
        if !self.meet_bank(&mut wallet).await || !self.deposit(account).await {
            return;
        }
        loop {
            let next = self.memory().errands.pop_front();
            match next {
                Some(Errand::Restore) => {
                    self.settle(&mut wallet).await;
                    self.lose_device();
                    return;
                }
                Some(errand) => self.run(&mut wallet, errand).await,
                None => break,
            }
        }
        {
            let mut memory = self.memory();
            memory.is_done = true;
            memory.is_settled = false;
        }
        loop {
            let again = self.settle(&mut wallet).await;
            sleep(again).await;
        }
    }

    fn lose_device(&self) {
        let mut memory = self.memory();
        memory.device += 1;
        memory.was_lost_in_flight |= !memory.is_settled;
        drop(memory);
        self.tell(format_args!("the device is lost"));
    }

    /// What came back too late for the device that is in use is found by the words once more.
    pub(crate) async fn find_again(&self) {
        if !self.memory().was_lost_in_flight {
            return;
        }
        self.lose_device();
        let Ok(mut wallet) = self.switch_on() else {
            return;
        };
        self.meet_bank(&mut wallet).await;
        for _ in 0..ATTEMPTS_MAX {
            let again = self.settle(&mut wallet).await;
            if self.memory().is_settled {
                return;
            }
            sleep(again).await;
        }
    }

    fn switch_on(&self) -> Result<SimWallet, WalletError> {
        let device = self.memory().device;
        let folder = device_folder(&self.node.folder, device);
        match self.open(&folder) {
            Err(WalletError::Key(bauta_wallet::key::KeyError::Missing))
            | Err(WalletError::Store(StoreError::Missing)) => {}
            Err(WalletError::Store(StoreError::Unfinished)) => self.throw_away(&folder),
            opened => return opened,
        }
        let words = self.memory().words.clone();
        match words {
            Some(words) if device > 0 => self.restore(&folder, &words),
            _ => Wallet::init(&folder, &Protection::Unprotected, self.environment()),
        }
    }

    /// As the wallet's error says: its folder is removed, and it is made again.
    fn throw_away(&self, folder: &std::path::Path) {
        self.tell(format_args!(
            "the wallet was never finished; it is made again"
        ));
        let _left = std::fs::remove_dir_all(folder);
        self.node.disk.remove_folder(folder);
    }

    async fn meet_bank(&self, wallet: &mut SimWallet) -> bool {
        let bank = self.core.node(self.bank());
        for _ in 0..ATTEMPTS_MAX {
            match wallet
                .add_bank(&bank.id.url(), Some(bank_id(&bank.keys)))
                .await
            {
                Ok(_) => return true,
                Err(error) => self.tell(format_args!("meets the bank: {error}")),
            }
            sleep(self.core.chance.milliseconds(500..3_000)).await;
        }
        false
    }

    /// Pays into the account, through the bank's operator, once.
    async fn deposit(&self, account: AccountId) -> bool {
        let bank = self.core.node(self.bank());
        let config = roles::bank_config(&self.core, bank.id);
        let reference = format!("deposit of {}", self.node.id);
        for _ in 0..ATTEMPTS_MAX {
            if self.memory().has_deposited {
                return true;
            }
            let now = bank.clock.now();
            match operator::credit(&config, account, money(DEPOSIT), &reference, now) {
                Ok(()) => {
                    self.tell(format_args!("has paid in"));
                    self.memory().has_deposited = true;
                }
                Err(error) => {
                    self.tell(format_args!("pays in: {error}"));
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
        self.memory().has_deposited
    }

    async fn run(&self, wallet: &mut SimWallet, errand: Errand) {
        self.tell(format_args!("begins {errand:?}"));
        self.memory().is_settled = false;
        let outcome = match errand {
            Errand::Withdraw(units) => self.withdraw(wallet, units).await,
            Errand::Refresh => wallet.refresh().await.map(drop),
            Errand::Wait(milliseconds) => {
                sleep(Duration::from_millis(milliseconds)).await;
                Ok(())
            }
            Errand::Buy {
                merchant,
                from_account,
                is_safe,
                is_cancelled,
            } => {
                let mode = if is_safe { Mode::Safe } else { Mode::Fast };
                let options = BuyOptions {
                    from_account,
                    mode: Some(mode),
                    patience: self.patience(is_cancelled),
                    ..BuyOptions::default()
                };
                self.buy(wallet, merchant, &options, is_cancelled).await
            }
            Errand::Restore => Ok(()),
        };
        match outcome {
            Ok(()) => self.tell(format_args!("has done {errand:?}")),
            Err(error) => self.tell(format_args!("{errand:?}: {error}")),
        }
    }

    async fn withdraw(&self, wallet: &mut SimWallet, units: u64) -> Result<(), WalletError> {
        let bank = bank_id(&self.core.node(self.bank()).keys);
        let mut outcome = wallet.withdraw(bank, money(units)).await.map(drop);
        let mut attempts = 0;
        while let Err(error) = &outcome
            && error.is_temporary()
            && attempts < ATTEMPTS_MAX
        {
            attempts += 1;
            sleep(self.core.chance.milliseconds(200..4_000)).await;
            // A request that stands is repeated; without one, nothing was begun.
            outcome = match wallet.resume().await {
                Ok(report) if report.troubles.is_empty() => Ok(()),
                Ok(_) => outcome,
                Err(error) => Err(error),
            };
        }
        outcome
    }

    async fn buy(
        &self,
        wallet: &mut SimWallet,
        merchant: u8,
        options: &BuyOptions,
        is_cancelled: bool,
    ) -> Result<(), WalletError> {
        let chance = &self.core.chance;
        let shop = NodeId::merchant(merchant).url();
        for _ in 0..ATTEMPTS_MAX {
            match wallet.begin_purchase(&shop, GOOD, options).await {
                Ok(id) => {
                    let outcome = wallet.finish_purchase(id, options.patience).await;
                    if is_cancelled {
                        match wallet.cancel(id) {
                            Ok(()) => self.tell(format_args!("cancels")),
                            Err(error) => self.tell(format_args!("cancels: {error}")),
                        }
                    }
                    let report = outcome?;
                    self.tell(format_args!("the purchase is {:?}", report.state));
                    return Ok(());
                }
                Err(error) if error.is_temporary() => {
                    self.tell(format_args!("wants to buy: {error}"));
                    sleep(chance.milliseconds(200..4_000)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Who will change its mind does it soon.
    fn patience(&self, is_short: bool) -> Duration {
        let longest = if is_short { 500 } else { 40_000 };
        self.core.chance.milliseconds(0..longest)
    }

    /// Goes on with what is open; how long to wait before the next look.
    pub(crate) async fn settle(&self, wallet: &mut SimWallet) -> Duration {
        let soon = self.core.chance.milliseconds(1_000..4_000);
        let report = match wallet.resume().await {
            Ok(report) => report,
            Err(error) => {
                self.tell(format_args!("goes on: {error}"));
                return soon;
            }
        };
        for trouble in &report.troubles {
            self.tell(format_args!("goes on: {}", trouble.error));
        }
        let is_settled =
            report.waiting.is_empty() && report.troubles.is_empty() && has_nothing_open(wallet);
        self.memory().is_settled = is_settled;
        if is_settled {
            Duration::from_secs(20)
        } else {
            soon
        }
    }

    fn environment(&self) -> Environment<SimTransport> {
        Environment {
            transport: roles::transport(&self.core, &self.node),
            clock: self.node.clock.clone(),
            rng: Box::new(self.core.chance.branch("wallet")),
            observer: Box::new(Unobserved),
        }
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        self.core.tell(format_args!("{}: {what}", self.node.id));
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether all of the wallet's money can be spent now.
pub(crate) fn has_nothing_open(wallet: &SimWallet) -> bool {
    wallet.balance().is_ok_and(|balances| {
        balances.iter().all(|balance| {
            balance.locked.is_empty()
                && balance.pending.is_empty()
                && balance.unsure.minor_units == 0
        })
    })
}

fn device_folder(folder: &std::path::Path, device: u32) -> PathBuf {
    folder.join(format!("device-{device}"))
}

pub(crate) fn money(units: u64) -> Money {
    let text = format!("{}.{:02}{CURRENCY}", units / 100, units % 100);
    text.parse().expect("an amount of money")
}
