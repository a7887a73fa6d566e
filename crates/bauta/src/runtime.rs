//! The asynchronous runtime behind the commands.

use std::future::Future;

use crate::failure::{Failure, Outcome};

/// Runs a command that waits for the network.
pub fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from_error(&error))?
        .block_on(work)
}
