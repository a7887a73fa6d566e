//! The archive under its witnesses: from a commit to a receipt that their quorum has cosigned, and what checking one costs.
//!
//! Commits come at a fixed rate. Of every so many one is followed like a customer's: whoever sent it looks for a checkpoint
//! that has it, builds the receipt from the log's tiles and checks it under the policy.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bauta_io::{HttpOptions, HttpTransport, SystemClock};
use bauta_proto::{
    codec::{Message, Signed},
    log::{
        leaf::Leaf,
        policy::Policy,
        reader::{FetchedCheckpoint, LogReader},
        receipt::Receipt,
    },
    submission::Promise,
    time::{Clock, Seconds},
};
use bauta_server::config::RoleName;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use super::{
    Plan,
    archive::{commit, commits},
    floor::{Floor, cost_us},
    load::{Connection, Measured, Prepared, drive},
    process::{Cores, Process},
    row::{Row, Rows},
    setting::Configured,
};
use crate::failure::{Failure, Outcome};

/// Commits in a second.
const PER_SECOND: usize = 10_000;
/// Connections that carry them.
const CONNECTIONS: usize = 256;
/// Witnesses; three of them are a quorum.
const WITNESSES: usize = 4;
/// One commit of so many is followed.
const FOLLOWED: usize = 200;
/// How often the log's checkpoint is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the last receipts may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A commit that is followed.
struct Sent {
    at: Instant,
    leaf: Leaf,
    index: u64,
}

/// Measures both.
pub fn measure(plan: &Plan, rows: &mut Rows<'_>) -> Outcome {
    let floor = Floor::measure()?;
    let folder = plan.folder("witness")?;
    let roles = [RoleName::Bank, RoleName::Archive];
    let configured = Configured::write_with(&folder, &roles, true, WITNESSES)?;
    let runtime = tokio::runtime::Runtime::new()?;
    rows.say("witness: preparing commits");
    let bank = configured.bank_seed()?.signing_key("bank");
    let expiry = SystemClock.now().plus(Seconds::days(1));
    let requests = commits(&bank, plan.requests(PER_SECOND), expiry);
    let leaf = move |index| {
        let leaf = commit(&bank, index, expiry).checked_leaf();
        leaf.map_err(|error| Failure::from_error(&error))
    };
    rows.say("witness: measuring");
    let policy = policy(&configured)?;
    let ran = runtime.block_on(run(&configured, &policy, plan, requests, leaf));
    let (measured, receipt, leaf) = ran?;
    let row = Row::new(
        "witnessed receipt",
        &measured,
        floor.verify + floor.sign,
        &["archive"],
    );
    rows.add(row.wanted("10000/s, p99 < 2000 ms"))?;
    let text = receipt.to_text();
    let check_us = cost_us(|| {
        let receipt = Receipt::from_text(text.as_bytes());
        receipt.is_ok_and(|receipt| receipt.check(&leaf, &policy).is_ok())
    });
    let row = Row::alone("check a receipt", 1e6 / check_us, check_us);
    rows.add(row.wanted("< 1 ms"))
}

fn policy(configured: &Configured) -> Outcome<Arc<Policy>> {
    let source = configured.archive()?.log_policy.as_ref();
    let source = source.ok_or_else(|| Failure::local("the log has no policy"))?;
    let policy = source.load().map_err(|error| Failure::from_error(&error))?;
    Ok(Arc::new(policy))
}

/// The load, with the waiting times of receipts in place of those of commits; and one of the receipts.
async fn run(
    configured: &Configured,
    policy: &Arc<Policy>,
    plan: &Plan,
    requests: Vec<Prepared>,
    leaf: impl Fn(usize) -> Outcome<Leaf> + Clone + Send + 'static,
) -> Outcome<(Measured, Receipt, Leaf)> {
    let mut witnesses = Vec::with_capacity(WITNESSES);
    for number in 1..=WITNESSES {
        witnesses.push(configured.serve_witness(number).await?);
    }
    let archive = configured.serve(RoleName::Archive, Cores::All).await?;
    let (followed, sent) = mpsc::unbounded_channel();
    let following = tokio::spawn(follow(reader(policy)?, sent));
    let mut connections = Vec::new();
    for _ in 0..plan.connections(CONNECTIONS) {
        connections.push(Connection::open(configured.address(RoleName::Archive)?).await?);
    }
    let begun = Instant::now();
    let (requests, count): (Arc<[Prepared]>, _) = (requests.into(), plan.requests(PER_SECOND));
    let step = move |mut connection: Connection, index: usize| {
        let (requests, followed, leaf) = (Arc::clone(&requests), followed.clone(), leaf.clone());
        async move {
            let due = begun
                + Duration::from_secs(1) * u32::try_from(index).unwrap_or(u32::MAX)
                    / PER_SECOND as u32;
            sleep_until(due.into()).await;
            let at = Instant::now();
            let reply = connection.post(&requests[index]).await?;
            if index.is_multiple_of(FOLLOWED) {
                let promise = Signed::<Promise>::from_bytes(&reply);
                let promise = promise.map_err(|error| Failure::from_error(&error))?;
                let (leaf, index) = (leaf(index)?, promise.body.index);
                let _gone = followed.send(Sent { at, leaf, index });
            }
            Ok(connection)
        }
    };
    // What is late is sent late: the time limit is a little longer than the load.
    let limit = plan.limit + PATIENCE;
    let mut processes = vec![&archive];
    processes.extend(&witnesses);
    let load = Process::load();
    processes.push(&load);
    let measured = drive(connections, count, limit, &processes, step).await?;
    let receipts = timeout(PATIENCE, following).await;
    let receipts = receipts.map_err(|_| Failure::local("receipts are missing at the end"))?;
    let (waited, last) = receipts.map_err(|error| Failure::from_error(&error))??;
    let (receipt, leaf) = last.ok_or_else(|| Failure::local("there was no receipt"))?;
    Ok((measured.with_waits(waited), receipt, leaf))
}

fn reader(policy: &Arc<Policy>) -> Outcome<Arc<LogReader<HttpTransport>>> {
    let transport = HttpTransport::new(HttpOptions::default());
    let transport = transport.map_err(|error| Failure::from_error(&error))?;
    let reader = LogReader::new(Arc::new(transport), &policy.logs()[0], Arc::clone(policy));
    let reader = reader.ok_or_else(|| Failure::local("the log has no address"))?;
    Ok(Arc::new(reader))
}

type Followed = (Vec<Duration>, Option<(Receipt, Leaf)>);

/// Gets the receipt of every commit that is sent, and how long each took.
async fn follow(
    reader: Arc<LogReader<HttpTransport>>,
    mut sent: mpsc::UnboundedReceiver<Sent>,
) -> Outcome<Followed> {
    let (shows, shown) = watch::channel(None);
    let watched = Arc::clone(&reader);
    let watcher = tokio::spawn(async move {
        loop {
            // A log that is not there yet or any more shows in the missing receipts.
            if let Ok(checkpoint) = watched.checkpoint().await {
                shows.send_replace(Some(Arc::new(checkpoint)));
            }
            sleep(LOOK_EVERY).await;
        }
    });
    let mut running = JoinSet::new();
    while let Some(sent) = sent.recv().await {
        running.spawn(receipt(Arc::clone(&reader), shown.clone(), sent));
    }
    let (mut waited, mut last) = (Vec::new(), None);
    while let Some(joined) = running.join_next().await {
        let (time, receipt) = joined.map_err(|error| Failure::from_error(&error))??;
        waited.push(time);
        last = Some(receipt);
    }
    watcher.abort();
    Ok((waited, last))
}

/// Waits for a checkpoint with this commit, makes the receipt and checks it.
async fn receipt(
    reader: Arc<LogReader<HttpTransport>>,
    mut shown: watch::Receiver<Option<Arc<FetchedCheckpoint>>>,
    sent: Sent,
) -> Outcome<(Duration, (Receipt, Leaf))> {
    let has_it = |shown: &Option<Arc<FetchedCheckpoint>>| {
        shown
            .as_ref()
            .is_some_and(|checkpoint| checkpoint.size() > sent.index)
    };
    let checkpoint = shown.wait_for(has_it).await;
    let checkpoint = checkpoint
        .map_err(|error| Failure::from_error(&error))?
        .clone();
    let checkpoint = checkpoint.ok_or_else(|| Failure::local("there is no checkpoint"))?;
    let receipt = reader.receipt(sent.index, &sent.leaf, &checkpoint).await;
    let receipt = receipt.map_err(|error| Failure::from_error(&error))?;
    let checked = receipt.check(&sent.leaf, reader.policy());
    checked.map_err(|error| Failure::from_error(&error))?;
    Ok((sent.at.elapsed(), (receipt, sent.leaf)))
}
