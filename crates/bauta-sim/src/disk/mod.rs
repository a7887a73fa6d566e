//! A node's disk: files in memory, of which a crash leaves only what was synchronised, and of the rest whatever the seed
//! says: nothing, all, some writes and not others, or halves of them. That is a loss of power; a killed process is the
//! case in which everything is left.

mod registry;
mod shared;
#[expect(
    unsafe_code,
    reason = "SQLite calls a file system by pointers; every block says why it is sound"
)]
mod vfs;

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

pub(crate) use registry::{mount, unmount};
pub(crate) use vfs::install;

use self::shared::{Locks, SharedMemory};
use crate::random::Chance;

/// What a disk writes in one piece, in bytes: torn writes end at a multiple of it.
const SECTOR_BYTES: usize = 512;

/// A moment in the life of a disk at which its node crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// Counts the disk's operations (writes, changes of length, synchronisations, removals) from 0.
    pub operation: u64,
    /// When exactly.
    pub moment: Moment,
}

/// When in an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it was done.
    Before,
    /// Some of it was.
    Middle,
    /// All of it was, and nobody was told.
    After,
}

/// Why the disk does not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DiskError {
    /// The node is down, or is another one by now.
    Down,
    /// There is no room.
    Full,
    /// There is no such file.
    Absent,
}

/// Files as they are after a crash or a copy.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// A disk. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
    down: Arc<Notify>,
}

struct State {
    files: BTreeMap<String, FileState>,
    /// Removed, but the folder was not synchronised since.
    removed: Image,
    /// Counts incarnations of the node: whoever opened a file in an earlier one can do nothing with it any more.
    life: u64,
    is_down: bool,
    operations: u64,
    crash_at: Option<CrashPoint>,
    full: Range<u64>,
    chance: Chance,
    handles: u64,
}

#[derive(Default)]
struct FileState {
    content: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
    /// Whether its name is on the disk.
    has_name: bool,
    locks: Locks,
    memory: SharedMemory,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Disk {
    pub(crate) fn new(chance: Chance, image: Image) -> Self {
        let state = State {
            files: BTreeMap::new(),
            removed: Image::new(),
            life: 0,
            is_down: false,
            operations: 0,
            crash_at: None,
            full: 0..0,
            chance,
            handles: 0,
        };
        let disk = Self {
            state: Arc::new(Mutex::new(state)),
            down: Arc::default(),
        };
        disk.state().load(image);
        disk
    }

    /// Completes when the node has crashed by an operation of this disk.
    pub(crate) async fn crashed(&self) {
        while !self.is_down() {
            self.down.notified().await;
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state().is_down
    }

    /// Whether a file is there.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        self.state().files.contains_key(&*path)
    }

    /// All files in a folder are gone for good.
    pub(crate) fn remove_folder(&self, folder: &Path) {
        let mut state = self.state();
        let is_in = |name: &str| Path::new(name).starts_with(folder);
        state.files.retain(|name, _| !is_in(name));
        state.removed.retain(|name, _| !is_in(name));
    }

    /// Counts the incarnations of the node.
    pub(crate) fn life(&self) -> u64 {
        self.state().life
    }

    /// The node loses its power now.
    pub(crate) fn crash(&self) {
        self.state().go_down();
        self.down.notify_waiters();
    }

    /// The node comes back.
    pub(crate) fn restart(&self) {
        self.state().is_down = false;
    }

    /// Another set of files takes the place of what is there; the node has to be down.
    pub(crate) fn put_back(&self, image: Image) {
        self.state().load(image);
    }

    /// What a copy taken now would hold: everything that was written.
    pub(crate) fn image(&self) -> Image {
        let state = self.state();
        let files = state.files.iter();
        files
            .map(|(name, file)| (name.clone(), file.content.clone()))
            .collect()
    }

    pub(crate) fn crash_at(&self, point: Option<CrashPoint>) {
        self.state().crash_at = point;
    }

    /// There is no room for the writes among these operations, counted from now.
    pub(crate) fn fill(&self, operations: Range<u64>) {
        let mut state = self.state();
        let now = state.operations;
        state.full = now + operations.start..now + operations.end;
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one operation that changes the disk, unless the node crashes at it.
    fn operate(
        &self,
        life: u64,
        is_write: bool,
        middle: impl FnOnce(&mut State),
        whole: impl FnOnce(&mut State),
    ) -> Result<(), DiskError> {
        let mut state = self.state();
        state.check(life)?;
        let number = state.operations;
        state.operations += 1;
        if is_write && state.full.contains(&number) {
            return Err(DiskError::Full);
        }
        let moment = state
            .crash_at
            .filter(|point| point.operation == number)
            .map(|point| point.moment);
        match moment {
            None => {
                whole(&mut state);
                return Ok(());
            }
            Some(Moment::Before) => {}
            Some(Moment::Middle) => middle(&mut state),
            Some(Moment::After) => whole(&mut state),
        }
        state.go_down();
        drop(state);
        self.down.notify_waiters();
        Err(DiskError::Down)
    }

    fn write(&self, life: u64, name: &str, at: usize, bytes: &[u8]) -> Result<(), DiskError> {
        let half = bytes.len() / 2 / SECTOR_BYTES * SECTOR_BYTES;
        let put = |state: &mut State, bytes: &[u8]| {
            if let Some(file) = state.files.get_mut(name) {
                file.change(Change::Write {
                    at,
                    bytes: bytes.to_vec(),
                });
            }
        };
        self.operate(
            life,
            true,
            |state| put(state, &bytes[..half]),
            |state| put(state, bytes),
        )
    }

    fn resize(&self, life: u64, name: &str, length: usize) -> Result<(), DiskError> {
        let resize = |state: &mut State| {
            if let Some(file) = state.files.get_mut(name) {
                file.change(Change::Resize(length));
            }
        };
        self.operate(life, false, |_| {}, resize)
    }

    /// What was written is on the disk, and so are the names in the folder.
    fn synchronise(&self, life: u64, name: &str) -> Result<(), DiskError> {
        let sync = |state: &mut State| {
            if let Some(file) = state.files.get_mut(name) {
                file.settle();
            }
            state.settle_names();
        };
        self.operate(life, false, |_| {}, sync)
    }

    fn remove(&self, life: u64, name: &str, sync: bool) -> Result<(), DiskError> {
        if !self.state().files.contains_key(name) {
            return Err(DiskError::Absent);
        }
        let remove = |state: &mut State| {
            if let Some(file) = state.files.remove(name) {
                state.removed.insert(name.to_owned(), file.content);
            }
            if sync {
                state.settle_names();
            }
        };
        self.operate(life, false, |_| {}, remove)
    }
}

impl State {
    fn check(&self, life: u64) -> Result<(), DiskError> {
        if self.is_down || self.life != life {
            Err(DiskError::Down)
        } else {
            Ok(())
        }
    }

    fn load(&mut self, image: Image) {
        let file = |content: Vec<u8>| FileState {
            synced: content.clone(),
            content,
            has_name: true,
            ..FileState::default()
        };
        let files = image.into_iter();
        self.files = files.map(|(name, bytes)| (name, file(bytes))).collect();
        self.removed.clear();
    }

    fn settle_names(&mut self) {
        self.files
            .values_mut()
            .for_each(|file| file.has_name = true);
        self.removed.clear();
    }

    /// What is left afterwards is what was synchronised, and of the rest what chance leaves.
    fn go_down(&mut self) {
        if self.is_down {
            return;
        }
        self.is_down = true;
        self.life += 1;
        self.crash_at = None;
        self.full = 0..0;
        let fate = *self
            .chance
            .one_of(&[Fate::Lost, Fate::Kept, Fate::Mixed, Fate::Mixed]);
        let mut image = Image::new();
        for (name, file) in std::mem::take(&mut self.files) {
            if file.has_name || fate.keeps(&self.chance) {
                image.insert(name, file.survivor(fate, &self.chance));
            } else {
                unmark(&name);
            }
        }
        for (name, content) in std::mem::take(&mut self.removed) {
            if !fate.keeps(&self.chance) {
                image.entry(name).or_insert(content);
            }
        }
        self.load(image);
    }
}

/// Whoever looks whether a database is there looks into the real folder.
fn mark(name: &str) {
    if is_database(name) {
        let _seen_by_nobody = std::fs::File::create(name);
    }
}

fn unmark(name: &str) {
    if is_database(name) {
        let _was_not_there = std::fs::remove_file(name);
    }
}

fn is_database(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "db")
}

/// What becomes of changes that were not synchronised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    Mixed,
}

impl Fate {
    fn keeps(self, chance: &Chance) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Mixed => chance.happens(500),
        }
    }
}

impl FileState {
    fn change(&mut self, change: Change) {
        apply(&mut self.content, &change);
        self.pending.push(change);
    }

    fn settle(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.synced, &change);
        }
    }

    fn survivor(mut self, fate: Fate, chance: &Chance) -> Vec<u8> {
        for change in self.pending {
            if !fate.keeps(chance) {
                continue;
            }
            match change {
                Change::Write { at, bytes } if fate == Fate::Mixed && chance.happens(300) => {
                    let sectors = (bytes.len() / SECTOR_BYTES) as u64;
                    let kept = usize::try_from(chance.among(0..sectors + 1)).unwrap_or(0);
                    let bytes = bytes[..(kept * SECTOR_BYTES).min(bytes.len())].to_vec();
                    apply(&mut self.synced, &Change::Write { at, bytes });
                }
                change => apply(&mut self.synced, &change),
            }
        }
        self.synced
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Resize(length) => content.resize(*length, 0),
        Change::Write { at, bytes } => {
            let end = at + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*at..end].copy_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
