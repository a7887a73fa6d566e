//! Roles as they run for customers: configured, started, and ready.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bauta_io::{SystemClock, SystemRng};
use bauta_proto::{
    codec::Message,
    coin::{Keyset, KeysetList},
    ids::{AccountId, BankId, GoodId, KeysetId, MerchantId, PolicyId},
    money::{Amount, Currency, Money},
    time::Clock,
    transport::bank::KEYSETS_PATH,
};
use bauta_server::{
    config::{Config, RoleName},
    keys::RoleSeed,
    roles::{
        archive::ArchiveConfig,
        bank::{BankConfig, bank_id, operator},
        merchant::{MerchantConfig, goods::GoodInput, merchant_id},
    },
};

use super::{
    load::Connection,
    process::{Cores, Process},
};
use crate::{
    commands::shop,
    failure::{Failure, Outcome},
    setup,
};

/// How long a role may take until it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The witnesses that are measured.
const WITNESS_NAMES: [&str; 4] = ["witness-1", "witness-2", "witness-3", "witness-4"];

/// Roles that are configured; each in a file of its own, or all in one.
pub struct Configured {
    plan: setup::Plan,
    /// What the files say.
    config: Config,
    files: Vec<PathBuf>,
}

impl Configured {
    /// Writes keys and configurations.
    pub fn write(folder: &Path, roles: &[RoleName], apart: bool) -> Outcome<Self> {
        Self::write_with(folder, roles, apart, 0)
    }

    /// Writes keys and configurations, also of witnesses with a file each.
    pub fn write_with(
        folder: &Path,
        roles: &[RoleName],
        apart: bool,
        witnesses: usize,
    ) -> Outcome<Self> {
        let plan = setup::Plan {
            folder: folder.to_owned(),
            roles: roles.to_vec(),
            apart,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            logs: setup::Logs::ONE,
            witnesses,
            ports: setup::free_ports(witnesses)?,
            settings: Vec::new(),
        };
        let files = plan.write()?.configurations;
        let mut config: Option<Config> = None;
        for file in &files {
            let read = Config::load(file).map_err(|error| Failure::from_error(&error))?;
            config = Some(match config {
                None => read,
                Some(earlier) => merged(earlier, read),
            });
        }
        let config = config.ok_or_else(|| Failure::local("no role is configured"))?;
        Ok(Self {
            plan,
            config,
            files,
        })
    }

    /// Where a role listens.
    pub fn address(&self, role: RoleName) -> Outcome<SocketAddr> {
        let url = self.plan.url(role);
        let address = url.trim_start_matches("http://").parse();
        address.map_err(|_| Failure::local("a role has no address"))
    }

    /// The address of a role for a wallet.
    pub fn url(&self, role: RoleName) -> String {
        self.plan.url(role)
    }

    /// The file with all of a role's settings.
    pub fn file(&self, role: RoleName) -> Outcome<&Path> {
        let name = format!("{}.toml", role.as_str());
        let named = |file: &&PathBuf| file.ends_with(&name) || file.ends_with("bauta.toml");
        let file = self.files.iter().find(named);
        file.map(PathBuf::as_path)
            .ok_or_else(|| Failure::local("a role is not configured"))
    }

    /// The bank's settings.
    pub fn bank(&self) -> Outcome<&BankConfig> {
        let bank = self.config.bank.as_ref();
        bank.ok_or_else(|| Failure::local("there is no bank"))
    }

    /// The bank's keys.
    pub fn bank_seed(&self) -> Outcome<RoleSeed> {
        load_seed(&self.bank()?.key_file)
    }

    /// The merchant's settings.
    pub fn merchant(&self) -> Outcome<&MerchantConfig> {
        let merchant = self.config.merchant.as_ref();
        merchant.ok_or_else(|| Failure::local("there is no merchant"))
    }

    /// Starts the process of one role.
    pub async fn serve(&self, role: RoleName, cores: Cores) -> Outcome<Process> {
        let file = self.file(role)?;
        let mut process = Process::serve(role.as_str(), &self.plan.folder, file, cores)?;
        await_ready(self.address(role)?, &mut process).await?;
        Ok(process)
    }

    /// Starts the process of one witness, counted from 1.
    pub async fn serve_witness(&self, number: usize) -> Outcome<Process> {
        let name: &'static str = WITNESS_NAMES
            .get(number - 1)
            .ok_or_else(|| Failure::local("more witnesses than are measured"))?;
        let file = self.plan.folder.join(format!("{name}.toml"));
        let mut process = Process::serve(name, &self.plan.folder, &file, Cores::All)?;
        let url = self.plan.witness_url(number);
        let address = url.trim_start_matches("http://").parse();
        let address = address.map_err(|_| Failure::local("a witness has no address"))?;
        await_ready(address, &mut process).await?;
        Ok(process)
    }

    /// The archive's settings.
    pub fn archive(&self) -> Outcome<&ArchiveConfig> {
        let archive = self.config.archive.as_ref();
        archive.ok_or_else(|| Failure::local("there is no archive"))
    }

    /// Starts all roles in one process.
    pub async fn serve_together(&self) -> Outcome<Process> {
        let file = self.file(RoleName::Bank)?;
        let mut process = Process::serve("roles", &self.plan.folder, file, Cores::All)?;
        for role in &self.plan.roles {
            await_ready(self.address(*role)?, &mut process).await?;
        }
        Ok(process)
    }
}

/// What customers know of a bank that is ready.
pub struct Setting {
    /// How the roles are configured.
    pub configured: Configured,
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
}

impl Setting {
    /// Learns what a bank publishes.
    pub async fn learn(configured: Configured) -> Outcome<Self> {
        let address = configured.address(RoleName::Bank)?;
        let keyset = issuing_keyset(address).await?;
        let policy = configured.bank()?.log_policy.load();
        let policy = policy.map_err(|error| Failure::from_error(&error))?;
        Ok(Self {
            bank: bank_id(&configured.bank_seed()?),
            address,
            policy: policy.policy_id(),
            keyset_id: keyset.keyset_id(),
            keyset,
            configured,
        })
    }

    /// Books money for an account, as the bank's operator does.
    pub fn credit(&self, account: AccountId, minor_units: u64) -> Outcome {
        let units = Amount::new(minor_units);
        let units = units.ok_or_else(|| Failure::local("more money than there can be"))?;
        let money = units.of(self.keyset.currency);
        let (bank, now) = (self.configured.bank()?, SystemClock.now());
        operator::credit(bank, account, money, &account.hex(), now)
            .map_err(|error| Failure::from_error(&error))
    }

    /// The file of the bank's records.
    pub fn store_path(&self) -> Outcome<PathBuf> {
        Ok(self.configured.bank()?.store_path())
    }
}

/// A shop with one good.
#[derive(Clone, Copy)]
pub struct Shop {
    /// The merchant.
    pub merchant: MerchantId,
    /// Where it listens.
    pub address: SocketAddr,
    /// The good.
    pub good: GoodId,
    /// What it costs.
    pub price: Money,
}

impl Shop {
    /// Puts a file on the shelf for one minor unit.
    pub fn open(configured: &Configured, file: &Path) -> Outcome<Self> {
        let config = configured.merchant()?;
        let price = Amount::power_of_two(0).expect("one").of(currency());
        let input = GoodInput {
            title: "Good".to_owned(),
            price,
            description: String::new(),
            licence: String::new(),
            refund_rule: String::new(),
            media_type: None,
        };
        let mut rng = SystemRng::new();
        let added = shop::open(config)?.add_good(file, &input, &mut rng, &mut |_| {});
        let added = added.map_err(|error| shop::not_added(file, &error))?;
        Ok(Self {
            merchant: merchant_id(&load_seed(&config.key_file)?),
            address: configured.address(RoleName::Merchant)?,
            good: added.good,
            price,
        })
    }
}

/// The currency of all measurements.
pub fn currency() -> Currency {
    Currency::from_code("EUR").expect("a currency of ISO 4217")
}

fn merged(one: Config, other: Config) -> Config {
    Config {
        bank: one.bank.or(other.bank),
        archive: one.archive.or(other.archive),
        merchant: one.merchant.or(other.merchant),
        witness: one.witness.or(other.witness),
        ..other
    }
}

fn load_seed(file: &Path) -> Outcome<RoleSeed> {
    RoleSeed::load(file).map_err(|error| Failure::from_error(&error))
}

/// Waits until the role at this address says that it is ready.
async fn await_ready(address: SocketAddr, process: &mut Process) -> Outcome {
    let end = Instant::now() + READY_TIMEOUT;
    loop {
        let asked = match Connection::open(address).await {
            Ok(mut connection) => connection.get("/readyz").await,
            Err(failure) => Err(failure),
        };
        match asked {
            Ok(_ready) => return Ok(()),
            Err(failure) if Instant::now() > end => return Err(failure),
            Err(_not_yet) => process.check_running()?,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The keyset with which the bank at this address issues coins.
async fn issuing_keyset(address: SocketAddr) -> Outcome<Keyset> {
    let mut connection = Connection::open(address).await?;
    let list = connection.get(KEYSETS_PATH).await?;
    let list = KeysetList::from_bytes(&list).map_err(|error| Failure::from_error(&error))?;
    let now = SystemClock.now();
    let keysets = list.keysets.into_iter();
    let mut keysets = keysets.map(|published| published.keyset.body);
    keysets
        .find(|keyset| keyset.issues_at(now))
        .ok_or_else(|| Failure::local("the bank issues no coins"))
}
