//! Checkpoints that were checked: many claims come with receipts of one checkpoint, whose signatures are checked once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bauta_crypto::hash;
use bauta_proto::log::policy::{CheckedCheckpoint, Policy};

/// Checkpoints that are kept. A receipt is shown soon after its checkpoint was made, with others of the same one.
const KEPT_MAX: usize = 1_024;

/// What came of checking a checkpoint, once somebody has.
type Check = Arc<OnceLock<Option<CheckedCheckpoint>>>;

/// Checked checkpoints by the hashes of their notes, the oldest go first. Whoever asks for one that is being checked
/// waits for it.
#[derive(Default)]
pub(super) struct Checkpoints(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    checks: HashMap<[u8; 32], Check>,
    order: VecDeque<[u8; 32]>,
    #[cfg(test)]
    checked: usize,
}

impl Checkpoints {
    /// What the checkpoint says and when it was cosigned, if the policy accepts it.
    pub(super) fn check(&self, note: &str, policy: &Policy) -> Option<CheckedCheckpoint> {
        let name = hash::sha256(&[note.as_bytes()]);
        let check = self.kept().entry(name);
        let checked = check.get_or_init(|| {
            #[cfg(test)]
            self.count();
            policy.check(note).ok()
        });
        if checked.is_none() {
            self.kept().forget(&name);
        }
        checked.clone()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn count(&self) {
        self.kept().checked += 1;
    }

    /// How often signatures were checked.
    #[cfg(test)]
    pub(super) fn checked(&self) -> usize {
        self.kept().checked
    }
}

impl Kept {
    fn entry(&mut self, name: [u8; 32]) -> Check {
        if let Some(check) = self.checks.get(&name) {
            return Arc::clone(check);
        }
        while self.order.len() >= KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.checks.remove(&oldest);
            }
        }
        let check = Check::default();
        self.checks.insert(name, Arc::clone(&check));
        self.order.push_back(name);
        check
    }

    /// What is not accepted is not worth a place.
    fn forget(&mut self, name: &[u8; 32]) {
        self.checks.remove(name);
        self.order.retain(|kept| kept != name);
    }
}
