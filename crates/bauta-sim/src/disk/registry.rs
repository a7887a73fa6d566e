//! Which disk a path is on.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use super::Disk;

static MOUNTS: LazyLock<Mutex<BTreeMap<PathBuf, Disk>>> = LazyLock::new(Mutex::default);

/// From now on SQLite finds this disk under `folder`.
pub(crate) fn mount(folder: &Path, disk: &Disk) {
    mounts().insert(folder.to_owned(), disk.clone());
}

/// Nothing is under `folder` any more.
pub(crate) fn unmount(folder: &Path) {
    mounts().remove(folder);
}

/// The disk that a file is on.
pub(super) fn disk_of(path: &str) -> Option<Disk> {
    let mounts = mounts();
    let mut folders = Path::new(path).ancestors().skip(1);
    folders.find_map(|folder| mounts.get(folder)).cloned()
}

fn mounts() -> MutexGuard<'static, BTreeMap<PathBuf, Disk>> {
    MOUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}
