//! Who decides: the rule that makes "committed" and "released" exclude each other.
//!
//! A checkpoint is *early* for a moment if a quorum of the policy's witnesses cosigned it at or before that moment + delta,
//! *late* if a quorum cosigned it after. A log says yes to a lock if the lock's first leaf there is a prepare or a commit and
//! stands in a checkpoint that is early for E, and no if that leaf is a cancel or a late checkpoint lacks any. Any two
//! quorums share an honest witness, which never cosigns a tree that lacks what an earlier one had, and whose times never
//! go back: so no log ever says both. The words of a policy's logs together decide ([`outcome`]). Bank, wallet, merchant
//! and tools all use this module.

use crate::{
    lock::{LockMode, LockPublic},
    log::{leaf::Deed, policy::CheckedCheckpoint},
    time::{CLOCK_TOLERANCE, Timestamp},
};

/// How a checkpoint stands to a moment by which something had to be in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// What is in it was in time.
    Early,
    /// What is not in it was not in time.
    Late,
    /// Cosigned partly before and partly after: decides nothing.
    Neither,
}

/// How `checkpoint` stands to the moment `until`.
///
/// A checkpoint with quorums on both sides is early: its tree existed early, and the later cosignatures only repeat it.
#[must_use]
pub fn age(checkpoint: &CheckedCheckpoint, until: Timestamp) -> Age {
    let line = until.plus(CLOCK_TOLERANCE);
    if checkpoint.quorum_within(|time| time <= line) {
        Age::Early
    } else if checkpoint.quorum_within(|time| time > line) {
        Age::Late
    } else {
        Age::Neither
    }
}

/// What one log has shown about one lock to somebody who read its leaves from before the lock was made on, in order.
///
/// A value to be kept: it only grows, and the order in which receipts come does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogView {
    /// What the first leaf of the lock does. A later one of prepare and cancel means nothing.
    pub first: Option<Deed>,
    /// Whether the first leaf stood in a checkpoint that is early for the expiry.
    pub first_early: bool,
    /// Whether there is a commit.
    pub committed: bool,
    /// Whether the commit stood in a checkpoint that is early for the last moment to commit.
    pub commit_early: bool,
}

/// A log's answer to one question: did the payee act in time?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// It did; nothing that this log or its witnesses do later can change that.
    Yes,
    /// It did not, and cannot any more.
    No,
    /// There is a leaf, but nothing shows that it was in time: an early checkpoint may still be shown.
    Unproven,
    /// A later checkpoint will say.
    Open,
}

/// One log's answers about one lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Words {
    /// Did the payee prepare or commit by the expiry, before any cancel?
    pub taken: Word,
    /// Did the payee commit by its last moment? In mode FAST the same moment.
    pub committed: Word,
}

impl LogView {
    /// Takes in the next leaf of the lock, read in this checkpoint.
    pub fn read(&mut self, lock: &LockPublic, deed: Deed, checkpoint: &CheckedCheckpoint) {
        if self.first.is_none() {
            self.first = Some(deed);
        }
        if deed == Deed::Commit {
            self.committed = true;
        }
        self.prove(lock, deed, checkpoint);
    }

    /// Takes in the proof that a leaf which was read also stood in this checkpoint. A leaf that was not read yet is not
    /// taken in: only reading shows what came before it.
    pub fn prove(&mut self, lock: &LockPublic, deed: Deed, checkpoint: &CheckedCheckpoint) {
        if self.first == Some(deed) {
            self.first_early |= age(checkpoint, lock.expiry) == Age::Early;
        }
        if self.committed && deed == Deed::Commit {
            self.commit_early |= age(checkpoint, lock.commit_until()) == Age::Early;
        }
    }

    /// The log's answers. `checkpoint` is the newest one of which every leaf was read, if there is one: only that says
    /// what is not in the log.
    #[must_use]
    pub fn words(&self, lock: &LockPublic, checkpoint: Option<&CheckedCheckpoint>) -> Words {
        let silence = |until| match checkpoint.map(|checkpoint| age(checkpoint, until)) {
            Some(Age::Late) => Word::No,
            Some(Age::Early | Age::Neither) | None => Word::Open,
        };
        let taken = match (self.first, self.first_early) {
            (None, _) => silence(lock.expiry),
            (Some(Deed::Cancel), _) => Word::No,
            (Some(Deed::Prepare | Deed::Commit), true) => Word::Yes,
            (Some(Deed::Prepare | Deed::Commit), false) => Word::Unproven,
        };
        let committed = match (self.committed, self.commit_early) {
            (false, _) => silence(lock.commit_until()),
            (true, true) => Word::Yes,
            (true, false) => Word::Unproven,
        };
        Words { taken, committed }
    }
}

/// What became of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Undecided.
    Held,
    /// Undecided, but the payer cannot cancel any more: the payee has until its last moment to commit.
    Prepared,
    /// The payee's: pay it, hand the preimage to the payer.
    Captured,
    /// The payer's again.
    Released,
}

/// The rule, for all modes: what follows from the words of the logs that take the lock's leaves
/// ([`Policy::logs_for`](crate::log::policy::Policy::logs_for)), of which `threshold` must agree that the payee acted in
/// time.
///
/// `Captured` needs a yes of `threshold` logs to both questions, `Released` a no of so many logs to one of them that the
/// rest are fewer than `threshold`. A log that says yes never says no, whatever it does, as long as any two quorums of
/// its witnesses share an honest one: so both cannot be, and with all logs heard one of them is.
#[must_use]
pub fn outcome(words: &[Words], threshold: usize) -> Outcome {
    let answers = |question: fn(&Words) -> Word| {
        let count = |answer| {
            words
                .iter()
                .filter(|words| question(words) == answer)
                .count()
        };
        let is_yes = count(Word::Yes) >= threshold;
        let is_no = words.len() - count(Word::No) < threshold;
        (is_yes, is_no)
    };
    let (taken, not_taken) = answers(|words| words.taken);
    let (committed, not_committed) = answers(|words| words.committed);
    match (taken, committed) {
        (true, true) => Outcome::Captured,
        _ if not_taken || not_committed => Outcome::Released,
        (true, false) => Outcome::Prepared,
        (false, _) => Outcome::Held,
    }
}

/// Whether a bank takes the preimage from whoever brings it, at `now`, for a lock that stands like this.
///
/// In mode FAST that is the way around a log that does not answer. In mode SAFE only a prepared lock can be captured so: a
/// cancel may stand in a log that the bank has not read yet.
#[must_use]
pub fn bank_takes(lock: &LockPublic, outcome: Outcome, now: Timestamp) -> bool {
    let is_committable = match lock.mode {
        LockMode::Fast => matches!(outcome, Outcome::Held | Outcome::Prepared),
        LockMode::Safe { .. } => outcome == Outcome::Prepared,
    };
    is_committable && now <= lock.commit_until()
}

#[cfg(test)]
mod tests;
