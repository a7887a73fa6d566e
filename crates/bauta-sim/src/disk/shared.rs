//! What connections to one file share: locks, and the memory that holds the index of the write-ahead log
//! (<https://sqlite.org/walformat.html#the_wal_index_file_format>).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicU64},
};

/// Locks of the shared memory, by number.
const SLOTS: usize = 8;
/// Bytes of one piece of shared memory; SQLite asks for no other.
pub(super) const REGION_BYTES: usize = 32_768;

/// How a connection has locked a file (<https://sqlite.org/lockingv3.html>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

impl Level {
    pub(super) const fn from_number(number: i32) -> Self {
        match number {
            ..=0 => Self::None,
            1 => Self::Shared,
            2 => Self::Reserved,
            3 => Self::Pending,
            4.. => Self::Exclusive,
        }
    }
}

/// Somebody else holds the lock.
pub(super) struct Busy;

/// The locks of one file, by connection.
#[derive(Default)]
pub(super) struct Locks(BTreeMap<u64, Level>);

impl Locks {
    pub(super) fn lock(&mut self, who: u64, level: Level) -> Result<(), Busy> {
        let highest = self.highest_of_others(who);
        let is_free = match level {
            Level::None => true,
            Level::Shared => highest < Level::Pending,
            Level::Reserved => highest < Level::Reserved,
            Level::Pending | Level::Exclusive => highest == Level::None,
        };
        if !is_free {
            return Err(Busy);
        }
        let held = self.0.entry(who).or_default();
        *held = level.max(*held);
        Ok(())
    }

    pub(super) fn unlock(&mut self, who: u64, level: Level) {
        match level {
            Level::None => {
                self.0.remove(&who);
            }
            level => {
                self.0.insert(who, level);
            }
        }
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.0.values().any(|level| *level >= Level::Reserved)
    }

    fn highest_of_others(&self, who: u64) -> Level {
        let others = self.0.iter().filter(|(other, _)| **other != who);
        others.map(|(_, level)| *level).max().unwrap_or_default()
    }
}

/// A piece of memory that several connections write to; its words are never moved.
pub(super) type Region = Arc<[AtomicU64; REGION_BYTES / 8]>;

/// The shared memory of one file.
#[derive(Default)]
pub(super) struct SharedMemory {
    regions: Vec<Region>,
    users: BTreeSet<u64>,
    slots: [Slot; SLOTS],
}

#[derive(Default)]
struct Slot {
    shared: BTreeSet<u64>,
    exclusive: Option<u64>,
}

impl SharedMemory {
    /// The piece of this number; none if it is not there and is not to be made.
    pub(super) fn region(&mut self, who: u64, number: usize, make: bool) -> Option<Region> {
        self.users.insert(who);
        while make && self.regions.len() <= number {
            let words = std::array::from_fn(|_| AtomicU64::new(0));
            self.regions.push(Arc::new(words));
        }
        self.regions.get(number).cloned()
    }

    pub(super) fn lock(
        &mut self,
        who: u64,
        slots: std::ops::Range<usize>,
        exclusive: bool,
    ) -> Result<(), Busy> {
        let slots = self.slots.get_mut(slots).ok_or(Busy)?;
        let is_taken = |slot: &Slot| {
            let by_other = |other: u64| other != who;
            slot.exclusive.is_some_and(by_other)
                || exclusive && slot.shared.iter().any(|other| by_other(*other))
        };
        if slots.iter().any(is_taken) {
            return Err(Busy);
        }
        for slot in slots {
            if exclusive {
                slot.exclusive = Some(who);
            } else {
                slot.shared.insert(who);
            }
        }
        Ok(())
    }

    pub(super) fn unlock(&mut self, who: u64, slots: std::ops::Range<usize>) {
        for slot in self.slots.get_mut(slots).unwrap_or_default() {
            slot.release(who);
        }
    }

    /// A connection lets go of everything; the last one takes the memory with it.
    pub(super) fn leave(&mut self, who: u64) {
        self.users.remove(&who);
        self.slots.iter_mut().for_each(|slot| slot.release(who));
        if self.users.is_empty() {
            self.regions.clear();
        }
    }
}

impl Slot {
    fn release(&mut self, who: u64) {
        self.shared.remove(&who);
        self.exclusive = self.exclusive.filter(|holder| *holder != who);
    }
}
