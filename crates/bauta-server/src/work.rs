//! The world that a role lives in, and its processor cores.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use bauta_io::threads;
use bauta_proto::time::Clock;
use tokio::{sync::oneshot, time::sleep};

/// What a role takes from outside: the time, and the way to other roles. The simulator brings its own.
pub struct World<T> {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The way to other roles.
    pub transport: Arc<T>,
}

impl<T> Clone for World<T> {
    fn clone(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            transport: Arc::clone(&self.transport),
        }
    }
}

/// Points of the curve up to which a check is done at once by the thread that read the request. Handing it to the pool and
/// waking a thread there would cost a good part of it again.
pub const POINTS_AT_ONCE: usize = 2;

/// Runs a check that multiplies this many points: a short one at once, a long one on the pool of all cores.
///
/// # Panics
/// Panics if `check` does.
pub async fn check_points<R: Send + 'static>(
    points: usize,
    check: impl FnOnce() -> R + Send + 'static,
) -> R {
    if points <= POINTS_AT_ONCE {
        check()
    } else {
        compute(check).await
    }
}

/// Runs a pure computation (a check: curve arithmetic, hashing) on the pool of all cores, off the network's threads.
/// One whose caller has gone away before its turn is not begun: requests that are sent and dropped cost nothing.
///
/// # Panics
/// Panics if `compute` does; the pool goes on.
pub async fn compute<R: Send + 'static>(compute: impl FnOnce() -> R + Send + 'static) -> R {
    if let Some(latency) = threads::simulated() {
        sleep(latency()).await;
        return compute();
    }
    let (sender, result) = oneshot::channel();
    rayon::spawn(move || {
        if sender.is_closed() {
            return;
        }
        let _gone = sender.send(catch_unwind(AssertUnwindSafe(compute)));
    });
    result
        .await
        .expect("the computation sends its result or its panic")
        .unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    };

    use super::*;

    #[tokio::test]
    async fn nothing_is_computed_for_a_caller_that_has_gone() {
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let threads = rayon::current_num_threads();
        let (began, busy) = mpsc::channel();
        // Keeps every thread of the pool busy until the gate opens.
        let keep_busy = (0..threads).map(|_| {
            let (gate, began) = (Arc::clone(&gate), began.clone());
            tokio::spawn(compute(move || {
                let _closed = began.send(());
                let gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
                gate.recv().is_err()
            }))
        });
        let keep_busy: Vec<_> = keep_busy.collect();
        tokio::task::yield_now().await;
        (0..threads).for_each(|_| busy.recv().expect("every thread begins"));
        let computed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&computed);
        let dropped = tokio::spawn(compute(move || seen.store(true, Ordering::SeqCst)));
        tokio::task::yield_now().await;
        dropped.abort();
        assert!(dropped.await.is_err());
        drop(release);
        for busy in keep_busy {
            assert!(busy.await.expect("ends"));
        }
        compute(|| ()).await;
        assert!(!computed.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_computation_that_panics_takes_only_its_caller_with_it() {
        let failed = tokio::spawn(compute(|| assert_eq!(1, 2)));
        assert!(failed.await.expect_err("panicked").is_panic());
        assert_eq!(compute(|| 1 + 1).await, 2);
    }
}
