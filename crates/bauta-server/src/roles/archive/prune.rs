//! What becomes of frozen shards: a mark that no program starts them again, and, after their retention, less on the disk.
//!
//! A log whose store is gone could be started again with another history: a fork. The mark stands before anything is
//! removed, and the last checkpoint stays in the public folder.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use bauta_proto::{
    log::{policy::Shard, reader::KEPT_FOLDER},
    time::{Seconds, Timestamp},
};

use super::{
    ArchiveConfig,
    folder::write_whole,
    slot::{Place, shards_in},
    span::last_moment,
};

/// The folder of the shards' stores in the data folder.
pub(super) const SHARDS_FOLDER: &str = "shards";
/// The mark's file in a shard's folder.
const MARK_FILE: &str = "frozen";

/// What stands in the folder of a shard that takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Its last checkpoint is published.
    Frozen,
    /// And its store and tiles are removed, or about to be.
    Pruned,
}

const FROZEN: &str = "frozen\nThe last checkpoint of this log is published. It takes nothing any more. Do not remove this file.\n";
const PRUNED: &str = "pruned\nStore and tiles of this log were removed after their retention. This file and the last checkpoint stay, so that\n\
    nobody starts the log again with another history. Do not remove them.\n";

impl Mark {
    /// The mark in a shard's folder. A file that is not understood is a mark, too.
    pub(super) fn read(data: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(data.join(MARK_FILE)) {
            Ok(text) if text == PRUNED => Ok(Some(Self::Pruned)),
            Ok(_) => Ok(Some(Self::Frozen)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the mark; it is on disk when this returns.
    pub(super) fn write(self, data: &Path) -> io::Result<()> {
        let text = match self {
            Self::Frozen => FROZEN,
            Self::Pruned => PRUNED,
        };
        let temporary = data.join(format!("{MARK_FILE}.new"));
        write_whole(&temporary, &data.join(MARK_FILE), text.as_bytes())
    }
}

/// A shard whose retention is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedShard {
    /// Which.
    pub shard: Shard,
    /// Its origin line.
    pub origin: String,
    /// What its store and tiles take on the disk.
    pub bytes: u64,
}

/// Removes store and tiles of the frozen shards that ended `retention` ago; lists them only, if it is a `dry_run`. Safe
/// beside a running archive, and safe to repeat after a crash.
///
/// # Errors
/// When a folder cannot be read or changed.
pub fn prune(
    config: &ArchiveConfig,
    retention: Seconds,
    now: Timestamp,
    dry_run: bool,
) -> io::Result<Vec<PrunedShard>> {
    let mut pruned = Vec::new();
    for shard in shards_in(config)? {
        let place = Place::new(config, Some(shard));
        let is_over = now > last_moment(shard).plus(retention);
        if !is_over || Mark::read(&place.data)?.is_none() {
            continue;
        }
        let removable = removable(&place)?;
        let bytes = removable.iter().map(|path| bytes_of(path)).sum();
        if removable.is_empty() {
            continue;
        }
        if !dry_run {
            Mark::Pruned.write(&place.data)?;
            removable.iter().try_for_each(|path| remove(path))?;
        }
        pruned.push(PrunedShard {
            shard,
            origin: place.origin,
            bytes,
        });
    }
    Ok(pruned)
}

/// Everything of a shard but its mark, its last checkpoint and its policy.
fn removable(place: &Place) -> io::Result<Vec<PathBuf>> {
    let mut paths = vec![place.public.join("tile"), place.public.join(KEPT_FOLDER)];
    for entry in fs::read_dir(&place.data)? {
        let path = entry?.path();
        if !path.ends_with(MARK_FILE) {
            paths.push(path);
        }
    }
    paths.retain(|path| path.exists());
    Ok(paths)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        // Whoever closes a store for the last time removes what stands beside it.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// As far as it can be read.
fn bytes_of(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes_of(&entry.path())).sum()
}
