//! The world that a role lives in, and its processor cores.

use std::sync::Arc;

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
/// Panics if `compute` does.
pub async fn compute<R: Send + 'static>(compute: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, result) = oneshot::channel();
    rayon::spawn(move || {
        let _gone = sender.send(compute());
    });
    result
        .await
        .expect("the computation sends its result unless it panics")
}
