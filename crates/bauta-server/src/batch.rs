//! Check, apply, reply: the one writer of a role, which takes whatever has gathered through one durable transaction.

use std::sync::Arc;

use bauta_proto::problem::{Problem, ProblemKind};
use bauta_store::StoreError;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the writer at most; beyond it, callers are told to come again.
const QUEUE_MAX: usize = 8_192;

/// A handle to the writer's queue; clones lead to the same writer.
pub struct Writer<C, R> {
    queue: mpsc::Sender<(C, oneshot::Sender<Result<R, WriteError>>)>,
}

impl<C, R> Clone for Writer<C, R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
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
    /// The role is shutting down.
    #[error("the role is shutting down")]
    Stopped,
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Overloaded | WriteError::Stopped => Self::new(ProblemKind::Overloaded),
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
        _ => ProblemKind::Internal,
    })
}

impl<C: Send + 'static, R: Send + 'static> Writer<C, R> {
    /// Starts the writer's thread. `apply` takes a batch through one durable transaction and returns one result for
    /// each command, in order; its error stands for the whole batch.
    #[must_use]
    pub fn start(
        name: &'static str,
        batch_max: usize,
        mut apply: impl FnMut(Vec<C>) -> Result<Vec<R>, StoreError> + Send + 'static,
    ) -> Self {
        let (queue, mut waiting) = mpsc::channel(QUEUE_MAX);
        let work = move || {
            let mut gathered = Vec::with_capacity(batch_max);
            while waiting.blocking_recv_many(&mut gathered, batch_max) > 0 {
                let (commands, callers): (Vec<C>, Vec<oneshot::Sender<_>>) =
                    gathered.drain(..).unzip();
                answer(callers, apply(commands), name);
            }
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .expect("the system can start one thread a role");
        Self { queue }
    }

    /// Has `command` applied and returns when it is on disk.
    ///
    /// # Errors
    /// [`WriteError`]; repeat the same command.
    pub async fn apply(&self, command: C) -> Result<R, WriteError> {
        let (caller, answer) = oneshot::channel();
        self.queue
            .try_send((command, caller))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => WriteError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => WriteError::Stopped,
            })?;
        answer.await.map_err(|_| WriteError::Stopped)?
    }
}

fn answer<R>(
    callers: Vec<oneshot::Sender<Result<R, WriteError>>>,
    results: Result<Vec<R>, StoreError>,
    name: &'static str,
) {
    // A caller that has gone away does not need its answer: what was written is found by repeating the request.
    match results {
        Ok(results) => callers
            .into_iter()
            .zip(results)
            .for_each(|(caller, result)| {
                let _gone = caller.send(Ok(result));
            }),
        Err(error) => {
            tracing::error!(
                writer = name,
                error = &error as &dyn std::error::Error,
                "a batch was not written"
            );
            let error = Arc::new(error);
            callers.into_iter().for_each(|caller| {
                let _gone = caller.send(Err(WriteError::Store(Arc::clone(&error))));
            });
        }
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
}
