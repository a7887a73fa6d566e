//! Check, apply, reply: the one writer of a role, which takes whatever has gathered through one durable transaction.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
    time::Instant,
};

use bauta_io::threads::{self, Latency};
use bauta_proto::problem::{Problem, ProblemKind};
use bauta_store::StoreError;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

/// Requests that wait for the writer at most; beyond it, callers are told to come again.
const QUEUE_MAX: usize = 8_192;

/// A handle to the writer's queue; clones lead to the same writer.
pub struct Writer<C, R> {
    queue: mpsc::Sender<Waiting<C, R>>,
    waiting: Gauge,
}

/// A command, and who waits for its result.
type Waiting<C, R> = (C, oneshot::Sender<Result<R, WriteError>>);

impl<C, R> Clone for Writer<C, R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            waiting: self.waiting.clone(),
        }
    }
}

/// Nothing was written, or it is open whether it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The queue is full.
    #[error("too many requests wait for the store")]
    Overloaded,
    /// The store refused the whole batch.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// The writer panicked over the batch; nothing of it was written.
    #[error("the writer failed; its operator finds the reason in the log")]
    Failed,
    /// The role is shutting down.
    #[error("the role is shutting down")]
    Stopped,
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Overloaded | WriteError::Stopped => Self::new(ProblemKind::Overloaded),
            WriteError::Failed => Self::new(ProblemKind::Internal),
            WriteError::Store(error) => store_problem(&error),
        }
    }
}

/// What the caller learns of a store's failure: enough to know whether to come again.
#[must_use]
pub fn store_problem(error: &StoreError) -> Problem {
    Problem::new(match error {
        StoreError::Full => ProblemKind::StorageFull,
        StoreError::Busy => ProblemKind::Overloaded,
        StoreError::Closed => ProblemKind::CommitExpired,
        _ => ProblemKind::Internal,
    })
}

impl<C: Send + 'static, R: Send + 'static> Writer<C, R> {
    /// Starts the writer's thread. `apply` takes a batch through one durable transaction and returns one result for
    /// each command, in order; its error stands for the whole batch. If it panics, the batch fails and the writer goes
    /// on: what it keeps between batches has to be right even then.
    #[must_use]
    pub fn start(
        name: &'static str,
        batch_max: usize,
        mut apply: impl FnMut(Vec<C>) -> Result<Vec<R>, StoreError> + Send + 'static,
    ) -> Self {
        let (queue, mut commands) = mpsc::channel(QUEUE_MAX);
        let metrics = WriterMetrics::of(name);
        let waiting = metrics.waiting.clone();
        let mut write = move |gathered: &mut Vec<Waiting<C, R>>| {
            let (commands, callers): (Vec<C>, Vec<oneshot::Sender<_>>) = gathered.drain(..).unzip();
            let results = metrics.observe(callers.len(), || {
                catch_unwind(AssertUnwindSafe(|| apply(commands)))
            });
            answer(callers, outcome(results, name));
        };
        if let Some(latency) = threads::simulated() {
            tokio::spawn(write_simulated(commands, batch_max, write, latency));
            return Self { queue, waiting };
        }
        let work = move || {
            let mut gathered = Vec::with_capacity(batch_max);
            while commands.blocking_recv_many(&mut gathered, batch_max) > 0 {
                write(&mut gathered);
            }
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .expect("the system can start one thread a role");
        Self { queue, waiting }
    }

    /// Has `command` applied and returns when it is on disk.
    ///
    /// # Errors
    /// [`WriteError`]; repeat the same command.
    pub async fn apply(&self, command: C) -> Result<R, WriteError> {
        let (caller, answer) = oneshot::channel();
        self.waiting.inc();
        self.queue.try_send((command, caller)).map_err(|error| {
            self.waiting.dec();
            match error {
                mpsc::error::TrySendError::Full(_) => WriteError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => WriteError::Stopped,
            }
        })?;
        answer.await.map_err(|_| WriteError::Stopped)?
    }
}

/// The writer of a simulated world: a task, whose batches gather while virtual time passes.
async fn write_simulated<W>(
    mut commands: mpsc::Receiver<W>,
    batch_max: usize,
    mut write: impl FnMut(&mut Vec<W>),
    latency: Latency,
) {
    let mut gathered = Vec::new();
    while let Some(first) = commands.recv().await {
        gathered.push(first);
        sleep(latency()).await;
        while gathered.len() < batch_max
            && let Ok(next) = commands.try_recv()
        {
            gathered.push(next);
        }
        write(&mut gathered);
    }
}

/// The batch's results, or the one error of all its callers, which is logged here once.
fn outcome<R>(
    results: std::thread::Result<Result<Vec<R>, StoreError>>,
    name: &'static str,
) -> Result<Vec<R>, WriteError> {
    match results {
        Ok(Ok(results)) => Ok(results),
        Ok(Err(error)) => {
            tracing::error!(
                writer = name,
                error = &error as &dyn std::error::Error,
                "a batch was not written"
            );
            Err(WriteError::Store(Arc::new(error)))
        }
        Err(_panic) => {
            tracing::error!(writer = name, "the writer panicked over a batch");
            Err(WriteError::Failed)
        }
    }
}

fn answer<R>(
    callers: Vec<oneshot::Sender<Result<R, WriteError>>>,
    results: Result<Vec<R>, WriteError>,
) {
    // A caller that has gone away does not need its answer: what was written is found by repeating the request.
    match results {
        Ok(results) => callers
            .into_iter()
            .zip(results)
            .for_each(|(caller, result)| {
                let _gone = caller.send(Ok(result));
            }),
        Err(error) => callers.into_iter().for_each(|caller| {
            let _gone = caller.send(Err(error.clone()));
        }),
    }
}

/// The numbers of one writer; handles to what the whole process keeps under the writer's name.
struct WriterMetrics {
    waiting: Gauge,
    commands: Histogram,
    seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriterLabel {
    writer: &'static str,
}

/// All writers of the process. Their names are few and fixed.
struct Families {
    waiting: Family<WriterLabel, Gauge>,
    commands: Family<WriterLabel, Histogram>,
    seconds: Family<WriterLabel, Histogram>,
}

static FAMILIES: LazyLock<Families> = LazyLock::new(|| Families {
    waiting: Family::default(),
    commands: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 11))),
    seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_1, 4.0, 9))),
});

/// Shows every writer of the process in `registry`.
pub(crate) fn register(registry: &mut Registry) {
    registry.register(
        "writer_waiting",
        "Commands that wait for the writer",
        FAMILIES.waiting.clone(),
    );
    registry.register(
        "writer_batch_commands",
        "Commands in one batch",
        FAMILIES.commands.clone(),
    );
    registry.register_with_unit(
        "writer_batch",
        "Time that a batch took until it was on disk",
        Unit::Seconds,
        FAMILIES.seconds.clone(),
    );
}

impl WriterMetrics {
    fn of(writer: &'static str) -> Self {
        let label = WriterLabel { writer };
        Self {
            waiting: FAMILIES.waiting.get_or_create_owned(&label),
            commands: FAMILIES.commands.get_or_create_owned(&label),
            seconds: FAMILIES.seconds.get_or_create_owned(&label),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a batch has a few thousand commands at most"
    )]
    fn observe<T>(&self, commands: usize, apply: impl FnOnce() -> T) -> T {
        self.waiting.dec_by(i64::try_from(commands).unwrap_or(0));
        self.commands.observe(commands as f64);
        let started = Instant::now();
        let result = apply();
        self.seconds.observe(started.elapsed().as_secs_f64());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_caller_gets_its_own_result_and_a_failed_batch_fails_all_of_it() {
        let writer = Writer::start("test", 4, |commands: Vec<u32>| {
            if commands.contains(&13) {
                Err(StoreError::Full)
            } else {
                Ok(commands.iter().map(|c| c * 2).collect())
            }
        });
        assert_eq!(writer.apply(21).await.expect("applied"), 42);
        assert!(matches!(writer.apply(13).await, Err(WriteError::Store(_))));
        assert_eq!(writer.apply(4).await.expect("the writer goes on"), 8);
    }

    #[tokio::test]
    async fn a_panic_fails_its_batch_and_not_the_writer() {
        let writer = Writer::start("panicking", 1, |commands: Vec<u32>| {
            assert_ne!(commands, [13]);
            Ok(commands)
        });
        assert!(matches!(writer.apply(13).await, Err(WriteError::Failed)));
        assert_eq!(writer.apply(4).await.expect("the writer goes on"), 4);
    }

    #[tokio::test]
    async fn a_full_queue_is_overload_and_the_metrics_show_who_waits() {
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let (started, mut began) = mpsc::unbounded_channel();
        let writer = Writer::start("gated", 1, move |commands: Vec<usize>| {
            let _closed = started.send(());
            gate.recv().map_err(|_| StoreError::Busy)?;
            Ok(commands)
        });
        let send = |n| {
            let writer = writer.clone();
            tokio::spawn(async move { writer.apply(n).await })
        };
        let taken = send(0);
        began.recv().await.expect("the writer took it");
        let waiting: Vec<_> = (0..QUEUE_MAX).map(send).collect();
        while writer.queue.capacity() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(writer.apply(0).await, Err(WriteError::Overloaded)));
        let line = format!("writer_waiting{{writer=\"gated\"}} {QUEUE_MAX}\n");
        assert!(exposition().contains(&line), "{}", exposition());
        drop(release);
        for answer in std::iter::once(taken).chain(waiting) {
            assert!(matches!(answer.await, Ok(Err(WriteError::Store(_)))));
        }
        assert!(exposition().contains("writer_waiting{writer=\"gated\"} 0\n"));
    }

    fn exposition() -> String {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        text
    }
}
