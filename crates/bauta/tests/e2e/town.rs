//! A bank, an archive and a shop, each its own process on its own port, in one temporary folder.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    process::{Output, Role, bauta, run},
    proxy::Proxy,
    purse::Purse,
};

/// The roles, in the order of their ports.
pub(crate) const ROLES: [&str; 3] = ["bank", "archive", "merchant"];
pub(crate) const BANK: usize = 0;
pub(crate) const ARCHIVE: usize = 1;
pub(crate) const MERCHANT: usize = 2;

/// Those who cosign the logs' checkpoints, where a town has them: behind [`ROLES`].
const WITNESSES: [&str; 4] = ["witness-1", "witness-2", "witness-3", "witness-4"];
/// Archives beside the first, where a town has them: behind the witnesses.
const FURTHER_ARCHIVES: [&str; 2] = ["archive-2", "archive-3"];

/// Longest wait for the merchant's claims.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Seconds for which the tests lock money: short, so that it returns soon.
pub(crate) const LOCK_FOR: &str = "20";

/// What keeps the waits short.
const QUICK: &[(&str, &str, i64)] = &[
    ("bank", "follow_interval_ms", 200),
    ("archive", "checkpoint_interval_ms", 200),
    ("merchant", "checkpoint_interval_s", 1),
    ("merchant", "bank_round_trip_s", 1),
    ("merchant", "claim_interval_ms", 300),
];

/// How a town is built.
#[derive(Default)]
pub(crate) struct Plan {
    /// Everybody reaches everybody through a [`Proxy`].
    pub(crate) proxied: bool,
    /// How many witnesses cosign the logs' checkpoints. None: the log does it itself.
    pub(crate) witnesses: usize,
    /// Archives beside the first, in the same policy.
    pub(crate) further_archives: usize,
    /// Of how many archives the word is needed; 0 is as 1.
    pub(crate) logs_needed: usize,
    /// Length of a shard in days; 0 for one log an archive.
    pub(crate) shard_days: u32,
    /// Further settings: section, key, value.
    pub(crate) settings: Vec<(&'static str, &'static str, toml::Value)>,
}

impl Plan {
    /// All roles in their order.
    fn names(&self) -> Vec<&'static str> {
        let witnesses = &WITNESSES[..self.witnesses];
        [
            &ROLES,
            witnesses,
            &FURTHER_ARCHIVES[..self.further_archives],
        ]
        .concat()
    }

    /// What `config init` is told.
    fn flags(&self) -> [String; 4] {
        [
            format!("--witnesses={}", self.witnesses),
            format!("--archives={}", self.further_archives + 1),
            format!("--logs-needed={}", self.logs_needed.max(1)),
            format!("--shard-days={}", self.shard_days),
        ]
    }

    /// Changes what `config init` wrote for a role of this kind.
    fn adapt(&self, table: &mut toml::Table, kind: &str, port: u16) {
        set(table, kind, "http", toml::Table::new().into());
        let http = table[kind]["http"].as_table_mut().expect("set");
        http.insert("listen".into(), format!("127.0.0.1:{port}").into());
        for (section, key, value) in QUICK {
            if *section == kind {
                set(table, kind, key, (*value).into());
            }
        }
        for (section, key, value) in &self.settings {
            if *section == kind || *section == "log" {
                set(table, section, key, value.clone());
            }
        }
    }
}

/// Which role one of this name plays.
fn kind_of(name: &str) -> &str {
    let numbered = name
        .rsplit_once('-')
        .filter(|(_, number)| number.parse::<u8>().is_ok());
    numbered.map_or(name, |(kind, _)| kind)
}

/// Everything that a test needs to be somebody in the world.
pub(crate) struct Town {
    /// [`ROLES`], then witnesses, then further archives, then what [`Town::open_shop`] added.
    pub(crate) roles: Vec<Arc<Role>>,
    /// Empty unless the plan asked for them.
    pub(crate) proxies: Vec<Proxy>,
    /// Where everybody reaches the roles.
    ports: Vec<u16>,
    root: PathBuf,
    /// Removed at the end, after the roles have ended.
    folder: TempDir,
}

impl Town {
    /// Open shops, direct ways.
    pub(crate) fn open() -> Self {
        Self::build(Plan::default())
    }

    /// The same with a proxy before each role.
    pub(crate) fn proxied() -> Self {
        Self::build(Plan {
            proxied: true,
            ..Plan::default()
        })
    }

    /// Writes the configurations with the program itself, starts every role and waits for it.
    pub(crate) fn build(plan: Plan) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bauta-e2e-")
            .tempdir()
            .expect("a temporary folder");
        Self::build_in(folder, &plan)
    }

    /// The same in a certain folder.
    pub(crate) fn build_in(folder: TempDir, plan: &Plan) -> Self {
        let town = Self::write(folder, plan);
        town.roles.iter().for_each(|role| role.start());
        town.roles.iter().for_each(|role| role.wait());
        town
    }

    /// The configurations alone.
    pub(crate) fn write(folder: TempDir, plan: &Plan) -> Self {
        let root = folder.path().to_owned();
        Self::write_in(folder, &root, plan)
    }

    /// The configurations alone, in `root`, which lies in the temporary `folder`.
    pub(crate) fn write_in(folder: TempDir, root: &Path, plan: &Plan) -> Self {
        // Long before anybody listens: a process that is being made holds what its maker has open for a moment.
        let names = plan.names();
        // The place behind the roles is of one that the town does not have.
        let of_roles = |mut ports: Vec<u16>| {
            ports.remove(ROLES.len());
            ports
        };
        let block = free_ports(names.len() + 1);
        let first = block[0].to_string();
        let ports = of_roles(block);
        let own_ports = if plan.proxied {
            of_roles(free_ports(names.len() + 1))
        } else {
            ports.clone()
        };
        let mut init = bauta();
        init.args(["config", "init", "--json", "--apart", "--port", &first])
            .arg("--folder")
            .arg(root)
            .args(plan.flags())
            .args(ROLES);
        run(&mut init).good();
        for (name, port) in names.iter().zip(&own_ports) {
            edit(&root.join(format!("{name}.toml")), |table| {
                plan.adapt(table, kind_of(name), *port);
            });
        }
        let pairs = ports.iter().zip(&own_ports);
        let proxies = pairs
            .filter(|(port, own)| port != own)
            .map(|(port, own)| Proxy::start(*port, *own))
            .collect();
        let roles = names.into_iter().zip(&own_ports);
        let roles = roles.map(|(name, port)| Arc::new(Role::new(name, root, *port)));
        Self {
            roles: roles.collect(),
            proxies,
            ports,
            root: root.to_owned(),
            folder,
        }
    }

    /// Opens a further shop that is like the first, with a key, goods and records of its own; its number among the roles.
    pub(crate) fn open_shop(&mut self, name: &'static str) -> usize {
        let key = format!("{name}.key");
        run(bauta().args(["keygen", "--json"]).arg(self.root.join(&key))).good();
        let ports = free_ports(2);
        let (port, own) = (ports[0], ports[usize::from(!self.proxies.is_empty())]);
        let role = Role::new(name, &self.root, own);
        fs::copy(&self.roles[MERCHANT].config, &role.config).expect("copied");
        edit(&role.config, |table| {
            set(table, "merchant", "data", name.into());
            set(table, "merchant", "key_file", key.into());
            set(table, "merchant", "name", name.into());
            let http = table["merchant"]["http"].as_table_mut().expect("set");
            http.insert("listen".into(), format!("127.0.0.1:{own}").into());
        });
        if port != own {
            self.proxies.push(Proxy::start(port, own));
        }
        role.start();
        role.wait();
        self.ports.push(port);
        self.roles.push(Arc::new(role));
        self.roles.len() - 1
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// Leaves the folder there at the end.
    pub(crate) fn keep_folder(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// The address under which everybody knows a role.
    pub(crate) fn url(&self, role: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[role])
    }

    /// Runs a command of a role's operator.
    pub(crate) fn operate(&self, role: usize, arguments: &[&str]) -> Output {
        let command = match role {
            BANK | ARCHIVE => ROLES[role],
            _ => "shop",
        };
        let mut operator = bauta();
        operator
            .args([command, "--json", "--no-input", "--config"])
            .arg(&self.roles[role].config)
            .args(arguments);
        run(&mut operator)
    }

    /// Writes a file beside everything else.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join("sources").join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        fs::write(&path, content).expect("written");
        path
    }

    /// Puts a file or folder up for sale; its id in the shop.
    #[track_caller]
    pub(crate) fn sell(&self, path: &Path, price: &str, title: &str) -> String {
        self.sell_in(MERCHANT, path, price, title)
    }

    /// The same in a certain shop.
    #[track_caller]
    pub(crate) fn sell_in(&self, shop: usize, path: &Path, price: &str, title: &str) -> String {
        let path = path.to_str().expect("plain names");
        let added = self.operate(shop, &["add", path, "--price", price, "--title", title]);
        let added = added.good();
        added["good"].as_str().expect("an id").to_owned()
    }

    /// A new wallet that knows the bank, with money in its account.
    #[track_caller]
    pub(crate) fn customer(&self, name: &str, amount: &str) -> Purse {
        let mut purse = Purse {
            folder: self.path().join(name),
            account: String::new(),
            credited: 0,
        };
        let words = purse.words_file();
        let words = words.to_str().expect("plain names");
        purse
            .run(&["init", "--no-passphrase", "--words-to", words])
            .good();
        let bank = purse.run(&["bank", "add", &self.url(BANK)]).good();
        purse.account = bank["account"].as_str().expect("an account").to_owned();
        self.credit(&mut purse, amount, "first");
        purse
    }

    /// The same, with the money in coins.
    #[track_caller]
    pub(crate) fn rich_customer(&self, name: &str, amount: &str) -> Purse {
        let purse = self.customer(name, amount);
        purse.run(&["withdraw", amount]).good();
        purse
    }

    #[track_caller]
    pub(crate) fn credit(&self, purse: &mut Purse, amount: &str, reference: &str) {
        let before = self.balance_of(&purse.account);
        let reference = &format!("{reference} of {}", purse.account);
        self.operate(
            BANK,
            &["credit", &purse.account, amount, "--reference", reference],
        )
        .good();
        purse.credited += self.balance_of(&purse.account) - before;
    }

    /// What an account holds, in minor units.
    #[track_caller]
    pub(crate) fn balance_of(&self, account: &str) -> u64 {
        let rows = self.accounts();
        let row = rows.iter().find(|row| row["account"] == account);
        row.map_or(0, |row| row["minor_units"].as_u64().expect("a number"))
    }

    #[track_caller]
    fn accounts(&self) -> Vec<Value> {
        let rows = self.operate(BANK, &["accounts"]).good();
        rows.as_array().expect("a list").clone()
    }

    /// The books' totals; every row of them must agree.
    #[track_caller]
    pub(crate) fn books(&self) -> Books {
        let audit = self.operate(BANK, &["books"]).good();
        assert_eq!(audit["ok"], true, "{audit}");
        let rows = audit["currencies"].as_array().expect("a list");
        let sum = |name: &str| {
            rows.iter()
                .map(|row| row[name].as_u64().expect("a number"))
                .sum()
        };
        let books = Books {
            reserve: sum("reserve"),
            accounts: sum("accounts"),
            circulation: sum("circulation"),
            locked: sum("locked"),
            income: sum("income"),
        };
        let parts = books.accounts + books.circulation + books.locked + books.income;
        assert_eq!(books.reserve, parts, "{audit}");
        books
    }

    /// What must hold when everything is decided: each customer has its money or the goods that it paid, the shop has
    /// what was paid for goods and nothing else, and the bank's books say the same.
    #[track_caller]
    pub(crate) fn settle(&self, purses: &[&Purse]) {
        let (mut credited, mut coins, mut accounts, mut paid) = (0, 0, 0, 0);
        for purse in purses {
            let in_account = self.balance_of(&purse.account);
            let (has, spent) = (purse.settled(), purse.paid());
            let purchases = purse.purchases();
            assert_eq!(purse.credited, in_account + has + spent, "{purchases:#?}");
            credited += purse.credited;
            coins += has;
            accounts += in_account;
            paid += spent;
        }
        let begun = Instant::now();
        loop {
            let books = self.books();
            if books.locked == 0 || begun.elapsed() > SETTLE_LIMIT {
                let expected = Books {
                    reserve: credited,
                    accounts: accounts + paid,
                    circulation: coins,
                    locked: 0,
                    income: 0,
                };
                assert_eq!(books, expected, "{}", self.said());
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the roles wrote to standard error.
    pub(crate) fn said(&self) -> String {
        self.roles.iter().map(|role| role.said()).collect()
    }

    /// Changes a role's configuration file.
    pub(crate) fn configure(&self, role: usize, section: &str, key: &str, value: toml::Value) {
        edit(&self.roles[role].config, |table| {
            set(table, section, key, value);
        });
    }

    /// Checks all of a log by the town's policy: its address, or the folder with its files.
    pub(crate) fn verify_log(&self, place: &str) -> Output {
        let mut verify = bauta();
        verify.args(["log", "--json", "verify", place, "--policy"]);
        run(verify.arg(self.root.join("log-policy")))
    }

    /// A command that buys the shop's only good or the one that is named, locking for a short time.
    pub(crate) fn buy(&self, purse: &Purse, good: &str, more: &[&str]) -> Command {
        let shop = self.url(MERCHANT);
        let fixed = ["buy", &shop, good, "--yes", "--lock-for", LOCK_FOR];
        purse.command(&[&fixed, more].concat())
    }
}

/// The books' totals over all currencies, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) reserve: u64,
    pub(crate) accounts: u64,
    pub(crate) circulation: u64,
    pub(crate) locked: u64,
    pub(crate) income: u64,
}

/// Changes a configuration file.
fn edit(path: &Path, change: impl FnOnce(&mut toml::Table)) {
    let text = fs::read_to_string(path).expect("a configuration");
    let mut table: toml::Table = text.parse().expect("valid");
    change(&mut table);
    fs::write(path, table.to_string()).expect("written");
}

fn set(table: &mut toml::Table, section: &str, key: &str, value: toml::Value) {
    let section = table.entry(section).or_insert(toml::Table::new().into());
    let section = section.as_table_mut().expect("a section");
    if key == "http" {
        section.entry(key).or_insert(value);
    } else {
        section.insert(key.to_owned(), value);
    }
}

/// Ports in a row that are free, below those that the system gives to callers.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = u16::try_from(count).expect("a town is small");
    let process = u16::try_from(std::process::id() % 500).expect("small");
    loop {
        let number = NEXT.fetch_add(count, Ordering::Relaxed) % 20_000;
        let first = 10_000 + (process * 40 + number) % 21_000;
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (first..first + count).all(is_free) {
            return (first..first + count).collect();
        }
    }
}
