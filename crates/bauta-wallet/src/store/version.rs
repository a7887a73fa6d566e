//! Which shapes the records have: one version for the whole store, kept in its file (SQLite's user version).
//!
//! A record's bytes do not say what they mean, so a store is read only by a program that knows its version. An older store
//! is brought to the present shapes when it is opened, step by step and in one transaction; one that is older than the
//! first step, or newer than the last, is refused and left as it is.
//!
//! To change what a record holds:
//!
//! - **A new field at the end of a record** (of the value that implements [`Record`](super::Record), not of one inside of it):
//!   wrap its type in [`Added`]. Records without it read as its default. Add [`unchanged`] to [`PRESENT`], so that an older
//!   program says that the wallet is too new instead of damaged.
//! - **Anything else**, such as a field in the middle: keep a copy of the earlier shape beside the migration that reads it,
//!   and add that migration to [`PRESENT`]. It never uses a shape that may change again: what it writes is read by the next.
//! - **A new kind of record** needs nothing, as long as the program does no harm to it that does not know it.

use std::io::{Read, Write};

use tls_codec::{Deserialize, Error, Serialize, Size};
use zeroize::Zeroizing;

use super::{Place, Records, StoreError};

/// Makes a record of one version into one of the next, by its kind and bytes; none if it does not read.
pub(super) type Migration = fn(u8, &[u8]) -> Option<Vec<u8>>;

/// The versions that a program knows.
pub(super) struct Versions {
    /// The first that can be read.
    pub(super) oldest: i32,
    /// What leads from each to the next, in order.
    pub(super) migrations: &'static [Migration],
}

/// Those of this program. Version 1 stood for several shapes, which nothing tells apart.
pub(super) const PRESENT: Versions = Versions {
    oldest: 2,
    migrations: &[],
};

impl Versions {
    /// The one that is written.
    pub(super) fn present(&self) -> i32 {
        let steps = i32::try_from(self.migrations.len());
        self.oldest
            .saturating_add(steps.expect("one step a version"))
    }

    /// The steps that a store of this version lacks.
    ///
    /// # Errors
    /// [`StoreError::TooOld`], [`StoreError::TooNew`].
    pub(super) fn steps_from(&self, version: i32) -> Result<&'static [Migration], StoreError> {
        let done = version.checked_sub(self.oldest).ok_or(StoreError::TooOld)?;
        let done = usize::try_from(done).map_err(|_| StoreError::TooOld)?;
        self.migrations.get(done..).ok_or(StoreError::TooNew)
    }
}

/// Takes records through steps; all of them or none.
///
/// # Errors
/// [`StoreError::Damaged`] when one does not read as its version says.
pub(super) fn migrated(records: Records, steps: &[Migration]) -> Result<Records, StoreError> {
    let migrate = |(place, bytes): (Place, Zeroizing<Vec<u8>>)| {
        let mut bytes = bytes;
        for step in steps {
            bytes = Zeroizing::new(step(place.0, &bytes).ok_or(StoreError::Damaged)?);
        }
        Ok((place, bytes))
    };
    records.into_iter().map(migrate).collect()
}

/// For a version in which records got a field that is [`Added`].
#[cfg_attr(not(test), expect(dead_code, reason = "no version has needed it yet"))]
pub(super) fn unchanged(_kind: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

/// The last field of a record that earlier programs wrote without it: then it is its type's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added<T>(pub T);

impl<T: Size> Size for Added<T> {
    fn tls_serialized_len(&self) -> usize {
        self.0.tls_serialized_len()
    }
}

impl<T: Serialize> Serialize for Added<T> {
    fn tls_serialize<W: Write>(&self, writer: &mut W) -> Result<usize, Error> {
        self.0.tls_serialize(writer)
    }
}

impl<T: Deserialize + Default> Deserialize for Added<T> {
    fn tls_deserialize<R: Read>(bytes: &mut R) -> Result<Self, Error> {
        let mut first = [0];
        match bytes.read(&mut first)? {
            0 => Ok(Self::default()),
            _ => T::tls_deserialize(&mut first.chain(bytes)).map(Self),
        }
    }
}
