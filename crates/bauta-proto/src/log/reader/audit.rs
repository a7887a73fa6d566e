//! Auditing a log: every entry is hashed again, every tile compared, and the whole must lead to the checkpoint's root.
//!
//! Whoever follows a log need not do this: [`LogReader::entries`] proves what it reads. An audit also shows that the files
//! which others will need for their proofs are whole.

use bauta_crypto::merkle::{self, Frontier, Hash, TILE_WIDTH};

use super::{BUNDLES_READ_MAX, FetchedCheckpoint, LogReader, ReadError};
use crate::{log::leaf::Leaf, transport::Transport};

/// An audit under way: from the first leaf of the checkpoint's tree to its last.
pub struct Audit<'a, T> {
    reader: &'a LogReader<T>,
    checkpoint: &'a FetchedCheckpoint,
    /// The tree over what was read.
    frontier: Frontier,
    /// The hashes in the tiles of each level from 1 on, as the entries give them.
    levels: Vec<Vec<Hash>>,
}

/// What one step of an audit read, all of it in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedEntries {
    /// The entries that are leaves, with their indices.
    pub leaves: Vec<(u64, Leaf)>,
    /// How many entries this version does not understand; they decide nothing.
    pub unknown: u64,
}

/// Why a log does not pass.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file is not there, or cannot be read: its log is at fault, or whoever keeps this copy.
    #[error("{path} is not as the checkpoint needs it")]
    File {
        /// The file's path under the log's address.
        path: String,
        /// What is wrong with it.
        source: ReadError,
    },
    /// A tile lists other hashes than the entries have: the files are damaged.
    #[error("{path} does not list the hashes of the log's entries")]
    Tile {
        /// The tile's path under the log's address.
        path: String,
    },
    /// Entries and tiles agree with each other, and not with the checkpoint.
    #[error("the entries do not make up the checkpoint's tree")]
    Root,
}

impl<T: Transport> LogReader<T> {
    /// Begins an audit of everything that the checkpoint covers.
    pub fn audit<'a>(&'a self, checkpoint: &'a FetchedCheckpoint) -> Audit<'a, T> {
        Audit {
            reader: self,
            checkpoint,
            frontier: Frontier::new(),
            levels: Vec::new(),
        }
    }
}

impl<T: Transport> Audit<'_, T> {
    /// How many leaves were read and found in order.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.frontier.size()
    }

    /// Reads and checks the next [`BUNDLES_READ_MAX`] bundles; none when the last leaf was reached and the root is the
    /// checkpoint's. A step that failed because the log did not answer can be repeated.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn step(&mut self) -> Result<Option<AuditedEntries>, AuditError> {
        let (start, size) = (self.frontier.size(), self.checkpoint.size());
        if start == size {
            let is_its = self.frontier.root() == self.checkpoint.checked().root;
            return is_its.then_some(None).ok_or(AuditError::Root);
        }
        self.forget_failed_step();
        let width = u64::from(TILE_WIDTH);
        let end = size.min(start.saturating_add(BUNDLES_READ_MAX * width));
        let entries = self.reader.entries_between(start, end, size).await;
        let entries = entries.map_err(|error| self.in_file(error, start))?;
        let hashes: Vec<Hash> = entries.iter().map(|e| merkle::leaf_hash(e)).collect();
        self.check_tiles(start, end, &hashes).await?;
        hashes
            .into_iter()
            .for_each(|hash| self.frontier.append(hash));
        let unread = |entry: &Vec<u8>| Leaf::from_bytes(entry).is_none();
        Ok(Some(AuditedEntries {
            unknown: entries.iter().filter(|entry| unread(entry)).count() as u64,
            leaves: (start..)
                .zip(&entries)
                .filter_map(|(index, entry)| Some((index, Leaf::from_bytes(entry)?)))
                .collect(),
        }))
    }

    /// Compares the tiles that end between `start` and `end`, whose leaves have these hashes.
    async fn check_tiles(
        &mut self,
        start: u64,
        end: u64,
        hashes: &[Hash],
    ) -> Result<(), AuditError> {
        let is_last = end == self.checkpoint.size();
        for (level, index, width) in merkle::tiles_to_write(start, end) {
            if width < TILE_WIDTH && !is_last {
                continue;
            }
            let expected = self.expected(level, index, width, start, hashes);
            let tile = (level, index, width);
            let path = merkle::tile_path(level, index, Some(width));
            let read = self.reader.tile(tile).await;
            let (_, shown) = read.map_err(|source| file_error(source, path.clone()))?;
            if shown != expected {
                return Err(AuditError::Tile { path });
            }
            if let Some(root) = merkle::full_tile_root(&expected) {
                self.keep_root(usize::from(level), root);
            }
        }
        Ok(())
    }

    /// What the entries say that stands in a tile.
    fn expected(&self, level: u8, index: u64, width: u16, start: u64, leaves: &[Hash]) -> Vec<u8> {
        let first = index * u64::from(TILE_WIDTH);
        let (known, first) = match usize::from(level).checked_sub(1) {
            // A step begins at the edge of a tile.
            None => (leaves, first - start),
            Some(above) => (self.levels.get(above).map_or(&[][..], Vec::as_slice), first),
        };
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let hashes = known.iter().skip(first).take(usize::from(width));
        hashes.flatten().copied().collect()
    }

    fn forget_failed_step(&mut self) {
        let mut full_tiles = self.frontier.size();
        for level in &mut self.levels {
            full_tiles /= u64::from(TILE_WIDTH);
            level.truncate(usize::try_from(full_tiles).unwrap_or(usize::MAX));
        }
    }

    /// Full tiles come in order, lower levels first.
    fn keep_root(&mut self, level: usize, root: Hash) {
        while self.levels.len() <= level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(root);
    }

    /// Names the place when files are damaged or missing.
    fn in_file(&self, error: ReadError, start: u64) -> AuditError {
        let bundle = start / u64::from(TILE_WIDTH);
        let path = format!("{} or one of the next", merkle::entries_path(bundle, None));
        file_error(error, path)
    }
}

fn file_error(error: ReadError, path: String) -> AuditError {
    match error {
        ReadError::Missing | ReadError::Inconsistent(_) => AuditError::File {
            path,
            source: error,
        },
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::test_log::{MemoryFiles, TestLog, leaf, run};

    /// Audits a log of `size` after a change of its files: how many leaves were in order, or why it does not pass.
    fn audit(size: u64, change: impl FnOnce(&MemoryFiles)) -> Result<Vec<(u64, Leaf)>, AuditError> {
        let log = TestLog::new(size);
        let files = Arc::new(MemoryFiles::default());
        log.publish(&files, size, 5_000);
        change(&files);
        let reader = log.reader(&files);
        let checkpoint = run(reader.checkpoint()).expect("an honest checkpoint");
        let mut audit = reader.audit(&checkpoint);
        let mut leaves = Vec::new();
        while let Some(read) = run(audit.step())? {
            assert_eq!(read.unknown, 0);
            leaves.extend(read.leaves);
        }
        assert_eq!(audit.done(), size);
        Ok(leaves)
    }

    #[test]
    fn an_honest_log_passes_at_every_size_and_every_leaf_is_seen() {
        for size in [0, 1, 255, 256, 257, 700, 16_384, 16_385, 65_537] {
            let expected: Vec<_> = (0..size).map(|index| (index, leaf(index))).collect();
            assert_eq!(audit(size, |_| {}).expect("passes"), expected, "{size}");
        }
    }

    #[test]
    fn one_bit_in_any_file_is_found() {
        let files = [
            "tile/entries/000",
            "tile/entries/002.p/188",
            "tile/0/001",
            "tile/0/002.p/188",
            "tile/1/000.p/2",
        ];
        for path in files {
            let flip = |files: &MemoryFiles| files.change(path, |bytes| bytes[40] ^= 1);
            let error = audit(700, flip).expect_err(path);
            assert!(
                matches!(error, AuditError::Tile { .. } | AuditError::File { .. }),
                "{path}: {error:?}"
            );
            let lose = |files: &MemoryFiles| {
                files.files.lock().expect("no panic").remove(path);
            };
            let error = audit(700, lose).expect_err(path);
            assert!(
                matches!(error, AuditError::File { .. }),
                "{path}: {error:?}"
            );
        }
    }

    #[test]
    fn files_that_agree_with_each_other_and_not_with_the_checkpoint_do_not_pass() {
        let exchange = |files: &MemoryFiles| {
            let mut other = TestLog::new(300);
            other.entries.swap(0, 1);
            let checkpoint = files.files.lock().expect("no panic")["checkpoint"].clone();
            other.publish(files, 300, 5_000);
            files.change("checkpoint", |bytes| *bytes = checkpoint);
        };
        assert!(matches!(audit(300, exchange), Err(AuditError::Root)));
    }

    #[test]
    fn entries_of_a_later_version_are_counted() {
        let mut log = TestLog::new(3);
        log.entries[1] = b"a kind of a later version".to_vec();
        let files = Arc::new(MemoryFiles::default());
        log.publish(&files, 3, 5_000);
        let reader = log.reader(&files);
        let checkpoint = run(reader.checkpoint()).expect("a checkpoint");
        let read = run(reader.audit(&checkpoint).step()).expect("passes");
        let read = read.expect("three entries");
        assert_eq!((read.unknown, read.leaves.len()), (1, 2));
        assert_eq!(read.leaves[1].0, 2);
    }
}
