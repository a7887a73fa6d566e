//! The text of a checkpoint (C2SP tlog-checkpoint).

use super::NoteError;
use crate::merkle::Hash;
use data_encoding::BASE64;

/// A log's statement of its tree: origin, size and root, one line each, and nothing after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree (RFC 6962).
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64.encode(&self.root)
        )
    }

    /// Reads a text that [`Self::text`] printed.
    ///
    /// # Errors
    /// [`NoteError::MalformedCheckpoint`] for anything else: extension lines, leading zeros, other base64.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let checkpoint = read(text).ok_or(NoteError::MalformedCheckpoint)?;
        if checkpoint.text() != text {
            return Err(NoteError::MalformedCheckpoint);
        }
        Ok(checkpoint)
    }

    /// Reads a text with or without lines of extension after the three that [`Self::text`] prints. Those lines are not
    /// kept: they mean nothing to whoever vouches for the tree alone.
    ///
    /// # Errors
    /// [`NoteError::MalformedCheckpoint`]: the three lines are not canonical, or an extension line is empty.
    pub fn parse_extended(text: &str) -> Result<Self, NoteError> {
        let checkpoint = read(text).ok_or(NoteError::MalformedCheckpoint)?;
        let extension = text.strip_prefix(&checkpoint.text());
        let is_line = |line: &str| line.len() > 1 && line.ends_with('\n');
        match extension {
            Some(lines) if lines.split_inclusive('\n').all(is_line) => Ok(checkpoint),
            _ => Err(NoteError::MalformedCheckpoint),
        }
    }
}

fn read(text: &str) -> Option<Checkpoint> {
    let mut lines = text.split('\n');
    let origin = lines.next().filter(|origin| is_origin(origin))?;
    let size = lines.next()?.parse().ok()?;
    let root = BASE64.decode(lines.next()?.as_bytes()).ok()?;
    Some(Checkpoint {
        origin: origin.to_owned(),
        size,
        root: root.try_into().ok()?,
    })
}

fn is_origin(origin: &str) -> bool {
    !origin.is_empty() && !origin.contains(char::is_control)
}
