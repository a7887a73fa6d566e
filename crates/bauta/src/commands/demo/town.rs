//! The roles of the demonstration, each with its own folder, keys and port.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bauta_io::{HttpOptions, HttpTransport, SystemClock};
use bauta_proto::{
    codec::Message,
    coin::KeysetList,
    transport::{Request, address, bank::KEYSETS_PATH, fetch},
};
use bauta_server::{
    config::{Config, RoleName},
    roles::{bank::BankConfig, merchant::MerchantConfig},
    serve::{ServeError, Server},
    work::World,
};
use bauta_store::merchant::OrderState;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::{
    commands::shop,
    failure::{Exit, Failure, Outcome},
    report::{FAINT, Report},
    setup::{Logs, Plan, TRADE, free_ports},
};

/// How long the roles may take to be ready, and to settle what was sold.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Witnesses of the log: of four, three are a quorum, and one may be away or lie.
const WITNESSES: usize = 4;

/// The running roles.
pub struct Town {
    /// Everything's folder.
    pub folder: PathBuf,
    /// What the roles run with.
    pub config: Config,
    /// The way to them.
    pub transport: Arc<HttpTransport>,
    plan: Plan,
    stop: watch::Sender<bool>,
    /// The witnesses, each with its own configuration, and then the other roles.
    servers: Vec<JoinHandle<Result<(), ServeError>>>,
}

impl Town {
    /// Writes configurations and keys, and starts the roles.
    pub async fn open(folder: &Path, report: &Report) -> Outcome<Self> {
        let quick = |role, key| (role, key, "200".to_owned());
        let plan = Plan {
            folder: folder.to_owned(),
            roles: TRADE.to_vec(),
            apart: false,
            host: IpAddr::from([127, 0, 0, 1]),
            logs: Logs::ONE,
            witnesses: WITNESSES,
            ports: free_ports(WITNESSES)?,
            settings: vec![
                quick(RoleName::Archive, "checkpoint_interval_ms"),
                quick(RoleName::Bank, "follow_interval_ms"),
                quick(RoleName::Merchant, "claim_interval_ms"),
                (RoleName::Merchant, "name", "\"The corner shop\"".to_owned()),
            ],
        };
        let written = plan.write()?;
        let config = Config::load(&written.configurations[0])
            .map_err(|error| Failure::from_error(&error))?;
        let transport = HttpTransport::new(HttpOptions::default())
            .map_err(|error| Failure::from_error(&error))?;
        let transport = Arc::new(transport);
        let world = World {
            clock: Arc::new(SystemClock),
            transport: Arc::clone(&transport),
        };
        let (stop, stopped) = watch::channel(false);
        let mut servers = Vec::new();
        for path in written.configurations.iter().skip(1) {
            let witness = Config::load(path).map_err(|error| Failure::from_error(&error))?;
            servers.push(serve(&witness, &world, stopped.clone()).await?);
        }
        servers.push(serve(&config, &world, stopped).await?);
        let town = Self {
            folder: folder.to_owned(),
            config,
            transport,
            plan,
            stop,
            servers,
        };
        town.bank_issues().await?;
        for (role, what) in [
            (RoleName::Bank, "accounts, coins and locks"),
            (RoleName::Archive, "the public log"),
            (RoleName::Merchant, "the shop"),
        ] {
            report.done(format!(
                "{:<9}{FAINT}{}{FAINT:#}  {what}",
                role.as_str(),
                town.url(role)
            ));
        }
        report.done(format!(
            "{:<9}{FAINT}{}{FAINT:#}  and {} more, who cosign the log",
            "witness",
            town.plan.witness_url(1),
            WITNESSES - 1
        ));
        Ok(town)
    }

    /// The bank's configuration.
    pub fn bank(&self) -> Outcome<&BankConfig> {
        self.config
            .bank
            .as_ref()
            .ok_or_else(|| Failure::local("the town has no bank"))
    }

    /// The merchant's configuration.
    pub fn merchant(&self) -> Outcome<&MerchantConfig> {
        self.config
            .merchant
            .as_ref()
            .ok_or_else(|| Failure::local("the town has no merchant"))
    }

    /// Where a role is reached.
    pub fn url(&self, role: RoleName) -> String {
        self.plan.url(role)
    }

    /// A role's own folder.
    pub fn folder_of(&self, role: RoleName) -> PathBuf {
        self.folder.join(role.as_str())
    }

    /// The witnesses' own folders.
    pub fn witness_folders(&self) -> Vec<PathBuf> {
        let numbers = 1..=WITNESSES;
        numbers
            .map(|n| self.folder.join(format!("witness-{n}")))
            .collect()
    }

    /// Waits until the bank's first keyset stands in the log.
    async fn bank_issues(&self) -> Outcome {
        wait_for("the bank's keys to be logged", async || {
            let request = Request::get(address(&self.url(RoleName::Bank), KEYSETS_PATH));
            let list = fetch(&*self.transport, request, KeysetList::BYTES_MAX).await;
            Ok(list.is_ok_and(|list| {
                KeysetList::from_bytes(&list).is_ok_and(|list| !list.keysets.is_empty())
            }))
        })
        .await
    }

    /// Waits until the merchant has its money for this many sales.
    pub async fn settled(&self, sales: usize) -> Outcome {
        let shop = shop::open(self.merchant()?)?;
        wait_for("the merchant to be paid", async || {
            Ok(shop.orders(&[OrderState::Claimed], sales)?.len() >= sales)
        })
        .await
    }

    /// What a person can type while the roles run.
    pub fn what_to_type(&self) -> String {
        let wallet = self.folder.join("wallet");
        let config = self.folder.join("bauta.toml");
        let (wallet, config) = (shell_word(&wallet), shell_word(&config));
        let shop = self.url(RoleName::Merchant);
        format!(
            "  bauta wallet --wallet {wallet} balance\n  \
               bauta wallet --wallet {wallet} list\n  \
               bauta wallet --wallet {wallet} shop {shop}\n  \
               bauta shop --config {config} add FILE --price 1.50EUR\n  \
               bauta shop --config {config} orders\n  \
               bauta bank --config {config} books\n  \
               curl {}/checkpoint",
            self.url(RoleName::Archive)
        )
    }

    /// Stops the roles in order.
    pub async fn close(self) -> Outcome {
        self.stop.send_replace(true);
        for server in self.servers {
            server
                .await
                .map_err(|error| Failure::from_error(&error))??;
        }
        Ok(())
    }
}

/// Starts the roles of one configuration.
async fn serve(
    config: &Config,
    world: &World<HttpTransport>,
    mut stop: watch::Receiver<bool>,
) -> Outcome<JoinHandle<Result<(), ServeError>>> {
    let server = Server::open(config, world).await?;
    Ok(tokio::spawn(server.serve(async move {
        // A sender that is gone means stop, too.
        let _gone = stop.wait_for(|stop| *stop).await;
    })))
}

/// A path as one types it: in quotes if it has characters that a shell would take for its own.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,=@".contains(c);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

async fn wait_for(what: &str, mut is_so: impl AsyncFnMut() -> Outcome<bool>) -> Outcome {
    let begun = tokio::time::Instant::now();
    while !is_so().await? {
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(
                Exit::Local,
                format!("gave up waiting for {what}"),
            ));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
