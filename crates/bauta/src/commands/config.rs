//! `bauta config`: commented configurations and the keys that they name.

use std::{net::IpAddr, path::PathBuf};

use bauta_server::config::{Config, RoleName};
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

use crate::{
    failure::{Failure, Outcome},
    report::{FAINT, Report},
    setup::{Logs, Plan},
};

/// What to do.
#[derive(Debug, Args)]
pub struct ConfigOptions {
    /// What to do
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with configurations.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Write a commented configuration for these roles, with their keys
    Init(ConfigInit),
    /// Read a configuration and say whether it is in order
    Check {
        /// The file
        file: PathBuf,
    },
}

/// For whom and where.
#[derive(Debug, Args)]
pub struct ConfigInit {
    /// The roles; those that are named together know each other
    #[arg(required = true, value_name = "ROLE", value_parser = role())]
    pub roles: Vec<RoleName>,
    /// The folder to write to
    #[arg(long, short, default_value = ".", value_name = "DIR")]
    pub folder: PathBuf,
    /// Write one file a role, to run each in a process of its own
    #[arg(long)]
    pub apart: bool,
    /// Have the log cosigned by this many witnesses, each with a file of its own; whoever is to be independent runs one
    #[arg(long, default_value_t = 0, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..=32))]
    pub witnesses: u16,
    /// Divide the log into shards of this many days by the locks' expiry, so that old ones can be removed; 0 for one log
    #[arg(long, default_value_t = 0, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=3_660))]
    pub shard_days: u32,
    /// How many archives the policy lists; those beside the first have a file of their own and need common witnesses
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=8))]
    pub archives: u16,
    /// Of how many of these archives the word is needed
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=8))]
    pub logs_needed: u16,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The first role's port; the others follow, in the order bank, archive, merchant, witness
    #[arg(long, default_value_t = 4_001)]
    pub port: u16,
}

/// Reads a role's name, and tells the names to help and completions.
fn role() -> impl TypedValueParser<Value = RoleName> {
    let names = RoleName::ALL.iter().map(|role| role.as_str());
    PossibleValuesParser::new(names).try_map(|text| {
        let found = RoleName::ALL.iter().find(|role| role.as_str() == text);
        found.copied().ok_or("no such role")
    })
}

/// Does it.
pub fn run(options: ConfigOptions, report: &Report) -> Outcome {
    match options.command {
        ConfigCommand::Init(options) => init(options, report),
        ConfigCommand::Check { file } => {
            let config = Config::load(&file).map_err(|error| Failure::from_error(&error))?;
            check_files(&config)?;
            let roles: Vec<_> = config.roles().iter().map(|role| role.as_str()).collect();
            let result = serde_json::json!({ "ok": true, "roles": roles });
            report.result(&result, |_| format!("In order: {}", roles.join(", ")))
        }
    }
}

/// Reads the keys and policies that the configuration names: a role would end without them.
fn check_files(config: &Config) -> Outcome {
    let keys = [
        config.bank.as_ref().map(|bank| &bank.key_file),
        config.archive.as_ref().map(|archive| &archive.key_file),
        config.merchant.as_ref().map(|merchant| &merchant.key_file),
        config.witness.as_ref().map(|witness| &witness.key_file),
    ];
    for key_file in keys.into_iter().flatten() {
        super::seed_of(key_file)?;
    }
    let policies = [
        config.bank.as_ref().map(|bank| &bank.log_policy),
        config
            .merchant
            .as_ref()
            .map(|merchant| &merchant.log_policy),
        config
            .archive
            .as_ref()
            .and_then(|archive| archive.log_policy.as_ref()),
        config
            .witness
            .as_ref()
            .and_then(|witness| witness.log_policy.as_ref()),
    ];
    for policy in policies.into_iter().flatten() {
        policy.load().map_err(|error| Failure::from_error(&error))?;
    }
    Ok(())
}

fn init(options: ConfigInit, report: &Report) -> Outcome {
    let mut roles = options.roles;
    roles.sort_by_key(|role| RoleName::ALL.iter().position(|other| other == role));
    roles.dedup();
    let port = options.port;
    let plan = Plan {
        folder: options.folder,
        roles,
        apart: options.apart,
        host: options.host,
        logs: Logs {
            shard_days: options.shard_days,
            further: usize::from(options.archives - 1),
            needed: usize::from(options.logs_needed),
        },
        witnesses: usize::from(options.witnesses),
        ports: (port..port.saturating_add(3 + options.witnesses + options.archives)).collect(),
        settings: Vec::new(),
    };
    let written = plan.write()?;
    report.result(&written, |written| {
        let list = |files: &[PathBuf]| files.iter().map(|file| format!("\n  {}", file.display())).collect::<String>();
        let to_do: String = written.to_do.iter().map(|text| format!("\nTo do: {text}.")).collect();
        let run = written.configurations.iter().map(|file| format!("\n  bauta serve --config {}", file.display()));
        format!(
            "Configurations:{}\nKeys (keep them secret, back them up):{}{to_do}\n{FAINT}Then run:{}{FAINT:#}",
            list(&written.configurations),
            list(&written.keys),
            run.collect::<String>()
        )
    })
}
