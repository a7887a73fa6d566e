//! The witness: cosigns the checkpoints of logs that only append, each with the time at which it was the newest.
//!
//! It learns sizes and roots of logs, and nothing else. What it cosigned is on disk before the cosignature leaves, and
//! its times never go back: the rule that decides between payer and payee rests on both.

mod config;
mod endpoints;
#[cfg(test)]
mod tests;

pub use config::WitnessConfig;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    routing::{get, post},
};
use bauta_crypto::note::{CosignerSigner, NoteError, Vkey, VkeyKind};
use bauta_io::threads::blocking;
use bauta_proto::{
    log::witness::{
        ABOUT_PATH, ADD_CHECKPOINT_PATH, AddCheckpoint, LogState, OpenedRequest, Refusal, admit,
        monitoring_path,
    },
    problem::{Problem, ProblemKind},
    time::Clock,
};
use bauta_store::{
    StoreError,
    witness::{Advance, Advanced, KnownLog, WitnessReader, WitnessStore},
};
use tokio::sync::watch;

use crate::{
    batch::{Writer, store_problem},
    config::PolicySourceError,
    keys::RoleSeed,
};

/// The name of the store's file in the data folder.
const STORE_FILE: &str = "witness.db";
/// Checkpoints that one transaction takes at most.
const BATCH: usize = 256;

/// A running witness.
pub struct Witness {
    cosigner: CosignerSigner,
    logs: Vec<Vkey>,
    /// Names of logs by the path where their newest checkpoint is.
    origins: HashMap<String, String>,
    clock: Arc<dyn Clock>,
    writer: Writer<Advance, Advanced>,
    reader: Arc<Mutex<WitnessReader>>,
}

/// Why a witness does not start. Its operator has to act.
#[derive(Debug, thiserror::Error)]
pub enum WitnessStartError {
    /// The configuration names no log.
    #[error("the configuration names no log that the witness cosigns (logs, log_policy)")]
    NoLog,
    /// A key under `logs` is not a log's.
    #[error("a key under `logs` is a cosigner's, not a log's")]
    NotALog,
    /// The name is not one for a witness.
    #[error("name is not a name for a witness: one word without spaces and plus signs")]
    Name(#[source] NoteError),
    /// The policy cannot be used.
    #[error("the log policy cannot be used")]
    Policy(#[from] PolicySourceError),
    /// The store cannot be opened.
    #[error("the witness's store cannot be opened")]
    Store(#[from] StoreError),
    /// The data folder cannot be used.
    #[error("the witness's data folder cannot be used")]
    Folder(#[from] io::Error),
}

/// Why there is no cosignature.
#[derive(Debug)]
enum Declined {
    /// The protocol's own answer.
    Refused(Refusal),
    /// Anything else.
    Problem(Problem),
}

/// What a witness cosigns with, for those who write policies.
///
/// # Errors
/// [`WitnessStartError::Name`].
pub fn witness_vkey(seed: &RoleSeed, name: &str) -> Result<Vkey, WitnessStartError> {
    Ok(cosigner(seed, name)?.vkey().clone())
}

fn cosigner(seed: &RoleSeed, name: &str) -> Result<CosignerSigner, WitnessStartError> {
    CosignerSigner::new(name, &seed.signing_key("witness")).map_err(WitnessStartError::Name)
}

impl Witness {
    /// Opens the store, makes it and the folder if there are none, and starts the writer.
    ///
    /// # Errors
    /// [`WitnessStartError`].
    ///
    /// # Panics
    /// Panics if the system cannot start a thread.
    pub fn open(
        config: &WitnessConfig,
        seed: &RoleSeed,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, WitnessStartError> {
        let logs = logs(config)?;
        let cosigner = cosigner(seed, &config.name)?;
        std::fs::create_dir_all(&config.data)?;
        let path = config.data.join(STORE_FILE);
        let mut store = WitnessStore::open(&path)?;
        let reader = WitnessReader::open(&path)?;
        let origin = |log: &Vkey| (monitoring_path(&log.name), log.name.clone());
        Ok(Arc::new(Self {
            cosigner,
            origins: logs.iter().map(origin).collect(),
            logs,
            clock,
            writer: Writer::start("witness", BATCH, move |advances: Vec<_>| {
                store.advance(&advances)
            }),
            reader: Arc::new(Mutex::new(reader)),
        }))
    }

    /// The witness's paths.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route(
                ADD_CHECKPOINT_PATH,
                post(endpoints::add_checkpoint::add_checkpoint),
            )
            .route(ABOUT_PATH, get(endpoints::about::about))
            .route("/{log}/checkpoint", get(endpoints::checkpoint::checkpoint))
            .with_state(Arc::clone(self))
    }

    /// A witness has nothing to do but answer.
    pub async fn run_jobs(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        // A sender that is gone means shutdown, too.
        let _stopped = shutdown.wait_for(|stop| *stop).await;
    }

    /// The key with which others verify its cosignatures.
    #[must_use]
    pub fn vkey(&self) -> &Vkey {
        self.cosigner.vkey()
    }

    /// Checks a request, stores what it leads to, and only then cosigns.
    async fn cosign(&self, body: &[u8]) -> Result<String, Declined> {
        let request = AddCheckpoint::from_text(body).map_err(malformed)?;
        let request = OpenedRequest::open(&request, &self.logs)?;
        let known = self.known(request.origin()).await?;
        let from = known.map_or(LogState::EMPTY, |known| known.state);
        let to = admit(&from, &request, self.clock.now())?;
        let advance = Advance {
            origin: request.origin().to_owned(),
            from,
            to,
            note: request.note().to_owned(),
        };
        match self.writer.apply(advance).await.map_err(Problem::from)? {
            Advanced::CosignAt(time) => {
                let line = request.checkpoint().cosignature(&self.cosigner, time.0);
                line.map_err(|_| Declined::Problem(ProblemKind::Internal.into()))
            }
            Advanced::Overtaken(size) => Err(Refusal::OtherSize(size).into()),
        }
    }

    async fn known(&self, origin: &str) -> Result<Option<KnownLog>, Problem> {
        let origin = origin.to_owned();
        self.read(move |reader| reader.log(&origin)).await
    }

    async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&WitnessReader) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, Problem> {
        let reader = Arc::clone(&self.reader);
        let read = move || read(&reader.lock().unwrap_or_else(PoisonError::into_inner));
        match blocking(read).await {
            Ok(result) => result.map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "a lookup failed");
                store_problem(&error)
            }),
            Err(_stopping) => Err(ProblemKind::Overloaded.into()),
        }
    }
}

impl From<Refusal> for Declined {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Problem> for Declined {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

fn malformed(error: impl std::fmt::Display) -> Declined {
    Declined::Problem(Problem::new(ProblemKind::Malformed).detail(error))
}

/// The logs that the configuration names, each once.
fn logs(config: &WitnessConfig) -> Result<Vec<Vkey>, WitnessStartError> {
    let mut logs = config.logs.clone();
    if logs.iter().any(|log| log.kind != VkeyKind::Log) {
        return Err(WitnessStartError::NotALog);
    }
    if let Some(source) = &config.log_policy {
        let policy = source.load()?;
        logs.extend(policy.logs().iter().map(|log| log.key.clone()));
    }
    logs.sort();
    logs.dedup();
    if logs.is_empty() {
        Err(WitnessStartError::NoLog)
    } else {
        Ok(logs)
    }
}
