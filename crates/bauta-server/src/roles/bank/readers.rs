//! Connections for reading, as many as requests read at once.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use bauta_proto::problem::Problem;
use bauta_store::{StoreError, bank::BankReader};

use crate::batch::store_problem;

/// Connections that nobody uses at the moment.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<BankReader>>,
}

impl Readers {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Reads for a request; a failure is logged here and told in the problem's few words.
    pub(super) fn read<R>(
        &self,
        read: impl FnOnce(&BankReader) -> Result<R, StoreError>,
    ) -> Result<R, Problem> {
        self.read_or_fail(read).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the bank's store was not read"
            );
            store_problem(&error)
        })
    }

    /// Reads on one of the connections.
    pub(super) fn read_or_fail<R>(
        &self,
        read: impl FnOnce(&BankReader) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let idle = self.idle().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => BankReader::open(&self.path)?,
        };
        let result = read(&reader);
        self.idle().push(reader);
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<BankReader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
