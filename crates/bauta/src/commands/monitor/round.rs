//! One round of watching: every log of the policy, and whoever else says something about it.

mod leaves;
mod suspicion;
mod times;

use std::{collections::BTreeMap, sync::Arc};

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    codec::Signed,
    limits::REVEAL_WINDOW_MAX,
    log::{
        evidence::{Evidence, Fork, HashText, Severity},
        policy::{KnownLog, Policy},
        reader::{CHECKPOINT_BYTES_MAX, FetchedCheckpoint, LogReader, ReadError},
        watch::{LockWatch, SeenLeaf, SignedCheckpoint},
        witness::monitoring_path,
    },
    submission::Promise,
    time::{Seconds, Timestamp},
    transport::{
        CallError, Request, Transport, address,
        archive::{CHECKPOINT_PATH, POLICY_PATH},
        fetch,
    },
};
use data_encoding::BASE64;
use futures_util::future::join_all;

use self::times::is_its_time;
use super::{
    finding::{LogSeen, Round, Trouble},
    state::{State, StateFolder},
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

/// A checkpoint that somebody was shown, with who that is.
type Vantage = (String, SignedCheckpoint);

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
        let of_witnesses = self.of_witnesses().await;
        let mut logs = Vec::new();
        for (position, log) in policy.logs().iter().enumerate() {
            let others = self.vantages(log, &of_witnesses, given);
            if let Some(seen) = self.log(position, log, others, &given.promises).await? {
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
        others: Vec<Vantage>,
        promises: &[Signed<Promise>],
    ) -> Outcome<Option<LogSeen>> {
        let Some(reader) = self.reader(log) else {
            return Ok(None);
        };
        let Some(shown) = self.shown(log, &reader).await else {
            return Ok(None);
        };
        self.look_at_times(&shown)?;
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
        self.promises(&reader, &shown, checked.as_ref(), promises)
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

    /// The checkpoints that the witnesses show, of every log. One that does not answer is not asked for more, so that it
    /// holds up a round once and not for each log.
    async fn of_witnesses(&self) -> Vec<(String, String)> {
        let asked = self.policy.witnesses().iter().map(async |witness| {
            let mut notes = Vec::new();
            let Some(url) = &witness.url else {
                return notes;
            };
            for log in self.policy.logs() {
                let url = address(url, &monitoring_path(&log.key.name));
                match self.text(&url).await {
                    Ok(note) => notes.push((format!("the witness {}", witness.name), note)),
                    Err(CallError::Transport(_)) => break,
                    // Standard witnesses need not show anything; who does not cosign is missed elsewhere.
                    Err(_) => {}
                }
            }
            notes
        });
        join_all(asked).await.concat()
    }

    /// What others have of this log: this monitor before, each witness, and what was given by hand.
    fn vantages(
        &self,
        log: &KnownLog,
        of_witnesses: &[(String, String)],
        given: &Given,
    ) -> Vec<Vantage> {
        let origin = &log.key.name;
        let memory = self.state.logs.get(origin).into_iter();
        let kept = memory.flat_map(|memory| memory.shown.iter().chain(&memory.ahead));
        let kept = kept.map(|note| ("what was shown before", note));
        let told = of_witnesses.iter().chain(&given.notes);
        let told = told.map(|(from, note)| (from.as_str(), note));
        let is_of_log = |(_, note): &(&str, &String)| note.lines().next() == Some(origin);
        let open = |(from, note): (&str, &String)| {
            let opened = SignedCheckpoint::open(note, &self.policy).ok()?;
            Some((from.to_owned(), opened))
        };
        kept.chain(told)
            .filter(is_of_log)
            .filter_map(open)
            .collect()
    }

    /// Compares what the log shows with what others have. Whether it is not the tree that was shown before.
    async fn compare(
        &mut self,
        reader: &LogReader<T>,
        shown: &SignedCheckpoint,
        others: &[Vantage],
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
