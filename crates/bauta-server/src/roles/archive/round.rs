//! A round of publication: sign and store, write the tiles, collect cosignatures, show.
//!
//! | the process ends after | what is there | what the next start does |
//! |---|---|---|
//! | signing | a checkpoint in the store that nobody has seen | has that one cosigned first, then goes on |
//! | some cosignatures | witnesses that are ahead of what is shown | the same: they know what the store has signed |
//! | a quorum | the same | the same |
//! | showing | everything | the same |
//!
//! A store that is put back to an old copy knows less than its witnesses. So a log that has witnesses begins with the
//! checkpoint that its store signed last, and neither promises nor signs anything new before a quorum has confirmed it. A
//! witness that has seen more than that stops the log, until its operator brings the newest store. Once a quorum has
//! confirmed it, a single witness that says so is only one that does not cosign.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bauta_crypto::note::{self, Vkey};
use bauta_io::threads::blocking;
use bauta_proto::log::policy::Policy;
use bauta_store::archive::SignedCheckpoint;
use tokio::sync::Mutex as Turn;

use super::{
    publish::{PublishError, Publisher},
    witnesses::{Witnesses, has_quorum},
};

/// All that publishes one log.
pub(super) struct Publication {
    pub(super) publisher: Arc<Mutex<Publisher>>,
    witnesses: Witnesses,
    policy: Arc<Policy>,
    log: Vkey,
    /// One round at a time.
    turn: Turn<()>,
    /// Whether a quorum has confirmed, since the start, that the store is the newest.
    is_confirmed: AtomicBool,
    last: Mutex<Standing>,
}

/// How the last round ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Published,
    NoQuorum,
    NotPublished,
}

impl Publication {
    pub(super) fn new(
        publisher: Publisher,
        witnesses: Witnesses,
        policy: Arc<Policy>,
        log: Vkey,
    ) -> Self {
        Self {
            publisher: Arc::new(Mutex::new(publisher)),
            is_confirmed: AtomicBool::new(witnesses.is_empty()),
            witnesses,
            policy,
            log,
            turn: Turn::new(()),
            last: Mutex::new(Standing::NotPublished),
        }
    }

    /// One round.
    pub(super) async fn run(&self) -> Result<(), PublishError> {
        let _turn = self.turn.lock().await;
        let outcome = self.steps().await;
        let standing = match &outcome {
            Ok(()) => Standing::Published,
            Err(PublishError::NoQuorum { .. }) => Standing::NoQuorum,
            Err(_) => Standing::NotPublished,
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = standing;
        outcome
    }

    /// Whether the log is published as its policy asks.
    pub(super) fn ready(&self) -> Result<(), &'static str> {
        if self.witnesses.complaint().is_some() {
            return Err("the log has stopped: a witness knows more of it than its store");
        }
        match *self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            Standing::Published => Ok(()),
            Standing::NoQuorum => Err("too few witnesses cosign the log's newest checkpoint"),
            Standing::NotPublished => Err("the log is not being published"),
        }
    }

    /// Whether the store is known to be the newest, so that what is promised now stays in the log.
    pub(super) fn may_promise(&self) -> bool {
        self.is_confirmed.load(Ordering::Acquire) && self.witnesses.complaint().is_none()
    }

    async fn steps(&self) -> Result<(), PublishError> {
        if !self.is_confirmed.load(Ordering::Acquire) {
            let last = |publisher: &mut Publisher| {
                let signed = publisher.last_signed()?;
                publisher.write_tiles(&signed).map(|()| signed)
            };
            let signed = self.on_disk(last).await?;
            self.cosigned(&signed).await?;
            self.witnesses.confirmed();
            self.is_confirmed.store(true, Ordering::Release);
        }
        self.check_complaint()?;
        let sign = |publisher: &mut Publisher| {
            let signed = publisher.sign()?;
            publisher.write_tiles(&signed).map(|()| signed)
        };
        let signed = self.on_disk(sign).await?;
        let note = self.cosigned(&signed).await?;
        // Without a quorum nothing says when it was there, and nothing is ever late.
        let checked = match self.policy.needs_cosignatures() {
            true => self.policy.check(&note).ok(),
            false => None,
        };
        self.on_disk(move |publisher| publisher.publish(&note, checked.as_ref()))
            .await
    }

    /// The signed checkpoint with the cosignatures of a quorum.
    pub(super) async fn cosigned(&self, signed: &SignedCheckpoint) -> Result<String, PublishError> {
        let opened = note::open_checkpoint(&signed.note, &self.log)?;
        let cosigned = self.witnesses.cosign(opened, &self.policy).await;
        self.check_complaint()?;
        if has_quorum(&cosigned, &self.policy) {
            Ok(cosigned.note.print()?)
        } else {
            let missing = self.witnesses.missing();
            Err(PublishError::NoQuorum { missing })
        }
    }

    fn check_complaint(&self) -> Result<(), PublishError> {
        match self.witnesses.complaint() {
            Some(complaint) => Err(complaint.into()),
            None => Ok(()),
        }
    }

    async fn on_disk<R: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Publisher) -> Result<R, PublishError> + Send + 'static,
    ) -> Result<R, PublishError> {
        let publisher = Arc::clone(&self.publisher);
        let step = move || step(&mut publisher.lock().unwrap_or_else(PoisonError::into_inner));
        blocking(step).await.map_err(|_| PublishError::Stopping)?
    }
}
