//! `bauta log`: what anybody can do with a public log.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bauta_io::{FOLDER_URL, FolderTransport, HttpOptions, HttpTransport};
use bauta_proto::{
    limits::POLICY_BYTES_MAX,
    log::{
        leaf::LeafKind,
        policy::{KnownLog, Policy, PolicyError, Shard},
        reader::{Audit, AuditError, CHECKPOINT_BYTES_MAX, LogReader, ReadError},
    },
    transport::{
        CallError, Request, Transport, address,
        archive::{CHECKPOINT_PATH, POLICY_PATH},
        fetch,
    },
};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    failure::{Exit, Failure, Outcome, chain},
    report::{BAD, FAINT, GOOD, Report},
    runtime,
};

/// What to do with a log.
#[derive(Debug, Args)]
pub struct LogOptions {
    /// What to do
    #[command(subcommand)]
    pub command: LogCommand,
}

/// What anybody can do with a log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Read a whole log and check every entry, tile and signature
    Verify(VerifyOptions),
}

/// Which log.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// The log's address, or a folder with its files; of an archive with shards its own address checks them all
    #[arg(value_name = "URL|FOLDER")]
    pub log: String,
    /// The log policy to check by [default: the one that stands beside the log: then log and witnesses vouch for themselves]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Trust this certificate authority too (a PEM file)
    #[arg(long, env = "BAUTA_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// Does it.
pub fn run(options: LogOptions, report: &Report) -> Outcome {
    match options.command {
        LogCommand::Verify(options) => runtime::block_on(verify(options, report)),
    }
}

async fn verify(options: VerifyOptions, report: &Report) -> Outcome {
    let url = options.log.trim_end_matches('/');
    if url.starts_with("http://") || url.starts_with("https://") {
        let extra_root = options.ca.as_deref().map(read_file).transpose()?;
        let transport = HttpTransport::new(HttpOptions {
            extra_root,
            ..HttpOptions::default()
        });
        let transport = transport.map_err(|error| Failure::from_error(&error))?;
        return verify_at(transport, url, &options, report).await;
    }
    let folder = PathBuf::from(&options.log);
    if !folder.is_dir() {
        let failure = Failure::local(format!("{} is not a folder", options.log));
        return Err(failure.remedy("Name a folder, or an address with http:// or https://."));
    }
    verify_at(FolderTransport::new(folder), FOLDER_URL, &options, report).await
}

/// What was found.
#[derive(Debug, Serialize)]
struct Verified {
    ok: bool,
    /// The policy's id in hexadecimal.
    policy: String,
    /// Whether the policy came from elsewhere than from the log itself.
    policy_given: bool,
    logs: Vec<VerifiedLog>,
}

/// One log.
#[derive(Debug, Default, Serialize)]
struct VerifiedLog {
    ok: bool,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// In the checkpoint's tree.
    leaves: u64,
    prepares: u64,
    commits: u64,
    cancels: u64,
    records: u64,
    /// Entries that this version does not understand.
    unknown: u64,
    #[serde(skip)]
    exit: Option<Exit>,
}

async fn verify_at<T: Transport>(
    transport: T,
    base: &str,
    options: &VerifyOptions,
    report: &Report,
) -> Outcome {
    let transport = Arc::new(transport);
    let text = match &options.policy {
        Some(file) => read_file(file)?,
        None => fetch_policy(transport.as_ref(), base).await?,
    };
    let policy = parse_policy(&text)?;
    let places = places(transport.as_ref(), base, &policy).await?;
    let mut logs = Vec::new();
    for (place, log) in places {
        let log = KnownLog {
            url: Some(place),
            ..log
        };
        let reader = LogReader::new(Arc::clone(&transport), &log, Arc::clone(&policy));
        let reader = reader.expect("the log was given an address");
        logs.push(verify_one(&reader, &log, report).await);
    }
    tell(
        &Verified {
            ok: logs.iter().all(|log| log.ok),
            policy: policy.policy_id().hex(),
            policy_given: options.policy.is_some(),
            logs,
        },
        report,
    )
}

fn read_file(file: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(file).map_err(|error| Failure::local(format!("{}: {error}", file.display())))
}

async fn fetch_policy<T: Transport>(transport: &T, base: &str) -> Outcome<Vec<u8>> {
    let request = Request::get(address(base, POLICY_PATH));
    let fetched = fetch(transport, request, POLICY_BYTES_MAX).await;
    fetched.map_err(|error| {
        let remedy = "Name the log's policy with --policy FILE, or correct the address.";
        if is_absent(&error) {
            Failure::new(Exit::Refused, "there is no log policy beside the log").remedy(remedy)
        } else {
            error.into()
        }
    })
}

fn parse_policy(text: &[u8]) -> Outcome<Arc<Policy>> {
    let text = std::str::from_utf8(text).map_err(|error| Failure::from_error(&error))?;
    let policy = text.parse::<Policy>();
    policy
        .map(Arc::new)
        .map_err(|error| Failure::from_error(&error))
}

/// The logs at this address: the one whose checkpoint stands there, or else all shards that are there.
async fn places<T: Transport>(
    transport: &T,
    base: &str,
    policy: &Policy,
) -> Outcome<Vec<(String, KnownLog)>> {
    if let Some(origin) = origin_at(transport, base).await? {
        let log = policy.logs().iter().find(|log| log.key.name == origin);
        let log = log.ok_or_else(|| {
            Failure::new(Exit::Cheated, PolicyError::UnknownLog)
                .remedy("Check the address, or name the policy that lists this log.")
        })?;
        return Ok(vec![(base.to_owned(), log.clone())]);
    }
    let mut places = Vec::new();
    for log in policy.logs() {
        let Some(shard) = Shard::of_origin(&log.key.name) else {
            continue;
        };
        let place = format!("{base}/{shard}");
        // Shards of the years to come, or of another archive, are not there.
        if origin_at(transport, &place).await?.as_ref() == Some(&log.key.name) {
            places.push((place, log.clone()));
        }
    }
    if places.is_empty() {
        let failure = Failure::new(Exit::Refused, "there is no log of this policy here");
        return Err(failure.remedy("Check the address; a log begins with its first checkpoint."));
    }
    Ok(places)
}

/// The first line of the checkpoint at this address; none if there is no checkpoint.
async fn origin_at<T: Transport>(transport: &T, base: &str) -> Outcome<Option<String>> {
    let request = Request::get(address(base, CHECKPOINT_PATH));
    match fetch(transport, request, CHECKPOINT_BYTES_MAX).await {
        Ok(note) => {
            let note = String::from_utf8_lossy(&note);
            Ok(Some(note.lines().next().unwrap_or_default().to_owned()))
        }
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_absent(error: &CallError) -> bool {
    match error {
        CallError::Status(status) => matches!(status, 404 | 410),
        CallError::Refused(problem) => matches!(problem.kind.status(), 404 | 410),
        CallError::Transport(_) | CallError::Answer(_) => false,
    }
}

async fn verify_one<T: Transport>(
    reader: &LogReader<T>,
    log: &KnownLog,
    report: &Report,
) -> VerifiedLog {
    let mut found = VerifiedLog {
        origin: log.key.name.clone(),
        ..VerifiedLog::default()
    };
    match audit(reader, log, report, &mut found).await {
        Ok(()) => found.ok = true,
        Err(error) => {
            found.error = Some(chain(&error));
            found.exit = Some(error.exit());
        }
    }
    found
}

/// Why a log does not pass.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A leaf that decides nothing where it stands.
    #[error("entry {0} has an expiry that does not belong into this shard")]
    Misplaced(u64),
}

impl From<ReadError> for VerifyError {
    fn from(error: ReadError) -> Self {
        Self::Audit(error.into())
    }
}

impl VerifyError {
    fn exit(&self) -> Exit {
        match self {
            Self::Audit(AuditError::Read(ReadError::Call(error))) if error.is_temporary() => {
                Exit::TryAgain
            }
            Self::Audit(AuditError::Read(ReadError::Call(_))) => Exit::Refused,
            Self::Audit(_) | Self::Misplaced(_) => Exit::Cheated,
        }
    }
}

async fn audit<T: Transport>(
    reader: &LogReader<T>,
    log: &KnownLog,
    report: &Report,
    found: &mut VerifiedLog,
) -> Result<(), VerifyError> {
    let checkpoint = reader.checkpoint().await?;
    found.leaves = checkpoint.size();
    let bar = report.count_bar("Checking entries", checkpoint.size());
    let mut audit: Audit<'_, T> = reader.audit(&checkpoint);
    while let Some(read) = audit.step().await? {
        found.unknown += read.unknown;
        for (index, leaf) in read.leaves {
            if !log.takes(leaf.expiry) {
                return Err(VerifyError::Misplaced(index));
            }
            *found.counter(leaf.kind) += 1;
        }
        bar.set_position(audit.done());
    }
    bar.finish_and_clear();
    Ok(())
}

impl VerifiedLog {
    const fn counter(&mut self, kind: LeafKind) -> &mut u64 {
        match kind {
            LeafKind::Prepare => &mut self.prepares,
            LeafKind::Commit => &mut self.commits,
            LeafKind::Cancel => &mut self.cancels,
            LeafKind::Record => &mut self.records,
        }
    }

    fn line(&self) -> String {
        let origin = &self.origin;
        if let Some(error) = &self.error {
            return format!("{BAD}✗{BAD:#} {origin}: {error}");
        }
        format!(
            "{GOOD}✓{GOOD:#} {origin}: {} entries ({} commits, {} prepares, {} cancels, {} records, {} not understood)",
            self.leaves, self.commits, self.prepares, self.cancels, self.records, self.unknown
        )
    }
}

fn tell(verified: &Verified, report: &Report) -> Outcome {
    report.result(verified, |verified| {
        let lines: Vec<String> = verified.logs.iter().map(VerifiedLog::line).collect();
        let whose = if verified.policy_given {
            "Checked by the policy that you named."
        } else {
            "Checked by the policy that stands beside the log; name yours with --policy FILE."
        };
        format!("{}\n{FAINT}{whose}{FAINT:#}", lines.join("\n"))
    })?;
    let exits = verified.logs.iter().filter_map(|log| log.exit);
    match exits.max_by_key(|exit| *exit as u8) {
        None => Ok(()),
        Some(exit) => {
            let failure = Failure::new(exit, "not every log is in order");
            let remedy = match exit {
                Exit::Cheated => "Keep a copy of the files: with its checkpoint they prove it.",
                _ => "Repeat the command later.",
            };
            Err(failure.remedy(remedy).told())
        }
    }
}
