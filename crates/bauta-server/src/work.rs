//! The world that a role lives in, and its processor cores.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use bauta_proto::time::Clock;
use tokio::sync::oneshot;

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

/// Runs a pure computation (a check: curve arithmetic, hashing) on the pool of all cores, off the network's threads.
///
/// # Panics
/// Panics if `compute` does; the pool goes on.
pub async fn compute<R: Send + 'static>(compute: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, result) = oneshot::channel();
    rayon::spawn(move || {
        let _gone = sender.send(catch_unwind(AssertUnwindSafe(compute)));
    });
    result
        .await
        .expect("the computation sends its result or its panic")
        .unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_computation_that_panics_takes_only_its_caller_with_it() {
        let failed = tokio::spawn(compute(|| assert_eq!(1, 2)));
        assert!(failed.await.expect_err("panicked").is_panic());
        assert_eq!(compute(|| 1 + 1).await, 2);
    }
}
