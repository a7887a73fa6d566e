//! What whoever watches logs remembers and compares: checkpoints that anybody shows, and leaves of one lock that cannot
//! both be honest. What a comparison proves is in [`super::evidence`].

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use bauta_crypto::merkle;

use crate::{
    ids::LockTag,
    log::{
        leaf::Leaf,
        policy::{KnownWitness, Policy, PolicyError},
    },
    time::{CLOCK_TOLERANCE, Timestamp},
};

/// A checkpoint that a log of the policy signed, whoever cosigned it: enough to hold the log to its word, not enough to decide
/// a lock.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The log's origin line.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// RFC 6962 root of the tree.
    pub root: merkle::Hash,
    note: String,
    /// By the witness's position in the policy.
    times: Vec<Option<Timestamp>>,
}

impl fmt::Debug for SignedCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SignedCheckpoint({} leaves)", self.size)
    }
}

impl SignedCheckpoint {
    /// Opens a signed note.
    ///
    /// # Errors
    /// [`PolicyError`]: no log of the policy signed it. Whoever showed it is at fault.
    pub fn open(note: &str, policy: &Policy) -> Result<Self, PolicyError> {
        let opened = policy.open(note)?;
        let time = |w: &KnownWitness| opened.cosignature_time(&w.key).map(Timestamp);
        Ok(Self {
            times: policy.witnesses().iter().map(time).collect(),
            origin: opened.checkpoint.origin,
            size: opened.checkpoint.size,
            root: opened.checkpoint.root,
            note: note.to_owned(),
        })
    }

    /// The note, verbatim.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// When each witness of the policy cosigned, in the policy's order; none where it did not.
    #[must_use]
    pub fn times(&self) -> &[Option<Timestamp>] {
        &self.times
    }

    /// The newest cosignature.
    #[must_use]
    pub fn cosigned_at(&self) -> Option<Timestamp> {
        self.times.iter().flatten().max().copied()
    }
}

/// Whether a time that somebody signed lies farther ahead of `now` than two honest clocks may be apart.
#[must_use]
pub fn is_ahead(signed: Timestamp, now: Timestamp) -> bool {
    signed > now.plus(CLOCK_TOLERANCE)
}

/// Whether a witness's times went back between two checkpoints of one log: it cosigned the larger tree with the earlier
/// time. A witness goes from smaller to larger trees only.
#[must_use]
pub fn went_back(smaller: (u64, Timestamp), larger: (u64, Timestamp)) -> bool {
    smaller.0 < larger.0 && smaller.1 > larger.1
}

/// Whether two leaves cannot both be of one lock that a bank signed: another expiry, or for one deed another preimage.
///
/// The tag is a hash over the expiry and the hashes that the preimages open, so a log that took both took one that it must
/// refuse. A prepare and a cancel of one lock are no contradiction: their order decides.
#[must_use]
pub fn contradict(first: &Leaf, second: &Leaf) -> bool {
    let (Some((tag, deed)), Some((other_tag, other_deed))) =
        (first.about_lock(), second.about_lock())
    else {
        return false;
    };
    let differs =
        first.expiry != second.expiry || (deed == other_deed && first.value != second.value);
    tag == other_tag && differs
}

/// The leaves of locks that were seen, until they are forgotten.
#[derive(Debug, Default)]
pub struct LockWatch {
    /// The first leaf of each deed in each log, and every leaf that contradicts one.
    seen: HashMap<LockTag, Vec<SeenLeaf>>,
}

/// A leaf and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenLeaf {
    /// The log's position in the policy.
    pub log: usize,
    /// The leaf's index in the log.
    pub index: u64,
    /// The leaf.
    pub leaf: Leaf,
}

impl LockWatch {
    /// Looks at a leaf. Returns one that was seen before and that it contradicts. To see the same leaf again changes nothing.
    pub fn look(&mut self, new: SeenLeaf) -> Option<SeenLeaf> {
        let (tag, _) = new.leaf.about_lock()?;
        let seen = self.seen.entry(tag).or_default();
        let same = |old: &&SeenLeaf| old.log == new.log && old.leaf == new.leaf;
        if seen.iter().any(|old| same(&old)) {
            return None;
        }
        let other = seen.iter().find(|old| contradict(&old.leaf, &new.leaf));
        let other = other.cloned();
        // One contradiction of a lock is enough: a log cannot fill the memory with them.
        if seen.len() < LEAVES_KEPT_MAX {
            seen.push(new);
        }
        other
    }

    /// Forgets locks whose leaves all had their expiry before `moment`.
    pub fn forget(&mut self, moment: Timestamp) {
        self.seen
            .retain(|_, leaves| leaves.iter().any(|seen| seen.leaf.expiry >= moment));
    }

    /// Of each log, by its position, the lowest index that is still remembered.
    #[must_use]
    pub fn lowest(&self) -> BTreeMap<usize, u64> {
        let mut lowest = BTreeMap::new();
        for seen in self.seen.values().flatten() {
            let index = lowest.entry(seen.log).or_insert(seen.index);
            *index = seen.index.min(*index);
        }
        lowest
    }

    /// How many locks are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

/// Leaves that are kept of one lock: three deeds in eight logs, and some that contradict them.
const LEAVES_KEPT_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::leaf::Deed;

    fn leaf(deed: Deed, expiry: u64, value: u8) -> Leaf {
        Leaf::of_lock(deed, LockTag([1; 32]), Timestamp(expiry), [value; 32])
    }

    fn at(log: usize, index: u64, leaf: Leaf) -> SeenLeaf {
        SeenLeaf { log, index, leaf }
    }

    #[test]
    fn leaves_of_one_lock_contradict_by_expiry_or_preimage_and_never_by_their_order() {
        let commit = leaf(Deed::Commit, 5, 1);
        assert!(contradict(&commit, &leaf(Deed::Commit, 5, 2)));
        assert!(contradict(&commit, &leaf(Deed::Commit, 6, 1)));
        assert!(contradict(&commit, &leaf(Deed::Cancel, 6, 2)));
        for honest in [Deed::Prepare, Deed::Cancel] {
            assert!(!contradict(&commit, &leaf(honest, 5, 2)));
        }
        assert!(!contradict(&commit, &commit));
        let other_lock = Leaf::of_lock(Deed::Commit, LockTag([2; 32]), Timestamp(6), [2; 32]);
        assert!(!contradict(&commit, &other_lock));
        let record = Leaf::record(crate::ids::BankId([1; 32]), Timestamp(9), [3; 32]);
        assert!(!contradict(&commit, &record));
    }

    #[test]
    fn a_contradiction_is_found_in_one_log_and_across_logs_once() {
        let mut watch = LockWatch::default();
        assert_eq!(watch.look(at(0, 7, leaf(Deed::Commit, 5, 1))), None);
        assert_eq!(watch.look(at(0, 7, leaf(Deed::Commit, 5, 1))), None);
        assert_eq!(watch.look(at(1, 3, leaf(Deed::Commit, 5, 1))), None);
        let found = watch.look(at(1, 9, leaf(Deed::Commit, 5, 2)));
        assert_eq!(found, Some(at(0, 7, leaf(Deed::Commit, 5, 1))));
        assert_eq!(watch.look(at(1, 9, leaf(Deed::Commit, 5, 2))), None);
    }

    #[test]
    fn what_has_expired_is_forgotten_and_the_rest_says_from_where_to_read_again() {
        let mut watch = LockWatch::default();
        for number in 0..10_u8 {
            let lock = LockTag([number; 32]);
            let leaf = Leaf::of_lock(Deed::Commit, lock, Timestamp(number.into()), [0; 32]);
            watch.look(at(0, number.into(), leaf));
        }
        watch.forget(Timestamp(4));
        assert_eq!(watch.len(), 6);
        assert_eq!(watch.lowest(), BTreeMap::from([(0, 4)]));
    }

    #[test]
    fn times_may_stay_or_rise_with_the_tree_and_not_fall() {
        let at = |size, time| (size, Timestamp(time));
        assert!(went_back(at(3, 10), at(4, 9)));
        assert!(!went_back(at(3, 10), at(4, 10)));
        assert!(!went_back(at(3, 10), at(3, 9)));
        assert!(is_ahead(Timestamp(131), Timestamp(100)));
        assert!(!is_ahead(Timestamp(130), Timestamp(100)));
    }
}
