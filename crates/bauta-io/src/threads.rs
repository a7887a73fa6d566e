//! Threads: where work is done that waits for a disk. A simulated world has one thread alone; there the same work is done
//! in its place, each piece after a span of virtual time, so that one seed gives one run.

use std::{io, panic::resume_unwind, sync::OnceLock, time::Duration};

use tokio::{
    sync::mpsc,
    task::{JoinError, spawn_blocking},
    time::sleep,
};

/// How long a piece of work takes in a simulated world.
pub type Latency = fn() -> Duration;

static SIMULATED: OnceLock<Latency> = OnceLock::new();

/// Makes this process a simulated world for as long as it runs: nothing in it starts a thread from now on. To be called
/// before the first role or wallet is opened; later calls change nothing.
pub fn simulate(latency: Latency) {
    SIMULATED.get_or_init(|| latency);
}

/// How long work takes, if this process is a simulated world.
#[must_use]
pub fn simulated() -> Option<Latency> {
    SIMULATED.get().copied()
}

/// Does work that may wait for a disk, without holding up the threads of the network.
///
/// # Errors
/// When the process is shutting down.
///
/// # Panics
/// Panics if `work` does.
pub async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> io::Result<R> {
    if let Some(latency) = simulated() {
        sleep(latency()).await;
        return Ok(work());
    }
    spawn_blocking(work).await.map_err(stopping)
}

/// Hands everything that comes out of `queue` to `consume`, while whoever fills the queue goes on. Returns `state` when
/// the queue has ended.
///
/// # Errors
/// The first error of `consume`, after which the queue is closed; or when the process is shutting down.
///
/// # Panics
/// Panics if `consume` does.
pub async fn consume<S: Send + 'static, P: Send + 'static>(
    mut state: S,
    mut queue: mpsc::Receiver<P>,
    mut consume: impl FnMut(&mut S, P) -> io::Result<()> + Send + 'static,
) -> io::Result<S> {
    if let Some(latency) = simulated() {
        while let Some(piece) = queue.recv().await {
            sleep(latency()).await;
            consume(&mut state, piece)?;
        }
        return Ok(state);
    }
    let work = move || {
        while let Some(piece) = queue.blocking_recv() {
            consume(&mut state, piece)?;
        }
        Ok(state)
    };
    spawn_blocking(work).await.map_err(stopping)?
}

/// A panic goes on in the caller; otherwise the runtime is going down.
fn stopping(error: JoinError) -> io::Error {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(stopping) => io::Error::other(stopping),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_queued_is_consumed_in_order_and_the_first_error_ends_it() {
        let (sender, queue) = mpsc::channel(4);
        for piece in 1..=3 {
            sender.send(piece).await.expect("there is room");
        }
        drop(sender);
        let push = |seen: &mut Vec<u32>, piece| {
            seen.push(piece);
            Ok(())
        };
        let seen = consume(Vec::new(), queue, push).await.expect("consumed");
        assert_eq!(seen, [1, 2, 3]);
        let (sender, queue) = mpsc::channel(1);
        let refuse = |(): &mut (), ()| Err(io::Error::other("full"));
        let refused = tokio::spawn(consume((), queue, refuse));
        sender.send(()).await.expect("there is room");
        assert!(refused.await.expect("no panic").is_err());
        assert!(sender.send(()).await.is_err(), "nobody takes any more");
    }

    #[tokio::test]
    async fn a_panic_is_the_callers() {
        assert_eq!(blocking(|| 1 + 1).await.expect("done"), 2);
        let failed = tokio::spawn(blocking(|| assert_eq!(1, 2)));
        assert!(failed.await.expect_err("panicked").is_panic());
    }
}
