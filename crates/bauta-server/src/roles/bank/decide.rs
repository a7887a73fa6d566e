//! What follows for one lock from what its logs have shown: the rule of [`bauta_proto::decision`], and nothing else.

use std::collections::BTreeMap;

use bauta_proto::{
    decision::{LogView, Outcome, Word, Words, outcome},
    ids::LockTag,
    lock::{LockMode, LockState},
    log::{
        leaf::{Deed, Leaf},
        policy::{CheckedCheckpoint, KnownLog, Policy},
    },
    time::Timestamp,
};
use bauta_store::{
    StoreError,
    bank::{BankReader, Decisions, LockRow, SeenLock},
};

use super::logs::Heads;

/// An undecided lock, and what each of its logs has shown about it.
pub(super) struct Undecided {
    lock_tag: LockTag,
    row: LockRow,
    /// By the logs' origin lines.
    views: BTreeMap<String, LogView>,
    /// Whether something is known that the store does not know yet.
    is_news: bool,
}

impl Undecided {
    /// The lock as it is stored, if it is undecided.
    pub(super) fn load(reader: &BankReader, lock_tag: LockTag) -> Result<Option<Self>, StoreError> {
        let row = reader.lock(lock_tag)?.filter(LockRow::is_undecided);
        row.map(|row| Self::with_views(reader, lock_tag, row))
            .transpose()
    }

    pub(super) fn with_views(
        reader: &BankReader,
        lock_tag: LockTag,
        row: LockRow,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            lock_tag,
            row,
            views: reader.log_views(lock_tag)?.into_iter().collect(),
            is_news: false,
        })
    }

    /// When the logs' silence can mean something.
    pub(super) const fn due(&self) -> Timestamp {
        self.row.due
    }

    /// E, by which the lock's logs are found.
    pub(super) const fn expiry(&self) -> Timestamp {
        self.row.public.expiry
    }

    /// The lock's own leaf for this deed and preimage.
    pub(super) fn leaf(&self, deed: Deed, preimage: [u8; 32]) -> Leaf {
        self.row.public.leaf(deed, preimage)
    }

    /// Takes in the next leaf that was read in a log.
    pub(super) fn read(&mut self, log: &KnownLog, leaf: &Leaf, checkpoint: &CheckedCheckpoint) {
        let lock = &self.row.public;
        if !log.takes(lock.expiry) {
            return;
        }
        if let Some(deed) = lock.deed_of(leaf) {
            let view = self.views.entry(log.key.name.clone()).or_default();
            view.read(lock, deed, checkpoint);
            self.keep_preimage(deed, leaf);
        }
    }

    /// Takes in the proof that a leaf stood in a checkpoint of a log; whether it was a leaf of this lock that did something
    /// in time.
    ///
    /// A leaf counts once the bank has read it, for only reading shows what came before it. In mode FAST nothing can come
    /// before a commit, which so counts although its log is out of reach.
    pub(super) fn prove(
        &mut self,
        log: &KnownLog,
        leaf: &Leaf,
        checkpoint: &CheckedCheckpoint,
    ) -> bool {
        let lock = &self.row.public;
        let Some(deed) = lock.deed_of(leaf).filter(|_| log.takes(lock.expiry)) else {
            return false;
        };
        let mut proved = LogView::default();
        proved.read(lock, deed, checkpoint);
        if deed == Deed::Cancel || !(proved.first_early || proved.commit_early) {
            return false;
        }
        let known = self.views.get(&log.key.name).copied();
        let mut view = match lock.mode {
            LockMode::Fast => known.unwrap_or(proved),
            LockMode::Safe { .. } => known.unwrap_or_default(),
        };
        view.prove(lock, deed, checkpoint);
        if known.unwrap_or_default() != view {
            self.views.insert(log.key.name.clone(), view);
            self.keep_preimage(deed, leaf);
        }
        true
    }

    fn keep_preimage(&mut self, deed: Deed, leaf: &Leaf) {
        self.is_news = true;
        if deed == Deed::Commit {
            self.row.preimage = Some(leaf.value);
        }
    }

    /// What the words of the lock's logs decide.
    pub(super) fn judge(self, policy: &Policy, heads: &Heads) -> Judged {
        let lock = &self.row.public;
        let words: Vec<Words> = policy
            .logs_for(lock.expiry)
            .map(|log| {
                let view = self.views.get(&log.key.name).copied().unwrap_or_default();
                view.words(lock, heads.of(log).map(|head| head.checked()))
            })
            .collect();
        match (outcome(&words, policy.log_threshold()), self.row.preimage) {
            (Outcome::Captured, Some(preimage)) => Judged::Captured(self.lock_tag, preimage),
            (Outcome::Released, _) => Judged::Released(self.lock_tag),
            (outcome, _) => self.still_undecided(outcome, &words),
        }
    }

    fn still_undecided(self, outcome: Outcome, words: &[Words]) -> Judged {
        let is_prepared = outcome == Outcome::Prepared || self.row.state == LockState::Prepared;
        let due = self.due_by(is_prepared, words).max(self.row.due);
        let is_news = self.is_news
            || due != self.row.due
            || is_prepared != (self.row.state == LockState::Prepared);
        let seen = SeenLock {
            lock_tag: self.lock_tag,
            views: self.views.into_iter().collect(),
            preimage: self.row.preimage,
            is_prepared,
            due,
        };
        Judged::Undecided(is_news.then_some(seen))
    }

    /// When the silence of some log can say something new.
    fn due_by(&self, is_prepared: bool, words: &[Words]) -> Timestamp {
        let is_open =
            |question: fn(&Words) -> Word| words.iter().any(|words| question(words) == Word::Open);
        let lock = &self.row.public;
        let due = if !is_prepared && is_open(|words| words.taken) {
            lock.expiry
        } else if is_open(|words| words.committed) {
            lock.commit_until()
        } else {
            self.row.settle_until
        };
        due.min(self.row.settle_until)
    }
}

/// What follows for a lock.
pub(super) enum Judged {
    /// It is the payee's, by this preimage.
    Captured(LockTag, [u8; 32]),
    /// It is the payer's.
    Released(LockTag),
    /// Neither yet; what is to be kept, if there is something new.
    Undecided(Option<SeenLock>),
}

impl Judged {
    /// Puts it with others that are written together.
    pub(super) fn add_to(self, decisions: &mut Decisions) {
        match self {
            Self::Captured(lock_tag, preimage) => decisions.captures.push((lock_tag, preimage)),
            Self::Released(lock_tag) => decisions.releases.push(lock_tag),
            Self::Undecided(seen) => decisions.undecided.extend(seen),
        }
    }
}
