//! Checkpoints that a log kept. Whoever was away finds one that is early for what happened meanwhile, although nobody
//! fetched the checkpoint of that moment.
//!
//! A file holds those of one hour, one behind the other in the order in which they were shown. Hours are whole, so that the
//! log's host does not learn who waits for which lock.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::{CHECKPOINT_BYTES_MAX, FetchedCheckpoint, LogReader, ReadError};
use crate::{
    decision::{Age, age},
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
    transport::Transport,
};

/// The folder of the kept checkpoints among a log's files.
pub const KEPT_FOLDER: &str = "checkpoints";
/// A log that grows keeps a checkpoint at least so often: within delta of any moment, with time left for clocks to differ.
pub const KEPT_INTERVAL: Seconds = Seconds(CLOCK_TOLERANCE.0 / 3);
/// Longest file of kept checkpoints that is read, in bytes.
const KEPT_BYTES_MAX: usize = KEPT_AN_HOUR * CHECKPOINT_BYTES_MAX;
const KEPT_AN_HOUR: usize = 3_600 / KEPT_INTERVAL.0 as usize + 1;
/// How many hours before the right one are looked at: a log keeps one checkpoint in every hour in which it shows any.
const HOURS_BACK: u64 = 24;

/// The hour that a moment lies in, counted from 1970-01-01.
#[must_use]
pub const fn kept_hour(moment: Timestamp) -> u64 {
    moment.0 / 3_600
}

/// The path, among a log's files, of the checkpoints of an hour. It is the hour in which a quorum had cosigned
/// ([`quorum_at`](crate::log::policy::CheckedCheckpoint::quorum_at)).
#[must_use]
pub fn kept_path(hour: u64) -> String {
    format!("{KEPT_FOLDER}/{hour}")
}

/// The hour whose checkpoints this path names, in its one form.
#[must_use]
pub fn kept_hour_of(path: &str) -> Option<u64> {
    let hour = path.strip_prefix(KEPT_FOLDER)?.strip_prefix('/')?;
    let hour = hour.parse().ok()?;
    (kept_path(hour) == path).then_some(hour)
}

/// The signed notes in a file of kept checkpoints: each ends with its last line of signatures.
fn notes(file: &str) -> Vec<&str> {
    let (mut notes, mut start, mut end) = (Vec::new(), 0, 0);
    let mut was_signature = false;
    for line in file.split_inclusive('\n') {
        let is_signature = line.starts_with('\u{2014}');
        if was_signature && !is_signature {
            notes.push(&file[start..end]);
            start = end;
        }
        was_signature = is_signature;
        end += line.len();
    }
    if start < end {
        notes.push(&file[start..end]);
    }
    notes
}

/// A file of kept checkpoints that was read last, with its hour.
pub(super) type KeptFile = (u64, Arc<str>);

impl<T: Transport> LogReader<T> {
    /// The newest checkpoint that the log kept and that is early for `until`. Asked when a later one was shown already.
    ///
    /// Every leaf that the log had soon enough before stands in it. None if the log kept none, which says nothing.
    ///
    /// # Errors
    /// [`ReadError::Call`].
    pub async fn early_checkpoint(
        &self,
        until: Timestamp,
    ) -> Result<Option<FetchedCheckpoint>, ReadError> {
        let last = kept_hour(until.plus(CLOCK_TOLERANCE));
        for hour in (last.saturating_sub(HOURS_BACK)..=last).rev() {
            let file = self.kept_in(hour, until).await?;
            if let Some(newest) = self.newest_early(&file, until) {
                return Ok(Some(newest));
            }
        }
        Ok(None)
    }

    /// The checkpoints of an hour. What was read once is used again if it reaches beyond the moment that is asked about.
    async fn kept_in(&self, hour: u64, until: Timestamp) -> Result<Arc<str>, ReadError> {
        let is_over = hour < kept_hour(until.plus(CLOCK_TOLERANCE));
        let known = self.kept().clone().filter(|(known, _)| *known == hour);
        if let Some((_, file)) = known
            && (is_over || self.reaches_beyond(&file, until))
        {
            return Ok(file);
        }
        let path = format!("/{}", kept_path(hour));
        let bytes = self.file(&path, KEPT_BYTES_MAX).await?;
        let file: Arc<str> = String::from_utf8(bytes.unwrap_or_default())
            .unwrap_or_default()
            .into();
        *self.kept() = Some((hour, Arc::clone(&file)));
        Ok(file)
    }

    fn kept(&self) -> MutexGuard<'_, Option<KeptFile>> {
        // A panic elsewhere leaves one file or the other.
        self.kept_file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn reaches_beyond(&self, file: &str, until: Timestamp) -> bool {
        let last = notes(file).pop().and_then(|note| self.opened(note));
        last.is_some_and(|last| age(&last.checked, until) != Age::Early)
    }

    /// They stand in the order of time, but for what clocks of witnesses differ: whatever is found is early.
    fn newest_early(&self, file: &str, until: Timestamp) -> Option<FetchedCheckpoint> {
        let early = |note: &str| {
            let opened = self.opened(note)?;
            (age(&opened.checked, until) == Age::Early).then_some(opened)
        };
        let notes = notes(file);
        let count = notes.partition_point(|note| early(note).is_some());
        notes[..count].iter().rev().find_map(|note| early(note))
    }

    fn opened(&self, note: &str) -> Option<FetchedCheckpoint> {
        let opened = FetchedCheckpoint::open(note.to_owned(), &self.policy).ok()?;
        (opened.checked.origin == self.origin).then_some(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_notes_are_told_apart_by_their_signatures() {
        let (first, second) = (
            "a\n1\nx\n\n\u{2014} k s\n\u{2014} l s\n",
            "a\n2\ny\n\n\u{2014} k s\n",
        );
        assert_eq!(notes(&format!("{first}{second}")), [first, second]);
        assert_eq!(notes(first), [first]);
        assert!(notes("").is_empty());
    }

    #[test]
    fn only_the_one_form_of_an_hours_path_is_a_file() {
        assert_eq!(kept_hour_of("checkpoints/500000"), Some(500_000));
        for path in [
            "checkpoints/",
            "checkpoints/05",
            "checkpoints/+5",
            "checkpoints/5/",
            "checkpoint",
        ] {
            assert_eq!(kept_hour_of(path), None, "{path}");
        }
    }
}
