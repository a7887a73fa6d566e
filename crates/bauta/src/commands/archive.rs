//! `bauta archive`: what an archive's operator does. Works on the archive's files, beside the running archive.

use bauta_io::SystemClock;
use bauta_proto::{
    limits::POLICY_BYTES_MAX,
    log::policy::Shard,
    time::{Clock, Seconds},
};
use bauta_server::roles::archive::{
    ArchiveConfig, ArchiveStartError, PrunedShard, address, is_too_long, log_lines, own_policy,
    prune, shards_until,
};
use clap::{Args, Subcommand};

use crate::{
    arguments::ConfigFile,
    failure::{Failure, Outcome},
    report::{FAINT, Report, length},
};

/// Which archive, and what to do.
#[derive(Debug, Args)]
pub struct ArchiveOptions {
    /// The archive's configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// What to do
    #[command(subcommand)]
    pub command: ArchiveCommand,
}

/// What an archive's operator does.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Print the configured log policy; without one, that of this archive's logs, cosigned by the archive itself
    Policy {
        /// With shards: list those of this many years to come; their keys are known already
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        years: u32,
        /// Print the lines of the logs alone, for a policy with other witnesses or several archives
        #[arg(long)]
        lines: bool,
    },
    /// Remove entries and files of shards that were frozen long ago; their last checkpoints stay
    Prune {
        /// Only list what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Days after a shard's end for which it is kept [default: retention_days of the configuration]
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<u32>,
    },
}

/// Does it.
pub fn run(options: ArchiveOptions, report: &Report) -> Outcome {
    let config = options.config.load()?.archive;
    let config = config.ok_or_else(|| options.config.lacks("archive"))?;
    match options.command {
        ArchiveCommand::Policy { years, lines } => policy(&config, years, lines, report),
        ArchiveCommand::Prune {
            dry_run,
            retention_days,
        } => {
            let days = retention_days.or(config.retention_days).ok_or_else(|| {
                Failure::local("nothing says how long shards are kept").remedy(
                    "Set retention_days in the configuration, or name --retention-days DAYS.",
                )
            })?;
            check_retention(&config, days)?;
            remove(&config, days, dry_run, report)
        }
    }
}

fn policy(config: &ArchiveConfig, years: u32, lines: bool, report: &Report) -> Outcome {
    let seed = super::seed_of(&config.key_file)?;
    let url = address(config).map_err(|error| failure(&error))?;
    let now = SystemClock.now();
    let until = now.plus(Seconds::days(366 * years));
    let shards: Vec<Shard> = shards_until(config, now, until)?;
    let place = (config.origin.as_str(), url.as_str());
    let logs = || log_lines(&seed, place, &shards).map_err(|error| failure(&error));
    let text = match (lines, &config.log_policy) {
        (true, _) => logs()?,
        (false, Some(source)) => {
            let policy = source.load().map_err(|error| Failure::from_error(&error))?;
            let missing = unlisted(policy.text(), &logs()?);
            if missing > 0 {
                report.warn(format!(
                    "The configured policy does not list {missing} of this archive's logs of {years} years to come. \
                     Print their lines with --lines, and make a new policy with them and its witnesses."
                ));
            }
            policy.text().to_owned()
        }
        (false, None) => {
            let policy = own_policy(&seed, place, &shards).map_err(|error| failure(&error))?;
            policy.text().to_owned()
        }
    };
    report.result(&serde_json::json!({ "ok": true, "policy": text }), |_| {
        text.clone()
    })
}

/// How many of these logs a policy does not list, whatever their addresses are there.
fn unlisted(policy: &str, logs: &str) -> usize {
    let key = |line: &str| {
        let mut words = line.split_whitespace();
        let is_log = words.next() == Some("log");
        words.next().filter(|_| is_log).map(str::to_owned)
    };
    let listed: Vec<String> = policy.lines().filter_map(key).collect();
    let keys = logs.lines().filter_map(key);
    keys.filter(|key| !listed.contains(key)).count()
}

fn failure(error: &ArchiveStartError) -> Failure {
    let failure = Failure::from_error(error);
    if is_too_long(error) {
        let remedy = format!("A policy has {POLICY_BYTES_MAX} bytes at most: list fewer --years.");
        failure.remedy(remedy)
    } else {
        failure
    }
}

/// What locks can still be claimed by is not removed.
fn check_retention(config: &ArchiveConfig, days: u32) -> Outcome {
    let claim_days = config.claim_days;
    if days >= claim_days {
        return Ok(());
    }
    let what = format!(
        "{days} days are too few: the banks' locks can be claimed for {claim_days} days after they expire (claim_days)"
    );
    let remedy = format!("Name --retention-days {claim_days} or more.");
    Err(Failure::local(what).remedy(remedy))
}

fn remove(config: &ArchiveConfig, days: u32, dry_run: bool, report: &Report) -> Outcome {
    let retention = Seconds(days.saturating_mul(86_400));
    let pruned = prune(config, retention, SystemClock.now(), dry_run)?;
    let shards: Vec<_> = pruned
        .iter()
        .map(|shard| serde_json::json!({ "origin": shard.origin, "bytes": shard.bytes }))
        .collect();
    let result = serde_json::json!({ "ok": true, "dry_run": dry_run, "shards": shards });
    report.result(&result, |_| {
        let line = |shard: &PrunedShard| format!("{} ({})\n", shard.origin, length(shard.bytes));
        let lines: String = pruned.iter().map(line).collect();
        match (pruned.is_empty(), dry_run) {
            (true, _) => "No shard's retention is over.".to_owned(),
            (false, true) => format!("{lines}{FAINT}Nothing was removed.{FAINT:#}"),
            (false, false) => format!("{lines}Removed; the last checkpoints stay."),
        }
    })
}
