//! A bank and its archive as they run for customers: configured, started, and ready to issue coins.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use bauta_io::{SystemClock, SystemRng};
use bauta_proto::{
    codec::Message,
    coin::{Keyset, KeysetList},
    ids::{AccountId, BankId, KeysetId, PolicyId},
    log::policy::Policy,
    money::{Amount, Currency},
    time::Clock,
    transport::{archive, bank},
};
use bauta_server::{
    config::Config,
    keys::RoleSeed,
    roles::bank::{BankConfig, bank_id, operator},
};

use super::{
    load::Connection,
    process::{Cores, Process, free_address},
};
use crate::failure::{Failure, Outcome};

/// How long a bank may take until its keyset is in the log.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A bank that is ready, and what its customers know of it.
pub struct Setting {
    /// The bank's name.
    pub bank: BankId,
    /// Where it listens.
    pub address: SocketAddr,
    /// The policy that it goes by.
    pub policy: PolicyId,
    /// The keyset that issues coins.
    pub keyset: Keyset,
    /// Its id.
    pub keyset_id: KeysetId,
    /// The bank's process.
    pub bank_process: Process,
    /// The archive's process.
    pub archive_process: Process,
    config: BankConfig,
}

impl Setting {
    /// Starts an archive and a bank, each a process, the bank on these cores.
    pub async fn start(folder: &Path, cores: Cores) -> Outcome<Self> {
        let seed = new_seed(&folder.join("bank.key"))?;
        let log_address = free_address()?;
        let config = archive_config(folder, log_address, bank_id(&seed))?;
        let archive_process = Process::serve("archive", folder, &config, log_address, Cores::All)?;
        let text = log_policy(log_address).await?;
        let address = free_address()?;
        let config = bank_config(folder, address, &text);
        let bank_process = Process::serve("bank", folder, &config, address, cores)?;
        await_ready(address).await?;
        let policy: Policy = text.parse().map_err(|e| Failure::from_error(&e))?;
        let keyset = issuing_keyset(address).await?;
        Ok(Self {
            bank: bank_id(&seed),
            address,
            policy: policy.policy_id(),
            keyset_id: keyset.keyset_id(),
            keyset,
            bank_process,
            archive_process,
            config: parse(&config)?,
        })
    }

    /// Books money for an account, as the bank's operator does.
    pub fn credit(&self, account: AccountId, minor_units: usize) -> Outcome {
        let units = u64::try_from(minor_units).ok().and_then(Amount::new);
        let units = units.ok_or_else(|| Failure::local("more money than there can be"))?;
        let money = units.of(self.keyset.currency);
        let now = SystemClock.now();
        operator::credit(&self.config, account, money, &account.hex(), now)
            .map_err(|error| Failure::from_error(&error))
    }

    /// The file of the bank's records.
    pub fn store_path(&self) -> std::path::PathBuf {
        self.config.store_path()
    }
}

/// The currency of all measurements.
pub fn currency() -> Currency {
    Currency::from_code("EUR").expect("a currency of ISO 4217")
}

/// Makes a role's key file.
pub fn new_seed(file: &Path) -> Outcome<RoleSeed> {
    let seed = RoleSeed::generate(&mut SystemRng::new());
    seed.store(file)
        .map_err(|error| Failure::from_error(&error))?;
    Ok(seed)
}

/// The configuration of an archive that takes the locks of one bank; makes its key.
pub fn archive_config(folder: &Path, address: SocketAddr, bank: BankId) -> Outcome<String> {
    new_seed(&folder.join("archive.key"))?;
    let (data, key) = (folder.join("archive"), folder.join("archive.key"));
    let bank = bank.hex();
    Ok(format!(
        "[archive]\nhttp = {{ listen = \"{address}\" }}\ndata = {data:?}\nkey_file = {key:?}\n\
         origin = \"bench.invalid/log\"\nbanks = [\"{bank}\"]\n"
    ))
}

/// The configuration of a bank, whose key is there.
pub fn bank_config(folder: &Path, address: SocketAddr, policy: &str) -> String {
    let (data, key) = (folder.join("bank"), folder.join("bank.key"));
    let code = currency();
    format!(
        "[bank]\nhttp = {{ listen = \"{address}\" }}\ndata = {data:?}\nkey_file = {key:?}\nname = \"Bench\"\n\
         currencies = [\"{code}\"]\nlog_policy = '''\n{policy}'''\n"
    )
}

/// The policy of the log at this address, as text.
pub async fn log_policy(address: SocketAddr) -> Outcome<String> {
    let mut connection = Connection::open(address).await?;
    let text = connection.get(archive::POLICY_PATH).await?;
    String::from_utf8(text.into()).map_err(|error| Failure::from_error(&error))
}

/// Waits until the role at this address says that it is ready.
pub async fn await_ready(address: SocketAddr) -> Outcome {
    let end = Instant::now() + READY_TIMEOUT;
    loop {
        let mut connection = Connection::open(address).await?;
        match connection.get("/readyz").await {
            Ok(_ready) => return Ok(()),
            Err(failure) if Instant::now() > end => return Err(failure),
            Err(_not_yet) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The keyset with which the bank at this address issues coins.
pub async fn issuing_keyset(address: SocketAddr) -> Outcome<Keyset> {
    let mut connection = Connection::open(address).await?;
    let list = connection.get(bank::KEYSETS_PATH).await?;
    let list = KeysetList::from_bytes(&list).map_err(|error| Failure::from_error(&error))?;
    let now = SystemClock.now();
    let keysets = list.keysets.into_iter();
    let mut keysets = keysets.map(|published| published.keyset.body);
    keysets
        .find(|keyset| keyset.issues_at(now))
        .ok_or_else(|| Failure::local("the bank issues no coins"))
}

fn parse(text: &str) -> Outcome<BankConfig> {
    let config: Config = toml::from_str(text).map_err(|error| Failure::from_error(&error))?;
    let missing = || Failure::local("the configuration has no bank");
    config.bank.ok_or_else(missing)
}
