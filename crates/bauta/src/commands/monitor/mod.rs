//! `bauta monitor`: watches public logs and their witnesses, and keeps what proves that one of them cheats.

mod finding;
mod metrics;
mod round;
mod state;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

use bauta_io::{HttpOptions, HttpTransport, SystemClock};
use bauta_proto::{
    codec::{Message, Signed},
    limits::POLICY_BYTES_MAX,
    log::{
        evidence::{Evidence, Severity},
        policy::Policy,
        reader::CHECKPOINT_BYTES_MAX,
        receipt::Receipt,
    },
    submission::Promise,
    time::{Clock, Seconds},
    transport::{Request, address, archive::POLICY_PATH, fetch},
};
use clap::{Args, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    finding::Round,
    metrics::Shown,
    round::{Given, Monitor, Patience},
    state::StateFolder,
};
use crate::{
    failure::{Exit, Failure, Outcome},
    report::{BAD, FAINT, GOOD, Report, WARNING},
    runtime,
};

/// What to watch, or what to check.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub struct MonitorOptions {
    /// The log policy whose logs are watched: a file, or the address of a role that publishes it
    #[arg(long, global = true, value_name = "FILE|URL")]
    pub policy: Option<String>,
    /// Trust this certificate authority too (a PEM file)
    #[arg(long, env = "BAUTA_CA", global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Folder for what was seen and for evidence
    #[arg(long, required = true, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
    /// Time between two rounds, such as 10s or 5m
    #[arg(long, default_value = "10s", value_parser = span, value_name = "TIME")]
    pub interval: Seconds,
    /// Look once and end: exit code 0 if all is well, 4 if a log could not be read, 5 if cheating is proved, 6 for faults
    #[arg(long)]
    pub once: bool,
    /// Rounds in a row after which trouble that may pass is a finding
    #[arg(long, default_value_t = 3, value_name = "ROUNDS")]
    pub patience: u32,
    /// Oldest checkpoint that is fresh; logs publish at least every two minutes
    #[arg(long, default_value = "5m", value_parser = span, value_name = "TIME")]
    pub stale_after: Seconds,
    /// Serve metrics for Prometheus at this address, such as 127.0.0.1:9100
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// A log's signed promise that must be kept, as the log answered it
    #[arg(long, value_name = "FILE")]
    pub promise: Vec<PathBuf>,
    /// A checkpoint that somebody else was shown: a file, or the address of one, which is asked in every round
    #[arg(long, value_name = "FILE|URL")]
    pub checkpoint: Vec<String>,
    /// A receipt as wallets print it; its checkpoint is compared
    #[arg(long, value_name = "FILE")]
    pub receipt: Vec<PathBuf>,
    /// What else to do
    #[command(subcommand)]
    pub command: Option<MonitorCommand>,
}

/// What else to do.
#[derive(Debug, Subcommand)]
pub enum MonitorCommand {
    /// Check evidence with nothing but the log policy
    Verify(VerifyOptions),
}

/// Which evidence.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// Files that a monitor wrote
    #[arg(required = true, value_name = "FILE")]
    pub evidence: Vec<PathBuf>,
}

/// Does it.
pub fn run(options: MonitorOptions, report: &Report) -> Outcome {
    runtime::block_on(async {
        let transport = Arc::new(transport(options.ca.as_deref())?);
        let policy = options.policy.as_deref().ok_or_else(no_policy)?;
        let policy = Arc::new(policy_of(&transport, policy).await?);
        match &options.command {
            Some(MonitorCommand::Verify(verify)) => check(verify, &policy, report),
            None => watch(&options, transport, policy, report).await,
        }
    })
}

fn no_policy() -> Failure {
    Failure::local("whose logs to watch is not said").remedy(
        "Name the log policy with --policy FILE, or the bank that publishes it with --policy URL.",
    )
}

fn transport(ca: Option<&Path>) -> Outcome<HttpTransport> {
    let extra_root = ca.map(read).transpose()?;
    let transport = HttpTransport::new(HttpOptions {
        extra_root,
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(10),
    });
    transport.map_err(|error| Failure::from_error(&error))
}

async fn policy_of(transport: &HttpTransport, named: &str) -> Outcome<Policy> {
    let text = if is_address(named) {
        let url = named.strip_suffix(POLICY_PATH).unwrap_or(named);
        let request = Request::get(address(url, POLICY_PATH));
        fetch(transport, request, POLICY_BYTES_MAX).await?
    } else {
        read(Path::new(named))?
    };
    let text = String::from_utf8(text).map_err(|error| Failure::from_error(&error))?;
    text.parse().map_err(|error| {
        Failure::from_error(&error).remedy("Name a log policy (C2SP tlog-policy).")
    })
}

fn is_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn read(file: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(file).map_err(|error| Failure::local(format!("{}: {error}", file.display())))
}

async fn watch(
    options: &MonitorOptions,
    transport: Arc<HttpTransport>,
    policy: Arc<Policy>,
    report: &Report,
) -> Outcome {
    let folder = options.state.as_deref();
    let folder = folder.ok_or_else(|| Failure::local("--state FOLDER is missing"))?;
    let patience = Patience {
        stale_after: options.stale_after,
        rounds: options.patience.max(1),
    };
    let state = StateFolder::open(folder)?;
    let promises = options.promise.iter().map(|file| promise(file, &policy));
    let promises: Vec<_> = promises.collect::<Outcome<_>>()?;
    let mut monitor = Monitor::new(Arc::clone(&transport), Arc::clone(&policy), patience, state);
    let shown = Shown::default();
    if let Some(address) = options.metrics {
        metrics::serve(address, Arc::clone(&shown)).await?;
    }
    let mut told = BTreeSet::new();
    let mut stop = Stop::new()?;
    let mut last = None;
    loop {
        let look = async {
            let given = Given {
                notes: notes(options, &transport, report).await?,
                promises: promises.clone(),
            };
            monitor.round(&given, SystemClock.now()).await
        };
        // Nobody waits for others who hang: what a round has proved is kept, the rest is seen again.
        let round = tokio::select! {
            round = look => round?,
            () = stop.wanted() => return stopped(last.as_ref(), options.once),
        };
        let text = metrics::render(&round, &policy);
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = text;
        tell(&round, &mut told, options.once, report)?;
        if options.once {
            return end(&round, true);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(options.interval.0.max(1).into())) => {}
            () = stop.wanted() => return stopped(Some(&round), false),
        }
        last = Some(round);
    }
}

/// The signals by which a monitor is told to end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns when it is told to, also if that was before.
    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// How the command ends when it is told to, after its last round.
fn stopped(last: Option<&Round>, is_once: bool) -> Outcome {
    match last {
        Some(round) => end(round, false),
        None if is_once => Err(Failure::new(
            Exit::TryAgain,
            "stopped before everything was looked at",
        )),
        None => Ok(()),
    }
}

/// A promise that one of the policy's logs signed.
fn promise(file: &Path, policy: &Policy) -> Outcome<Signed<Promise>> {
    let signed = Signed::<Promise>::from_bytes(&read(file)?).ok();
    let by_log = |signed: &Signed<Promise>| {
        let mut logs = policy.logs().iter();
        logs.any(|log| {
            signed.body.log == Promise::log_name(&log.key.name)
                && signed.verified(&log.key.key).is_ok()
        })
    };
    signed.filter(by_log).ok_or_else(|| {
        let failure = Failure::local(format!(
            "{} is not a promise that a log of this policy signed",
            file.display()
        ));
        failure.remedy("Name the log's answer to a leaf, byte for byte.")
    })
}

/// The checkpoints that were given by hand, each with where it is from. An address that does not answer is passed over.
async fn notes(
    options: &MonitorOptions,
    transport: &HttpTransport,
    report: &Report,
) -> Outcome<Vec<(String, String)>> {
    let mut notes = Vec::new();
    for place in &options.checkpoint {
        let note = if is_address(place) {
            let request = Request::get(place.clone());
            match fetch(transport, request, CHECKPOINT_BYTES_MAX).await {
                Ok(note) => note,
                Err(error) => {
                    report.warn(format!("{place}: {error}"));
                    continue;
                }
            }
        } else {
            read(Path::new(place))?
        };
        notes.push((place.clone(), String::from_utf8_lossy(&note).into_owned()));
    }
    for file in &options.receipt {
        let receipt = Receipt::from_text(&read(file)?);
        let receipt =
            receipt.map_err(|error| Failure::local(format!("{}: {error}", file.display())))?;
        notes.push((file.display().to_string(), receipt.checkpoint));
    }
    Ok(notes)
}

/// Tells programs everything in every round, people what is new.
fn tell(round: &Round, told: &mut BTreeSet<String>, is_last: bool, report: &Report) -> Outcome {
    if report.is_json() {
        return report.result(round, |_| String::new());
    }
    let keys: BTreeSet<String> = round.findings.iter().map(|f| f.key.clone()).collect();
    for finding in round.findings.iter().filter(|f| !told.contains(&f.key)) {
        let style = if finding.severity == Severity::Warning {
            WARNING
        } else {
            BAD
        };
        let evidence = finding.evidence.as_ref();
        let evidence = evidence.map_or_else(String::new, |file| {
            format!("\n  {FAINT}evidence: {}{FAINT:#}", file.display())
        });
        let line = format!(
            "{style}{}{style:#}: {}{evidence}",
            finding.kind, finding.says
        );
        report.result(finding, |_| line)?;
    }
    for passed in told.difference(&keys) {
        report.done(format!("over: {}", passed.replace('|', " ")));
    }
    *told = keys;
    if !is_last {
        return Ok(());
    }
    for log in &round.logs {
        let (origin, size, by) = (&log.origin, log.size, log.cosigned_by.join(", "));
        let line = format!("{GOOD}✓{GOOD:#} {origin}: {size} leaves, cosigned by {by}");
        report.result(log, |_| line)?;
    }
    Ok(())
}

/// How the command ends.
fn end(round: &Round, is_once: bool) -> Outcome {
    let failure = match round.worst() {
        Some(Severity::Proof) => Failure::new(Exit::Cheated, "somebody cheated: the evidence is kept")
            .remedy("Show it to whoever relies on the log; check it with: bauta monitor verify FILE --policy FILE"),
        Some(Severity::Fault) => Failure::new(Exit::Faulty, "not everything is in order")
            .remedy("Ask the operators who are named."),
        _ if is_once && !round.unread.is_empty() => Failure::new(Exit::TryAgain, "not every log could be read")
            .remedy("Repeat the command later: what lasts becomes a finding."),
        _ => return Ok(()),
    };
    Err(failure.told())
}

fn check(options: &VerifyOptions, policy: &Policy, report: &Report) -> Outcome {
    let mut verdicts = Vec::new();
    for file in &options.evidence {
        let evidence = Evidence::from_text(&read(file)?);
        let verdict = evidence.and_then(|evidence| evidence.check(policy));
        let verdict = verdict.map_err(|error| {
            let message = format!("{}: {}", file.display(), crate::failure::chain(&error));
            let failure = Failure::new(Exit::Refused, message);
            failure.remedy("Check that the policy is the one that the evidence is about.")
        })?;
        verdicts.push((file, verdict));
    }
    let value: Vec<_> = verdicts.iter().map(|(_, verdict)| verdict).collect();
    report.result(
        &serde_json::json!({ "ok": true, "evidence": value }),
        |_| {
            let line = |(file, verdict): &(&PathBuf, bauta_proto::log::evidence::Verdict)| {
                let accused = verdict.accused.join(", ");
                format!(
                    "{GOOD}✓{GOOD:#} {}: {} ({accused})",
                    file.display(),
                    verdict.says
                )
            };
            verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
        },
    )
}

/// `90`, `90s`, `5m`, `2h`, `1d`.
fn span(text: &str) -> Result<Seconds, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("a number with s, m, h or d behind it, such as 10s".to_owned()),
    };
    let number: u32 = digits
        .parse()
        .map_err(|_| "not a number of seconds, minutes, hours or days".to_owned())?;
    number
        .checked_mul(unit)
        .map(Seconds)
        .ok_or_else(|| "too long".to_owned())
}
