//! What happened, as a hash that two runs of one seed share, and as a story when somebody wants to read it.

use std::{
    fmt::{self, Write},
    time::Duration,
};

/// Everything that happened in a world so far.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: Fnv,
    events: u64,
    story: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(with_story: bool) -> Self {
        Self {
            story: with_story.then(Vec::new),
            ..Self::default()
        }
    }

    /// Adds an event.
    pub(crate) fn tell(&mut self, at: Duration, event: fmt::Arguments<'_>) {
        self.events += 1;
        let time = at.as_millis();
        write!(self.hash, "{time} {event}").expect("a hash takes everything");
        if let Some(story) = &mut self.story {
            let (seconds, rest) = (time / 1_000, time % 1_000);
            story.push(format!("{seconds:5}.{rest:03}  {event}"));
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash.0
    }

    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn story(&self) -> Vec<String> {
        self.story.clone().unwrap_or_default()
    }
}

/// A short name for bytes, the same in every run.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut hash = Fnv::default();
    hash.add(bytes);
    hash.0
}

/// FNV-1a of 64 bits: fast, and good enough to tell two runs apart.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}
