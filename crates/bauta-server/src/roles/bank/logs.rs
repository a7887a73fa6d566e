//! The logs of the bank's policy, and how far each was read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bauta_proto::{
    log::{
        policy::{KnownLog, Policy},
        reader::{FetchedCheckpoint, LogReader},
    },
    time::{Seconds, Timestamp},
    transport::Transport,
};
use bauta_store::bank::LogPosition;

/// One log that is followed.
pub(super) struct FollowedLog<T> {
    pub(super) known: KnownLog,
    pub(super) reader: LogReader<T>,
}

impl<T> FollowedLog<T> {
    /// The origin line, by which everything about the log is kept.
    pub(super) fn origin(&self) -> &str {
        &self.known.key.name
    }
}

/// Of each log, by its origin, the newest checkpoint whose leaves have all been read. Only such a one says what is not in
/// the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads(HashMap<String, Arc<FetchedCheckpoint>>);

impl Heads {
    pub(super) fn of(&self, log: &KnownLog) -> Option<&Arc<FetchedCheckpoint>> {
        self.0.get(&log.key.name)
    }

    /// Takes a checkpoint whose leaves have all been read, unless an earlier one says more: the same tree may come again with
    /// older cosignatures.
    pub(super) fn set(&mut self, checkpoint: Arc<FetchedCheckpoint>) {
        let rank = |head: &FetchedCheckpoint| (head.size(), head.checked().quorum_since());
        let origin = &checkpoint.checked().origin;
        let kept = self
            .0
            .get(origin)
            .is_some_and(|kept| rank(kept) > rank(&checkpoint));
        if !kept {
            self.0.insert(origin.clone(), checkpoint);
        }
    }
}

/// All logs of the policy that have an address.
pub(super) struct Logs<T> {
    logs: Vec<FollowedLog<T>>,
    heads: RwLock<Heads>,
    /// When the witnesses were asked last about each log, by its origin.
    asked: Mutex<HashMap<String, Timestamp>>,
    /// Held from looking at a lock until what follows is written, so that no two logs are read past each other.
    pub(super) deciding: tokio::sync::Mutex<()>,
}

impl<T: Transport> Logs<T> {
    pub(super) fn new(transport: &Arc<T>, policy: &Arc<Policy>) -> Self {
        let followed = |known: &KnownLog| {
            let reader = LogReader::new(Arc::clone(transport), known, Arc::clone(policy))?;
            let known = known.clone();
            Some(FollowedLog { known, reader })
        };
        Self {
            logs: policy.logs().iter().filter_map(followed).collect(),
            heads: RwLock::default(),
            asked: Mutex::default(),
            deciding: tokio::sync::Mutex::default(),
        }
    }

    /// Takes up where the reading of a log ended before a restart.
    pub(super) fn resume(&self, position: LogPosition, policy: &Policy) {
        let head = FetchedCheckpoint::open(position.checkpoint, policy);
        if let Some(head) = head.ok().filter(|h| h.size() == position.frontier.size()) {
            self.set_head(Arc::new(head));
        }
    }

    pub(super) fn all(&self) -> &[FollowedLog<T>] {
        &self.logs
    }

    /// Those that take expiries from `first` to `last`.
    pub(super) fn within(
        &self,
        first: Timestamp,
        last: Timestamp,
    ) -> impl Iterator<Item = &FollowedLog<T>> {
        let is_within = move |log: &&FollowedLog<T>| match log.known.shard {
            Some(shard) => first < shard.until && shard.from <= last,
            None => true,
        };
        self.logs.iter().filter(is_within)
    }

    pub(super) fn heads(&self) -> Heads {
        self.heads
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set_head(&self, checkpoint: Arc<FetchedCheckpoint>) {
        let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
        heads.set(checkpoint);
    }

    /// Whether the witnesses may be asked about a log now: not asked within the span before. If so, they count as asked.
    pub(super) fn may_ask(&self, origin: &str, now: Timestamp, span: Seconds) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let was_just_asked = asked
            .get(origin)
            .is_some_and(|last| *last <= now && now < last.plus(span));
        if !was_just_asked {
            asked.insert(origin.to_owned(), now);
        }
        !was_just_asked
    }

    /// How many of the logs that take leaves of this expiry have been read to an end at some time.
    pub(super) fn reached(&self, policy: &Policy, expiry: Timestamp) -> usize {
        let heads = self.heads.read().unwrap_or_else(PoisonError::into_inner);
        policy
            .logs_for(expiry)
            .filter(|log| heads.of(log).is_some())
            .count()
    }
}
