//! The logs that sales go into, and which of them answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bauta_proto::{
    log::{
        policy::{KnownLog, Policy},
        reader::{FetchedCheckpoint, LogReader, ReadError},
    },
    submission::Promise,
    time::{Seconds, Timestamp},
    transport::{CallError, Transport, TransportError},
};
use tokio::time::timeout;

use super::{locked, sale::doubled};

/// How long a log may take for one answer, and how long one look at it may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a log is left alone that did not answer in time: first, and at most when it goes on.
const LEFT_ALONE: (Seconds, Seconds) = (Seconds(2), Seconds(60));

/// A log that sales go into.
pub(super) struct Log<T> {
    pub(super) known: KnownLog,
    /// The name that its promises bear.
    pub(super) name: [u8; 32],
    pub(super) reader: LogReader<T>,
    /// The checkpoint up to which it was read for cancels last.
    pub(super) latest: Mutex<Option<Arc<FetchedCheckpoint>>>,
    /// Since when it has not answered.
    silence: Mutex<Option<Silence>>,
}

/// Questions in a row that were not answered in time.
#[derive(Clone, Copy)]
struct Silence {
    questions: u32,
    last: Timestamp,
}

/// The policy's logs that have an address, in its order.
pub(super) fn of_policy<T: Transport>(policy: &Arc<Policy>, transport: &Arc<T>) -> Vec<Log<T>> {
    let log = |known: &KnownLog| {
        Some(Log {
            name: Promise::log_name(&known.key.name),
            reader: LogReader::new(Arc::clone(transport), known, Arc::clone(policy))?,
            known: known.clone(),
            latest: Mutex::default(),
            silence: Mutex::default(),
        })
    };
    policy.logs().iter().filter_map(log).collect()
}

impl<T> Log<T> {
    /// What asking the log comes to. One that does not answer in time is not asked again for a while: sales that other logs
    /// can bring forward do not wait for it.
    pub(super) async fn answer<R>(
        &self,
        now: Timestamp,
        asking: impl Future<Output = Result<R, ReadError>>,
    ) -> Result<R, ReadError> {
        if self.is_left_alone(now) {
            return Err(silent());
        }
        let answer = timeout(PATIENCE, asking).await;
        let answer = answer.unwrap_or_else(|_| Err(silent()));
        if answer.as_ref().err().is_some_and(is_silence) {
            let mut silence = locked(&self.silence);
            let before = silence.map_or(0, |silence| silence.questions);
            *silence = Some(Silence {
                questions: before.saturating_add(1),
                last: now,
            });
        }
        answer
    }

    /// It has answered everything that a look asked of it. A checkpoint alone is not enough: its tiles may stand elsewhere.
    pub(super) fn has_answered(&self) {
        *locked(&self.silence) = None;
    }

    fn is_left_alone(&self, now: Timestamp) -> bool {
        let (first, longest) = LEFT_ALONE;
        locked(&self.silence).is_some_and(|silence| {
            let pause = doubled(first, silence.questions - 1, longest);
            silence.last <= now && now < silence.last.plus(pause)
        })
    }
}

const fn silent() -> ReadError {
    ReadError::Call(CallError::Transport(TransportError::Timeout))
}

const fn is_silence(error: &ReadError) -> bool {
    matches!(
        error,
        ReadError::Call(CallError::Transport(TransportError::Timeout))
    )
}
