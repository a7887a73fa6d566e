//! One round of watching: every log of the policy, and whoever else says something about it.

use std::{collections::BTreeMap, sync::Arc};

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    codec::{Message, Signed},
    ids::LockTag,
    limits::REVEAL_WINDOW_MAX,
    log::{
        evidence::{
            BrokenPromise, Contradiction, Evidence, Fork, HashText, OverduePromise,
            PROMISE_KEPT_WITHIN, Severity, Standing, TimeWentBack,
        },
        policy::{KnownLog, Policy},
        reader::{CHECKPOINT_BYTES_MAX, FetchedCheckpoint, LogReader, ReadError},
        receipt::Receipt,
        watch::{LockWatch, SeenLeaf, SignedCheckpoint, is_ahead, went_back},
        witness::monitoring_path,
    },
    submission::Promise,
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
    transport::{
        CallError, Request, Transport, address,
        archive::{CHECKPOINT_PATH, POLICY_PATH},
        fetch,
    },
};
use data_encoding::BASE64;
use futures_util::future::join_all;

use super::{
    finding::{Finding, LogSeen, Round, Trouble},
    state::{Cosigned, Proved, State, StateFolder},
};
use crate::failure::{Outcome, chain};

/// Files of evidence that are kept of one kind about one log: a log that forks goes on forking.
const EVIDENCE_MAX: usize = 16;
/// Checkpoints that are kept until their log reaches them.
const AHEAD_MAX: usize = 64;
/// How long after its expiry a lock's leaves are remembered: until nothing may be done with it, and a day.
const REMEMBERED_FOR: Seconds = Seconds(REVEAL_WINDOW_MAX.0 + 86_400);

/// How patient the monitor is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Oldest checkpoint that is fresh.
    pub stale_after: Seconds,
    /// Rounds in a row after which what may pass is a finding.
    pub rounds: u32,
}

/// What is looked at beside the logs and witnesses.
#[derive(Debug, Default)]
pub struct Given {
    /// Checkpoints, with where they are from.
    pub notes: Vec<(String, String)>,
    /// Promises.
    pub promises: Vec<Signed<Promise>>,
}

/// Watches the logs of one policy.
pub struct Monitor<T> {
    transport: Arc<T>,
    policy: Arc<Policy>,
    patience: Patience,
    folder: StateFolder,
    state: State,
    locks: LockWatch,
    /// How far each log was read since the start.
    read: BTreeMap<usize, Frontier>,
    /// Leaves that contradict each other, until the proof of it is made.
    unproven: Vec<(SeenLeaf, SeenLeaf)>,
    now: Timestamp,
    suspected: BTreeMap<String, (Trouble, String)>,
    unread: Vec<String>,
}

impl<T: Transport> Monitor<T> {
    /// Goes on where the state ends.
    pub fn new(
        transport: Arc<T>,
        policy: Arc<Policy>,
        patience: Patience,
        (folder, state): (StateFolder, State),
    ) -> Self {
        Self {
            transport,
            policy,
            patience,
            folder,
            state,
            locks: LockWatch::default(),
            read: BTreeMap::new(),
            unproven: Vec::new(),
            now: Timestamp(0),
            suspected: BTreeMap::new(),
            unread: Vec::new(),
        }
    }

    /// Looks at everything once, and remembers it.
    pub async fn round(&mut self, given: &Given, now: Timestamp) -> Outcome<Round> {
        self.now = now;
        self.suspected.clear();
        self.unread.clear();
        let policy = Arc::clone(&self.policy);
        let mut logs = Vec::new();
        for (position, log) in policy.logs().iter().enumerate() {
            if let Some(seen) = self.log(position, log, given).await? {
                logs.push(seen);
            }
        }
        self.prove_contradictions().await?;
        self.locks.forget(now.minus(REMEMBERED_FOR));
        let findings = self.findings();
        self.state.last_round = now.0;
        self.folder.write(&self.state)?;
        Ok(Round {
            ok: !findings
                .iter()
                .any(|finding| finding.severity > Severity::Warning),
            time: now.0,
            policy: policy.policy_id().hex(),
            logs,
            unread: self.unread.clone(),
            findings,
        })
    }

    /// One log; none if it could not be read.
    async fn log(
        &mut self,
        position: usize,
        log: &KnownLog,
        given: &Given,
    ) -> Outcome<Option<LogSeen>> {
        let Some(reader) = self.reader(log) else {
            return Ok(None);
        };
        let Some(shown) = self.shown(log, &reader).await else {
            return Ok(None);
        };
        self.look_at_times(&shown)?;
        let others = self.vantages(log, given).await;
        for (_, other) in &others {
            self.look_at_times(other)?;
        }
        let is_forked = self.compare(&reader, &shown, &others).await?;
        let checked = FetchedCheckpoint::open(shown.note().to_owned(), &self.policy).ok();
        match &checked {
            None => self.suspect(
                Trouble::NoQuorum,
                &log.key.name,
                "shows a checkpoint without a quorum of witnesses",
            ),
            Some(checkpoint) if !is_forked => {
                self.leaves(position, log, &reader, checkpoint).await?
            }
            Some(_) => {}
        }
        self.promises(&reader, &shown, checked.as_ref(), &given.promises)
            .await?;
        let cosigned_at = checked.map(|checked| checked.checked().quorum_since());
        self.freshness(log, &shown, cosigned_at, &others);
        self.other_policy(log).await;
        if !is_forked {
            self.remember(&shown);
        }
        Ok(Some(seen(&shown, cosigned_at, &self.policy)))
    }

    /// A new one each round: what it keeps is proved by one tree, and a log may show another.
    fn reader(&self, log: &KnownLog) -> Option<LogReader<T>> {
        LogReader::new(Arc::clone(&self.transport), log, Arc::clone(&self.policy))
    }

    /// The checkpoint that the log shows, if the log signed it.
    async fn shown(&mut self, log: &KnownLog, reader: &LogReader<T>) -> Option<SignedCheckpoint> {
        let origin = &log.key.name;
        let note = match self.text(&address(reader.url(), CHECKPOINT_PATH)).await {
            Ok(note) => note,
            Err(error) => {
                let known = self.state.logs.get(origin);
                let has_been_there = known.is_some_and(|known| known.shown.is_some());
                if has_been_there || is_its_time(log, self.now) {
                    self.unread.push(origin.clone());
                    self.suspect(
                        Trouble::Unreachable,
                        origin,
                        &format!("does not show a checkpoint: {}", chain(&error)),
                    );
                }
                return None;
            }
        };
        match SignedCheckpoint::open(&note, &self.policy) {
            Ok(shown) if shown.origin == *origin => Some(shown),
            _ => {
                self.unread.push(origin.clone());
                self.suspect(
                    Trouble::BadCheckpoint,
                    origin,
                    "shows a checkpoint that it did not sign",
                );
                None
            }
        }
    }

    async fn text(&self, url: &str) -> Result<String, CallError> {
        let bytes = fetch(
            self.transport.as_ref(),
            Request::get(url.to_owned()),
            CHECKPOINT_BYTES_MAX,
        )
        .await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What others have of this log: this monitor before, each witness, and what was given by hand.
    async fn vantages(&self, log: &KnownLog, given: &Given) -> Vec<(String, SignedCheckpoint)> {
        let origin = &log.key.name;
        let mut notes: Vec<(String, String)> = Vec::new();
        if let Some(memory) = self.state.logs.get(origin) {
            let kept = memory.shown.iter().chain(&memory.ahead).cloned();
            notes.extend(kept.map(|note| ("what was shown before".to_owned(), note)));
        }
        let path = monitoring_path(origin);
        let asked = self.policy.witnesses().iter().filter_map(|witness| {
            let url = address(witness.url.as_ref()?, &path);
            let from = format!("the witness {}", witness.name);
            // Standard witnesses need not show anything; who does not cosign is missed elsewhere.
            Some(async move { Some((from, self.text(&url).await.ok()?)) })
        });
        notes.extend(join_all(asked).await.into_iter().flatten());
        notes.extend(given.notes.iter().cloned());
        let open = |(from, note): (String, String)| {
            Some((from, SignedCheckpoint::open(&note, &self.policy).ok()?))
        };
        let opened = notes.into_iter().filter_map(open);
        opened
            .filter(|(_, other)| other.origin == *origin)
            .collect()
    }

    /// Compares what the log shows with what others have. Whether it is not the tree that was shown before.
    async fn compare(
        &mut self,
        reader: &LogReader<T>,
        shown: &SignedCheckpoint,
        others: &[(String, SignedCheckpoint)],
    ) -> Outcome<bool> {
        let origin = &shown.origin;
        let before = self
            .state
            .logs
            .get(origin)
            .and_then(|memory| memory.shown.clone());
        let (mut is_forked, mut ahead) = (false, Vec::new());
        for (from, other) in others {
            if (other.size, other.root) == (shown.size, shown.root) {
                continue;
            }
            let (smaller, larger) = if other.size <= shown.size {
                (other, shown)
            } else {
                (shown, other)
            };
            let is_behind = other.size > shown.size;
            match reader.prefix(smaller.size, larger).await {
                Ok(prefix) if prefix.root != smaller.root => {
                    is_forked |= before.as_deref() == Some(other.note());
                    let about = format!("{origin}|{}|{}", other.size, BASE64.encode(&other.root));
                    self.prove(
                        &about,
                        Evidence::Fork(Fork {
                            first: smaller.note().to_owned(),
                            second: larger.note().to_owned(),
                            prefix_root: HashText(prefix.root),
                            proof: prefix.proof.into_iter().map(HashText).collect(),
                        }),
                    )?;
                }
                Ok(_) if !is_behind => {}
                Err(error) if !is_behind => self.unreadable(origin, &error),
                Ok(_) | Err(_) => {
                    // Until the log has reached it nobody can tell whether it is the same tree.
                    is_forked |= before.as_deref() == Some(other.note());
                    let about = format!("{origin}|{}", other.size);
                    let says = format!(
                        "{origin} shows {} leaves, and has signed {} for {from}",
                        shown.size, other.size
                    );
                    self.suspected
                        .insert(format!("behind|{about}"), (Trouble::Behind, says));
                    ahead.push(other.note().to_owned());
                }
            }
        }
        ahead.retain(|note| Some(note) != before.as_ref());
        ahead.sort();
        ahead.dedup();
        ahead.truncate(AHEAD_MAX);
        self.state.logs.entry(origin.clone()).or_default().ahead = ahead;
        Ok(is_forked)
    }

    fn unreadable(&mut self, origin: &str, error: &ReadError) {
        let trouble = match error {
            ReadError::Call(_) => Trouble::Unreachable,
            _ => Trouble::Files,
        };
        if !self.unread.iter().any(|unread| unread == origin) {
            self.unread.push(origin.to_owned());
        }
        self.suspect(
            trouble,
            origin,
            &format!("cannot be read: {}", chain(error)),
        );
    }

    /// Reads what is new, and remembers what decides locks.
    async fn leaves(
        &mut self,
        position: usize,
        log: &KnownLog,
        reader: &LogReader<T>,
        checkpoint: &FetchedCheckpoint,
    ) -> Outcome {
        let origin = &log.key.name;
        let mut frontier = self
            .read
            .remove(&position)
            .unwrap_or_else(|| self.begin(origin));
        loop {
            let read = match reader.entries(&frontier, checkpoint).await {
                Ok(read) => read,
                Err(ReadError::Older) => break,
                Err(error) => {
                    self.unreadable(origin, &error);
                    break;
                }
            };
            for (index, leaf) in read.indices.into_iter().zip(read.leaves) {
                if !log.takes(leaf.expiry)
                    && let Ok(receipt) = reader.receipt(index, &leaf, checkpoint).await
                {
                    let standing = Standing::new(&leaf, &receipt);
                    self.prove(&format!("{origin}|{index}"), Evidence::Misplaced(standing))?;
                }
                self.lock_leaf(SeenLeaf {
                    log: position,
                    index,
                    leaf,
                });
            }
            frontier = read.frontier;
            if read.complete {
                break;
            }
        }
        let lowest = self.locks.lowest().get(&position).copied();
        let memory = self.state.logs.entry(origin.clone()).or_default();
        memory.mark(&frontier, lowest.unwrap_or(frontier.size()));
        self.read.insert(position, frontier);
        Ok(())
    }

    /// Where the leaves begin that have to be in memory.
    fn begin(&self, origin: &str) -> Frontier {
        let marks = self.state.logs.get(origin).map(|memory| &memory.marks);
        let first = marks.and_then(|marks| marks.first()?.frontier());
        first.unwrap_or_default()
    }

    fn lock_leaf(&mut self, leaf: SeenLeaf) {
        // What expired long ago is not remembered, so that it need not be forgotten.
        if leaf.leaf.expiry < self.now.minus(REMEMBERED_FOR) {
            return;
        }
        if let Some(other) = self.locks.look(leaf.clone()) {
            self.unproven.push((other, leaf));
        }
    }

    async fn prove_contradictions(&mut self) -> Outcome {
        for (first, second) in std::mem::take(&mut self.unproven) {
            let standings = (self.standing(&first).await, self.standing(&second).await);
            let (Some(a), Some(b)) = standings else {
                self.unproven.push((first, second));
                continue;
            };
            let logs = self.policy.logs();
            let origin = logs[second.log].key.name.clone();
            let tag = first
                .leaf
                .about_lock()
                .map_or(LockTag([0; 32]), |(tag, _)| tag);
            let about = format!("{origin}|{}", BASE64.encode(&tag.0));
            self.prove(
                &about,
                Evidence::Contradiction(Contradiction {
                    first: a,
                    second: b,
                }),
            )?;
        }
        Ok(())
    }

    async fn standing(&self, seen: &SeenLeaf) -> Option<Standing> {
        let reader = self.reader(&self.policy.logs()[seen.log])?;
        let checkpoint = reader.checkpoint().await.ok()?;
        let receipt = reader
            .receipt(seen.index, &seen.leaf, &checkpoint)
            .await
            .ok()?;
        Some(Standing::new(&seen.leaf, &receipt))
    }

    /// Whether the log kept the promises that were given by hand.
    async fn promises(
        &mut self,
        reader: &LogReader<T>,
        shown: &SignedCheckpoint,
        checked: Option<&FetchedCheckpoint>,
        promises: &[Signed<Promise>],
    ) -> Outcome {
        let name = Promise::log_name(&shown.origin);
        for signed in promises.iter().filter(|signed| signed.body.log == name) {
            let promise = &signed.body;
            let about = format!("{}|{}", shown.origin, promise.index);
            let text = BASE64.encode(&signed.to_bytes());
            if is_ahead(promise.promised_at, self.now) {
                self.suspect(
                    Trouble::ClockAhead,
                    &shown.origin,
                    "signs times ahead of this clock",
                );
            }
            if promise.index >= shown.size {
                let kept_by = promise.promised_at.plus(PROMISE_KEPT_WITHIN);
                if checked.is_some_and(|checked| checked.checked().quorum_since() > kept_by) {
                    let checkpoint = shown.note().to_owned();
                    let overdue = OverduePromise {
                        promise: text,
                        checkpoint,
                    };
                    self.prove(&about, Evidence::OverduePromise(overdue))?;
                }
                continue;
            }
            match reader.leaf_hash(promise.index, shown).await {
                Ok((hash, _)) if hash == promise.leaf_hash => {}
                Ok((hash, path)) => {
                    let receipt = Receipt {
                        index: promise.index,
                        path,
                        checkpoint: shown.note().to_owned(),
                    };
                    let broken = BrokenPromise {
                        promise: text,
                        leaf_hash: HashText(hash),
                        receipt: receipt.to_text(),
                    };
                    self.prove(&about, Evidence::BrokenPromise(broken))?;
                }
                Err(error) => self.unreadable(&shown.origin, &error),
            }
        }
        Ok(())
    }

    /// Whether every witness's times are near this clock and do not go back.
    fn look_at_times(&mut self, shown: &SignedCheckpoint) -> Outcome {
        let policy = Arc::clone(&self.policy);
        for (witness, time) in policy.witnesses().iter().zip(shown.times()) {
            let Some(time) = *time else { continue };
            let about = format!("{}|{}", shown.origin, witness.name);
            if is_ahead(time, self.now) {
                let says = format!(
                    "the witness {} signs times {} ahead of this clock",
                    witness.name,
                    time.since(self.now)
                );
                self.suspected.insert(
                    format!("clock-ahead|{}", witness.name),
                    (Trouble::ClockAhead, says),
                );
            }
            let memory = self.state.logs.entry(shown.origin.clone()).or_default();
            let known = memory.cosigned.get(&witness.name).cloned();
            let this = (shown.size, time);
            if let Some(known) = &known {
                let that = (known.size, Timestamp(known.time));
                let pair = [
                    (this, shown.note(), that, known.note.as_str()),
                    (that, &known.note, this, shown.note()),
                ];
                for (smaller, smaller_note, larger, larger_note) in pair {
                    if went_back(smaller, larger) {
                        self.prove(
                            &about,
                            Evidence::TimeWentBack(TimeWentBack {
                                witness: witness.name.clone(),
                                smaller: smaller_note.to_owned(),
                                larger: larger_note.to_owned(),
                            }),
                        )?;
                    }
                }
                let last_round = Timestamp(self.state.last_round);
                let key = format!("clock-behind|{about}");
                let is_new = that < this;
                let has_strikes = self.state.strikes.contains_key(&key);
                if (is_new && time.plus(CLOCK_TOLERANCE) < last_round) || (!is_new && has_strikes) {
                    let says = format!(
                        "the witness {} signs times {} behind this clock",
                        witness.name,
                        self.now.since(time)
                    );
                    self.suspected.insert(key, (Trouble::ClockBehind, says));
                }
            }
            if known.is_none_or(|known| (known.size, known.time) < (shown.size, time.0)) {
                let cosigned = Cosigned {
                    size: shown.size,
                    time: time.0,
                    note: shown.note().to_owned(),
                };
                let memory = self.state.logs.entry(shown.origin.clone()).or_default();
                memory.cosigned.insert(witness.name.clone(), cosigned);
            }
        }
        Ok(())
    }

    /// Whether the checkpoint is fresh, and every witness takes part.
    fn freshness(
        &mut self,
        log: &KnownLog,
        shown: &SignedCheckpoint,
        cosigned_at: Option<Timestamp>,
        others: &[(String, SignedCheckpoint)],
    ) {
        let oldest = self.now.minus(self.patience.stale_after);
        let newest = cosigned_at
            .or_else(|| shown.cosigned_at())
            .unwrap_or_default();
        if !is_its_time(log, self.now) {
            return;
        }
        if newest < oldest {
            let says = format!("shows a checkpoint that is {} old", self.now.since(newest));
            return self.suspect(Trouble::Stale, &log.key.name, &says);
        }
        let policy = Arc::clone(&self.policy);
        for (position, witness) in policy.witnesses().iter().enumerate() {
            let all = others.iter().map(|(_, other)| other).chain([shown]);
            let latest = all
                .filter_map(|checkpoint| checkpoint.times()[position])
                .max();
            if latest.is_none_or(|latest| latest < oldest) {
                let key = format!("witness-missing|{}|{}", log.key.name, witness.name);
                let says = format!(
                    "the witness {} does not cosign {}",
                    witness.name, log.key.name
                );
                self.suspected.insert(key, (Trouble::WitnessMissing, says));
            }
        }
    }

    async fn other_policy(&mut self, log: &KnownLog) {
        let Some(url) = &log.url else { return };
        let text = self.text(&address(url, POLICY_PATH)).await;
        if text.is_ok_and(|text| text != self.policy.text()) {
            self.suspect(
                Trouble::OtherPolicy,
                &log.key.name,
                "publishes another log policy than the one that is watched by",
            );
        }
    }

    fn remember(&mut self, shown: &SignedCheckpoint) {
        let memory = self.state.logs.entry(shown.origin.clone()).or_default();
        memory.shown = Some(shown.note().to_owned());
    }

    fn suspect(&mut self, trouble: Trouble, origin: &str, says: &str) {
        let key = format!("{}|{origin}", trouble.name());
        self.suspected
            .insert(key, (trouble, format!("{origin} {says}")));
    }

    /// Keeps evidence once, if it holds: what is shown to others has passed their own check.
    fn prove(&mut self, about: &str, evidence: Evidence) -> Outcome {
        let key = format!("{}|{about}", evidence.kind());
        let origin = about.split('|').next().unwrap_or_default();
        let alike = format!("{}|{origin}|", evidence.kind());
        let count = self
            .state
            .proved
            .keys()
            .filter(|key| key.starts_with(&alike))
            .count();
        if self.state.proved.contains_key(&key) || count >= EVIDENCE_MAX {
            return Ok(());
        }
        let Ok(verdict) = evidence.check(&self.policy) else {
            return Ok(());
        };
        let file = self.folder.keep(&evidence)?;
        let proved = Proved {
            file,
            found_at: self.now.0,
            severity: verdict.severity,
            says: verdict.says,
        };
        self.state.proved.insert(key, proved);
        Ok(())
    }

    /// What was proved, and what is out of order for long enough.
    fn findings(&mut self) -> Vec<Finding> {
        let proved = self.state.proved.iter();
        let mut findings: Vec<_> = proved
            .map(|(key, proved)| proved.finding(key, &self.folder))
            .collect();
        let mut strikes = BTreeMap::new();
        for (key, (trouble, says)) in &self.suspected {
            let count = self
                .state
                .strikes
                .get(key)
                .map_or(1, |count| count.saturating_add(1));
            strikes.insert(key.clone(), count);
            if count >= self.patience.rounds || !trouble.may_pass() {
                findings.push(Finding {
                    kind: trouble.name().to_owned(),
                    severity: trouble.severity(),
                    key: key.clone(),
                    says: says.clone(),
                    evidence: None,
                });
            }
        }
        self.state.strikes = strikes;
        findings
    }
}

/// Whether the log has to be there and to move: a shard that begins later or has ended need not.
fn is_its_time(log: &KnownLog, now: Timestamp) -> bool {
    log.shard.is_none_or(|shard| shard.contains(now))
}

fn seen(shown: &SignedCheckpoint, cosigned_at: Option<Timestamp>, policy: &Policy) -> LogSeen {
    let times = shown.times().iter().zip(policy.witnesses());
    let cosigned = times.filter(|(time, _)| time.is_some());
    LogSeen {
        origin: shown.origin.clone(),
        size: shown.size,
        cosigned_at: cosigned_at.map(|time| time.0),
        cosigned_by: cosigned.map(|(_, witness)| witness.name.clone()).collect(),
    }
}
