//! What happened in a town and when, for whoever has to understand a failure.

use std::{
    fmt::Display,
    fs::File,
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// A file with a line for each event.
pub(super) struct Diary {
    begun: Instant,
    file: Mutex<File>,
}

impl Diary {
    pub(super) fn create(folder: &Path) -> Self {
        let file = File::create(folder.join("diary.txt")).expect("a file");
        Self {
            begun: Instant::now(),
            file: Mutex::new(file),
        }
    }

    /// Seconds since the town was built, and the event.
    pub(super) fn note(&self, event: impl Display) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{seconds:9.3} {event}").expect("written");
    }
}
