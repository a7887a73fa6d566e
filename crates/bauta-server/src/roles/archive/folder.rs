//! The folder of the log's public files (C2SP tlog-tiles): each is written beside, made durable, and renamed into place,
//! so that whoever reads sees a whole file or none.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use bauta_crypto::merkle::{self, TILE_WIDTH, TileSource};

/// The files, and where new ones are written first.
#[derive(Debug)]
pub(super) struct PublicFolder {
    root: PathBuf,
    temporary: PathBuf,
}

/// A file with its path in the folder.
pub(super) type NamedFile = (String, Vec<u8>);

impl PublicFolder {
    /// The files in `root`; new ones are written in `temporary` first, which is on the same file system.
    pub(super) const fn new(root: PathBuf, temporary: PathBuf) -> Self {
        Self { root, temporary }
    }

    /// Makes the folders and drops what a crash left half written.
    pub(super) fn prepare(&self) -> io::Result<()> {
        if self.temporary.exists() {
            fs::remove_dir_all(&self.temporary)?;
        }
        fs::create_dir_all(&self.root)?;
        fs::create_dir_all(&self.temporary)
    }

    /// Where a file is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Reads a file, none if there is no such.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes files; they and their names are on disk when this returns.
    pub(super) fn write(&self, files: &[NamedFile]) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for (name, bytes) in files {
            let path = self.path(name);
            let folder = path.parent().unwrap_or(&self.root);
            if !folders.contains(folder) {
                fs::create_dir_all(folder)?;
                folders.extend(self.up_to_root(folder));
            }
            self.write_one(&path, bytes)?;
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    /// Drops the partial forms of a tile or bundle that is full now; readers fall back on the full one.
    pub(super) fn drop_partials(&self, full: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.path(&format!("{full}.p"))) {
            Err(error) if !is_absence(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// How many leaves, of `size`, surely have all their files: less than `size` when somebody deleted some.
    pub(super) fn complete_up_to(&self, size: u64) -> u64 {
        let lost = |&(level, index, width): &(u8, u64, u16)| {
            let names = [
                merkle::tile_path(level, index, Some(width)),
                merkle::entries_path(index, Some(width)),
            ];
            let names = if level == 0 { &names[..] } else { &names[..1] };
            names.iter().any(|name| !self.path(name).is_file())
        };
        let first_leaf = |(level, index, _): (u8, u64, u16)| index << (8 * (u32::from(level) + 1));
        let tiles = merkle::tiles_to_write(0, size).into_iter();
        tiles.filter(lost).map(first_leaf).min().unwrap_or(size)
    }

    fn write_one(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.temporary.join(std::process::id().to_string());
        write_beside(&temporary, path, bytes)
    }

    /// The folder and those above it, as far as the root: a new folder's name is in the one above.
    fn up_to_root(&self, folder: &Path) -> Vec<PathBuf> {
        folder
            .ancestors()
            .take_while(|ancestor| ancestor.starts_with(&self.root))
            .map(Path::to_path_buf)
            .collect()
    }
}

impl TileSource for PublicFolder {
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        let exact = merkle::tile_path(level, index, Some(width));
        let full = merkle::tile_path(level, index, Some(TILE_WIDTH));
        let read = |name: &str| self.read(name).ok().flatten();
        let mut tile = read(&exact).or_else(|| read(&full))?;
        tile.truncate(usize::from(width) * size_of::<merkle::Hash>());
        Some(tile)
    }
}

/// Writes one file through a temporary one; it and its name are on disk when this returns.
pub(super) fn write_whole(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(temporary, path, bytes)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn write_beside(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

/// A file is absent also when a file stands where its folder would be.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
