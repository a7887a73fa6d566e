//! A folder as one tar stream: the same bytes for the same files, and nothing about whoever packed them.
//!
//! Entries are in the order of their names, under the folder's own name; owners are left out. Only files and folders are
//! taken: a symbolic link could lead whoever unpacks the stream to other places, so folders with links are refused.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use tar::{Builder, EntryType, Header};

/// Files and folders in one good; their list is in memory.
const ENTRIES_MAX: usize = 1_000_000;
const BUFFER_BYTES: usize = 1024 * 1024;
const BLOCK_BYTES: u64 = 512;

/// Why a folder cannot be sold as it is. Its owner has to act.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something in it cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A symbolic link in it.
    #[error("{} is a symbolic link; put what it leads to in its place", .0.display())]
    Link(PathBuf),
    /// Something in it is neither a file nor a folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    /// A file was changed while it was read.
    #[error("{} was changed while it was read; add the folder again when nobody writes to it", .0.display())]
    Changed(PathBuf),
    /// Too much in it.
    #[error(
        "the folder has more than {ENTRIES_MAX} files and folders; pack it into one file first"
    )]
    TooMany,
    /// The stream could not be passed on.
    #[error("the folder's stream broke")]
    Write(#[source] io::Error),
}

/// What a folder holds, listed before it is read.
pub(super) struct Folder {
    entries: Vec<Entry>,
}

struct Entry {
    path: PathBuf,
    /// The name in the stream.
    name: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    is_folder: bool,
    is_executable: bool,
}

impl Folder {
    /// Lists a folder, which is called `name` in the stream.
    pub(super) fn list(path: &Path, name: &OsStr) -> Result<Self, FolderError> {
        let mut entries = Vec::new();
        // A stack instead of recursion: folders can be nested deeper than threads.
        let mut waiting = vec![(path.to_path_buf(), PathBuf::from(name))];
        while let Some((path, name)) = waiting.pop() {
            if entries.len() >= ENTRIES_MAX {
                return Err(FolderError::TooMany);
            }
            let entry = Entry::of(path, name)?;
            if entry.is_folder {
                let mut children = children(&entry.path)?;
                children.sort_unstable_by(|a, b| b.cmp(a));
                let inside = children
                    .iter()
                    .map(|child| (entry.path.join(child), entry.name.join(child)));
                waiting.extend(inside);
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// How long the stream will be, but for very long names.
    pub(super) fn tar_bytes(&self) -> u64 {
        let padded = |entry: &Entry| entry.bytes.next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES;
        self.entries.iter().map(padded).sum::<u64>() + 2 * BLOCK_BYTES
    }

    /// Writes the stream.
    pub(super) fn write(&self, out: impl Write) -> Result<(), FolderError> {
        let mut builder = Builder::new(BufWriter::with_capacity(BUFFER_BYTES, out));
        for entry in &self.entries {
            entry.append(&mut builder)?;
        }
        let buffer = builder.into_inner().map_err(FolderError::Write)?;
        buffer
            .into_inner()
            .map_err(|error| FolderError::Write(error.into_error()))?;
        Ok(())
    }
}

impl Entry {
    fn of(path: PathBuf, name: PathBuf) -> Result<Self, FolderError> {
        let metadata = fs::symlink_metadata(&path).map_err(unreadable(&path))?;
        if metadata.is_symlink() {
            return Err(FolderError::Link(path));
        }
        if !metadata.is_dir() && !metadata.is_file() {
            return Err(FolderError::Special(path));
        }
        Ok(Self {
            bytes: if metadata.is_dir() { 0 } else { metadata.len() },
            modified: metadata.modified().ok(),
            is_folder: metadata.is_dir(),
            is_executable: is_executable(&metadata),
            path,
            name,
        })
    }

    fn append<W: Write>(&self, builder: &mut Builder<W>) -> Result<(), FolderError> {
        let mut header = self.header();
        if self.is_folder {
            return builder
                .append_data(&mut header, &self.name, io::empty())
                .map_err(FolderError::Write);
        }
        let file = File::open(&self.path).map_err(unreadable(&self.path))?;
        let mut reader = Exactly {
            file,
            left: self.bytes,
        };
        builder
            .append_data(&mut header, &self.name, &mut reader)
            .map_err(|error| self.blame(error))?;
        self.check_unchanged(reader.file)
    }

    fn header(&self) -> Header {
        let mut header = Header::new_gnu();
        let (kind, mode) = match (self.is_folder, self.is_executable) {
            (true, _) => (EntryType::Directory, 0o755),
            (false, true) => (EntryType::Regular, 0o755),
            (false, false) => (EntryType::Regular, 0o644),
        };
        let since_epoch = self
            .modified
            .and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(since_epoch.map_or(0, |span| span.as_secs()));
        header.set_size(self.bytes);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    /// Which side broke off.
    fn blame(&self, error: io::Error) -> FolderError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => FolderError::Changed(self.path.clone()),
            io::ErrorKind::BrokenPipe => FolderError::Write(error),
            _ => unreadable(&self.path)(error),
        }
    }

    fn check_unchanged(&self, file: File) -> Result<(), FolderError> {
        let metadata = file.metadata().map_err(unreadable(&self.path))?;
        if metadata.len() == self.bytes && metadata.modified().ok() == self.modified {
            Ok(())
        } else {
            Err(FolderError::Changed(self.path.clone()))
        }
    }
}

/// A file of which just so many bytes are read; fewer are an error.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&mut self.file).take(self.left).read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn children(path: &Path) -> Result<Vec<std::ffi::OsString>, FolderError> {
    let names = fs::read_dir(path).map_err(unreadable(path))?;
    names
        .map(|entry| Ok(entry.map_err(unreadable(path))?.file_name()))
        .collect()
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_path_buf();
    move |source| FolderError::Unreadable { path, source }
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &Metadata) -> bool {
    false
}
