//! The table of roles: how each is configured and opened, and what it does by itself.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use axum::Router;
use bauta_proto::{ids::BankId, log::policy::Policy};
use bauta_server::{
    edge::Standard,
    roles::{
        archive::{Archive, ArchiveConfig, log_policy},
        bank::{Bank, BankConfig, bank_id},
        merchant::{Merchant, MerchantConfig},
        witness::{Witness, WitnessConfig, witness_vkey},
    },
    work::World as RoleWorld,
};
use futures_util::future::{BoxFuture, join3};
use tokio::time::sleep;

use crate::{
    net::SimTransport,
    node::{Honest, Kind, Node, NodeId, Puppet, Service},
    world::Core,
};

/// Currency of everything.
pub(crate) const CURRENCY: &str = "EUR";
/// The name of every good.
pub const GOOD: &str = "Good";
/// Time between two looks of a bank at the log.
const BANK_INTERVAL: Duration = Duration::from_secs(3);
/// Time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two rounds of a shop's work.
const SHOP_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks for lapsed offers.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// An incarnation of a role.
pub(crate) struct Role {
    pub(crate) service: Arc<dyn Service>,
    /// What it does by itself, for ever.
    pub(crate) jobs: BoxFuture<'static, ()>,
}

/// Why a role did not start, in words.
pub(crate) type StartError = Box<dyn Error + Send + Sync>;

/// Starts the role that lives at `node`, with a liar in front of it if there is one.
pub(crate) fn open(core: &Arc<Core>, node: &Node) -> Result<Role, StartError> {
    let role = match node.id.kind {
        Kind::Bank => open_bank(core, node)?,
        Kind::Archive => open_archive(core, node)?,
        Kind::Witness => open_witness(core, node)?,
        Kind::Merchant => open_merchant(core, node)?,
        Kind::Wallet => return Err("a wallet answers nobody".into()),
    };
    let Some(mask) = node.mask() else {
        return Ok(role);
    };
    let puppet = Puppet {
        id: node.id,
        keys: node.keys.clone(),
        transport: transport(core, node),
        clock: Arc::clone(&node.clock),
        honest: role.service,
        chance: core.chance.branch("liar"),
    };
    Ok(Role {
        service: mask(puppet),
        ..role
    })
}

fn open_bank(core: &Arc<Core>, node: &Node) -> Result<Role, StartError> {
    let config = bank_config(core, node.id);
    let bank = Bank::open(&config, node.keys.clone(), world(core, node))?;
    let watched = Arc::clone(&bank);
    let service = behind_edge("bank", bank.router(), move || watched.ready());
    let jobs = async move {
        loop {
            // What fails is tried again in the next round.
            let _again = bank.tick().await;
            sleep(BANK_INTERVAL).await;
        }
    };
    Ok(Role {
        service,
        jobs: Box::pin(jobs),
    })
}

fn open_archive(core: &Arc<Core>, node: &Node) -> Result<Role, StartError> {
    let config = archive_config(core, node.id);
    let archive = Archive::open(&config, node.keys.clone(), &world(core, node))?;
    let watched = Arc::clone(&archive);
    let service = behind_edge("archive", archive.router(), move || watched.ready());
    let jobs = async move {
        loop {
            let _again = archive.publish_once().await;
            sleep(CHECKPOINT_INTERVAL).await;
        }
    };
    Ok(Role {
        service,
        jobs: Box::pin(jobs),
    })
}

fn open_witness(core: &Arc<Core>, node: &Node) -> Result<Role, StartError> {
    let config = witness_config(core, node.id);
    let witness = Witness::open(&config, &node.keys, node.clock.clone())?;
    Ok(Role {
        service: behind_edge("witness", witness.router(), || Ok(())),
        // It has nothing to do but answer.
        jobs: Box::pin(std::future::pending()),
    })
}

fn open_merchant(core: &Arc<Core>, node: &Node) -> Result<Role, StartError> {
    let config = merchant_config(core, node.id);
    let merchant = Merchant::open(&config, node.keys.clone(), world(core, node))?;
    let watched = Arc::clone(&merchant);
    let service = behind_edge("merchant", merchant.router(), move || watched.ready());
    let shop = Arc::clone(&merchant);
    let sales = async move {
        loop {
            let _again = shop.push_commits().await;
            let _again = shop.collect_receipts().await;
            let _again = shop.follow_logs().await;
            sleep(SHOP_INTERVAL).await;
        }
    };
    let shop = Arc::clone(&merchant);
    let claims = async move {
        loop {
            sleep(SHOP_INTERVAL).await;
            let _again = shop.claim().await;
        }
    };
    let offers = async move {
        loop {
            sleep(PRUNE_INTERVAL).await;
            let _again = merchant.expire().await;
        }
    };
    let jobs = async {
        join3::<_, _, _>(sales, claims, offers).await;
    };
    Ok(Role {
        service,
        jobs: Box::pin(jobs),
    })
}

fn behind_edge(
    name: &'static str,
    router: Router,
    ready: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static,
) -> Arc<dyn Service> {
    Arc::new(Honest(Standard::new(name).wrap(router, ready)))
}

fn world(core: &Arc<Core>, node: &Node) -> RoleWorld<SimTransport> {
    RoleWorld {
        clock: node.clock.clone(),
        transport: transport(core, node),
    }
}

/// The way of a node's present incarnation to others.
pub(crate) fn transport(core: &Arc<Core>, node: &Node) -> Arc<SimTransport> {
    let transport = SimTransport::new(Arc::clone(core), node.id, node.disk.life());
    Arc::new(transport)
}

/// The policy that everybody goes by.
pub(crate) fn policy(core: &Core) -> Policy {
    let archive = core.node(NodeId::archive(0));
    let policy = log_policy(&archive.keys, &origin(archive.id), &archive.id.url());
    let alone = policy.expect("names and addresses of nodes are in form");
    let witnesses = core.nodes_of(Kind::Witness);
    if witnesses.is_empty() {
        return alone;
    }
    let log = alone.text().lines().next().unwrap_or_default();
    let mut text = format!("{log}\n");
    for node in &witnesses {
        let key = witness_vkey(&node.keys, &witness_name(node.id));
        let key = key.expect("names of nodes are in form");
        text += &format!("witness {} {key} {}\n", node.id, node.id.url());
    }
    let names: Vec<String> = witnesses.iter().map(|node| node.id.to_string()).collect();
    let enough = names.len().max(2) - 1;
    text += &format!("group enough {enough} {}\nquorum enough\n", names.join(" "));
    text.parse().expect("the simulator's policies are in form")
}

fn witness_name(witness: NodeId) -> String {
    format!("{witness}.sim/witness")
}

fn witness_config(core: &Core, id: NodeId) -> WitnessConfig {
    configuration(&format!(
        "{}
         name = '{}'
         log_policy = '''{}'''",
        common(&core.node(id).folder),
        witness_name(id),
        policy(core).text(),
    ))
}

fn origin(archive: NodeId) -> String {
    format!("{archive}.sim/log")
}

fn banks(core: &Core) -> Vec<(NodeId, BankId)> {
    let nodes = core.nodes_of(Kind::Bank);
    let banks = nodes.iter().map(|node| (node.id, bank_id(&node.keys)));
    banks.collect()
}

/// The configuration of a bank.
pub(crate) fn bank_config(core: &Core, id: NodeId) -> BankConfig {
    let node = core.node(id);
    configuration(&format!(
        "{}
         name = '{id}'
         currencies = ['{CURRENCY}']
         log_policy = '''{}'''
         exponent_max = 3
         claim_days = 1",
        common(&node.folder),
        policy(core).text(),
    ))
}

fn archive_config(core: &Core, id: NodeId) -> ArchiveConfig {
    let node = core.node(id);
    let banks: Vec<String> = banks(core)
        .iter()
        .map(|(_, bank)| format!("'{}'", bank.hex()))
        .collect();
    let policy = match core.plan.witnesses {
        0 => String::new(),
        _ => format!("log_policy = '''{}'''", policy(core).text()),
    };
    configuration(&format!(
        "{}
         origin = '{}'
         url = '{}'
         banks = [{}]
         {policy}",
        common(&node.folder),
        origin(id),
        id.url(),
        banks.join(", "),
    ))
}

/// The configuration of a shop.
pub(crate) fn merchant_config(core: &Core, id: NodeId) -> MerchantConfig {
    let node = core.node(id);
    let banks: Vec<String> = banks(core)
        .iter()
        .map(|(node, bank)| format!("{{ bank = '{}', url = '{}' }}", bank.hex(), node.url()))
        .collect();
    configuration(&format!(
        "{}
         name = '{id}'
         log_policy = '''{}'''
         banks = [{}]",
        common(&node.folder),
        policy(core).text(),
        banks.join(", "),
    ))
}

fn common(folder: &Path) -> String {
    format!(
        "http = {{ listen = '127.0.0.1:1' }}
         data = '{0}'
         key_file = '{0}/key'",
        folder.display(),
    )
}

/// Roles take their settings as an operator writes them; what is not named is as by default.
fn configuration<C: serde::de::DeserializeOwned>(text: &str) -> C {
    toml::from_str(text).expect("the simulator's configurations are in form")
}
