//! Those who cosign this log: asked in parallel, each by itself, so that a slow or dead one holds up nobody.
//!
//! A witness says by its answer what it has seen of the log. One that has seen more than the log's store ever signed, or
//! another tree, proves that the store is not the newest: a [`Complaint`], after which the log says and signs nothing new.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bauta_crypto::{
    merkle::{self, MerkleError},
    note::{OpenedCheckpoint, Vkey},
};
use bauta_io::threads::blocking;
use bauta_proto::{
    log::{
        policy::{KnownWitness, Policy},
        witness::{self, AddCheckpoint, Answer},
    },
    transport::{Transport, TransportError},
};
use bauta_store::archive::ArchiveReader;
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Mutex as Turn, mpsc},
    time::{Instant, sleep_until, timeout},
};

use super::folder::PublicFolder;
use crate::peers;

/// Requests to one witness in a round: the first, one with the right proof, and one more if another process of this log
/// came between.
const ATTEMPTS_MAX: u32 = 3;

/// How long the log waits for its witnesses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For one witness in one round.
    pub(super) limit: Duration,
    /// For those who are usually quick, once a quorum is reached.
    pub(super) grace: Duration,
}

/// The witnesses of one log.
pub(super) struct Witnesses {
    peers: Vec<Arc<Peer>>,
    asking: Arc<Asking>,
    patience: Patience,
}

/// What asking one witness takes.
struct Asking {
    way: Box<dyn Way>,
    folder: Arc<PublicFolder>,
    /// Shared with the archive's lookups.
    reader: Arc<Mutex<ArchiveReader>>,
    /// The first that was heard. It stays until the archive is started again.
    complaint: Mutex<Option<Complaint>>,
    /// Whether a quorum has confirmed that the store is the newest.
    is_confirmed: AtomicBool,
}

/// One witness, and how it was last.
struct Peer {
    witness: KnownWitness,
    url: String,
    is_believed: bool,
    /// Held while it is asked: one request at a time.
    turn: Arc<Turn<()>>,
    state: Mutex<PeerState>,
}

#[derive(Clone, Copy, Default)]
struct PeerState {
    /// The size of the tree that it cosigned last, as far as this log knows.
    known_size: u64,
    /// How long its last answer took, if it was good.
    took: Option<Duration>,
    trouble: Option<Trouble>,
}

/// Why a witness did not cosign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// No answer.
    #[error("{0}")]
    Transport(&'static str),
    /// It refuses, with this HTTP status.
    #[error("the witness refuses with HTTP status {0}")]
    Refused(u16),
    /// Its cosignature is missing or wrong.
    #[error("the answer holds no valid cosignature of the witness's key")]
    Cosignature,
    /// It names one size after the other.
    #[error("the witness does not settle on a size")]
    Unsettled,
    /// Another process of this log was quicker.
    #[error("another process publishes this log too")]
    OtherProcess,
    /// It knows another log than this store.
    #[error("the witness knows another history of this log")]
    Complaint,
    /// This log's own files do not give the proof.
    #[error("the proof for the witness cannot be made")]
    Proof,
}

impl Trouble {
    const fn label(self) -> &'static str {
        match self {
            Self::Transport(_) => "transport",
            Self::Refused(_) => "refused",
            Self::Cosignature => "cosignature",
            Self::Unsettled => "unsettled",
            Self::OtherProcess => "other_process",
            Self::Complaint => "complaint",
            Self::Proof => "proof",
        }
    }
}

/// A witness knows what this log's store does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    /// More leaves than the store has ever signed.
    #[error(
        "witness {witness} has cosigned {cosigned} leaves of this log, but its store has signed {signed} only: the \
         store is an old copy, and going on would fork the log; stop, and restore the newest store"
    )]
    StoreBehind {
        /// What the policy calls it.
        witness: String,
        /// What it has cosigned.
        cosigned: u64,
        /// What the store has signed.
        signed: u64,
    },
    /// Another tree.
    #[error(
        "witness {witness} has cosigned another tree of this log than its store has signed: the store is an old copy \
         that went on, or another store runs with the same key; stop, and restore the newest store"
    )]
    OtherHistory {
        /// What the policy calls it.
        witness: String,
    },
}

/// The way to the witnesses: a transport without its type, so that the archive needs none.
trait Way: Send + Sync {
    fn ask<'a>(
        &'a self,
        url: &'a str,
        request: &'a AddCheckpoint,
    ) -> BoxFuture<'a, Result<Answer, TransportError>>;
}

struct Over<T>(Arc<T>);

impl<T: Transport> Way for Over<T> {
    fn ask<'a>(
        &'a self,
        url: &'a str,
        request: &'a AddCheckpoint,
    ) -> BoxFuture<'a, Result<Answer, TransportError>> {
        Box::pin(witness::ask(self.0.as_ref(), url, request))
    }
}

impl Witnesses {
    /// Those of the policy that have an address, but for the log's own cosigner. The complaints of those in `disbelieved`
    /// count for nothing.
    pub(super) fn new<T: Transport + 'static>(
        (policy, own): (&Policy, &Vkey),
        transport: Arc<T>,
        (folder, reader): (Arc<PublicFolder>, Arc<Mutex<ArchiveReader>>),
        patience: Patience,
        disbelieved: &[String],
    ) -> Self {
        let others = policy.witnesses().iter();
        let others = others.filter(|witness| witness.key != *own);
        Self {
            peers: others
                .filter_map(|witness| Peer::new(witness, disbelieved))
                .map(Arc::new)
                .collect(),
            asking: Arc::new(Asking {
                way: Box::new(Over(transport)),
                folder,
                reader,
                complaint: Mutex::new(None),
                is_confirmed: AtomicBool::new(false),
            }),
            patience,
        }
    }

    /// Whether there is nobody to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// The first complaint that was heard.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        let complaint = self.asking.complaint.lock();
        complaint.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A quorum has confirmed the store: from now on a witness that complains is one that does not cosign. Were it right, no
    /// quorum would be.
    pub(super) fn confirmed(&self) {
        self.asking.is_confirmed.store(true, Ordering::Release);
    }

    /// The names of those who did not cosign when they were last asked.
    pub(super) fn missing(&self) -> String {
        let troubled = self.peers.iter().filter(|peer| !peer.is_in_step());
        let names: Vec<_> = troubled.map(|peer| peer.witness.name.as_str()).collect();
        names.join(", ")
    }

    /// Has the checkpoint cosigned: returns once a quorum of the policy has, after a grace for those who are usually quick,
    /// or when everybody has answered or let the time pass. Whoever is slower goes on in the background.
    pub(super) async fn cosign(
        &self,
        mut checkpoint: OpenedCheckpoint,
        policy: &Policy,
    ) -> OpenedCheckpoint {
        let (answers, mut answered) = mpsc::channel(self.peers.len().max(1));
        let mut waiting = self.ask_all(&checkpoint, &answers);
        drop(answers);
        let mut grace_ends = None;
        while !waiting.is_empty() {
            if grace_ends.is_none() && has_quorum(&checkpoint, policy) {
                grace_ends = Some(Instant::now() + self.patience.grace);
            }
            if grace_ends.is_some() && !self.any_quick(&waiting) {
                break;
            }
            let answer = tokio::select! {
                biased;
                answer = answered.recv() => answer,
                () = sleep_until_some(grace_ends) => break,
            };
            let Some((position, lines)) = answer else {
                break;
            };
            waiting.retain(|other| *other != position);
            if let Some(lines) = lines {
                let key = &self.peers[position].witness.key;
                let _checked_before = checkpoint.add_cosignature(&lines, key);
            }
        }
        checkpoint
    }

    /// Starts a task for each witness that is not still being asked; returns their positions.
    fn ask_all(
        &self,
        checkpoint: &OpenedCheckpoint,
        answers: &mpsc::Sender<(usize, Option<String>)>,
    ) -> Vec<usize> {
        let mut asked = Vec::with_capacity(self.peers.len());
        for (position, peer) in self.peers.iter().enumerate() {
            let Ok(turn) = Arc::clone(&peer.turn).try_lock_owned() else {
                continue;
            };
            asked.push(position);
            let (peer, asking) = (Arc::clone(peer), Arc::clone(&self.asking));
            let (checkpoint, answers) = (checkpoint.clone(), answers.clone());
            let limit = self.patience.limit;
            tokio::spawn(async move {
                let begun = Instant::now();
                let asked = timeout(limit, asking.ask(&peer, &checkpoint)).await;
                let outcome = asked.unwrap_or(Err(Trouble::Transport("no answer in time")));
                peer.remember(&outcome, begun.elapsed());
                let _nobody_waits_any_more = answers.send((position, outcome.ok())).await;
                drop(turn);
            });
        }
        asked
    }

    fn any_quick(&self, waiting: &[usize]) -> bool {
        let is_quick = |peer: &Peer| peer.took().is_some_and(|took| took <= self.patience.grace);
        waiting
            .iter()
            .any(|position| is_quick(&self.peers[*position]))
    }
}

/// Whether the checkpoint as it stands satisfies the policy.
pub(super) fn has_quorum(checkpoint: &OpenedCheckpoint, policy: &Policy) -> bool {
    let note = checkpoint.note.print();
    note.is_ok_and(|note| policy.check(&note).is_ok())
}

async fn sleep_until_some(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl Asking {
    /// The lines that a witness answers, its cosignature checked.
    async fn ask(&self, peer: &Peer, checkpoint: &OpenedCheckpoint) -> Result<String, Trouble> {
        let size = checkpoint.checkpoint.size;
        let mut old_size = peer.state().known_size.min(size);
        for _ in 0..ATTEMPTS_MAX {
            let request = self.request(old_size, checkpoint).await?;
            let answer = self.way.ask(&peer.url, &request).await;
            match answer.map_err(|error| Trouble::Transport(unanswered(&error)))? {
                Answer::Cosigned(lines) => {
                    let mut checkpoint = checkpoint.clone();
                    let added = checkpoint.add_cosignature(&lines, &peer.witness.key);
                    added.map_err(|_| Trouble::Cosignature)?;
                    peer.knows(size);
                    return Ok(lines);
                }
                Answer::Conflict(theirs) if theirs > size => return Err(self.ahead(peer, theirs)),
                // Before version 1.1 of tlog-witness another tree of the same size was a conflict, too.
                Answer::Conflict(theirs) if theirs == old_size => return Err(self.forked(peer)),
                Answer::Conflict(theirs) => old_size = theirs,
                Answer::Refused(422) => return Err(self.forked(peer)),
                Answer::Refused(status) => return Err(Trouble::Refused(status)),
            }
        }
        Err(Trouble::Unsettled)
    }

    async fn request(
        &self,
        old_size: u64,
        checkpoint: &OpenedCheckpoint,
    ) -> Result<AddCheckpoint, Trouble> {
        let note = checkpoint.note.print().map_err(|_| Trouble::Proof)?;
        let (size, root) = (checkpoint.checkpoint.size, checkpoint.checkpoint.root);
        let folder = Arc::clone(&self.folder);
        let prove = move || prove(old_size, size, root, &folder);
        let proof = blocking(prove).await.map_err(|_stopping| Trouble::Proof)?;
        Ok(AddCheckpoint {
            old_size,
            proof: proof.map_err(|_| Trouble::Proof)?,
            checkpoint: note,
        })
    }

    /// A witness that is ahead of this checkpoint, but not of the store, heard from another process on the same store.
    fn ahead(&self, peer: &Peer, cosigned: u64) -> Trouble {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(signed) = reader.checkpoint() else {
            return Trouble::OtherProcess;
        };
        let signed = signed.map_or(0, |signed| signed.size);
        if signed >= cosigned {
            return Trouble::OtherProcess;
        }
        let witness = peer.witness.name.clone();
        let complaint = Complaint::StoreBehind {
            witness,
            cosigned,
            signed,
        };
        self.complain(peer, complaint)
    }

    fn forked(&self, peer: &Peer) -> Trouble {
        let witness = peer.witness.name.clone();
        self.complain(peer, Complaint::OtherHistory { witness })
    }

    fn complain(&self, peer: &Peer, complaint: Complaint) -> Trouble {
        if !peer.is_believed || self.is_confirmed.load(Ordering::Acquire) {
            return Trouble::Complaint;
        }
        let mut first = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            tracing::error!(
                error = &complaint as &dyn std::error::Error,
                "the log has stopped"
            );
            *first = Some(complaint);
        }
        Trouble::Complaint
    }
}

fn prove(
    old_size: u64,
    size: u64,
    root: merkle::Hash,
    folder: &PublicFolder,
) -> Result<Vec<merkle::Hash>, MerkleError> {
    if old_size == 0 || old_size == size {
        return Ok(Vec::new());
    }
    merkle::prove_consistency(old_size, size, root, folder)
}

const fn unanswered(error: &TransportError) -> &'static str {
    match error {
        TransportError::Connect => "no connection to the witness",
        TransportError::Certificate => "the witness's certificate is not trusted",
        TransportError::Timeout => "no answer in time",
        TransportError::Address => "the witness's address is not a valid http or https URL",
        TransportError::Broken | TransportError::TooLarge(_) | TransportError::Part => {
            "the answer broke off or is too large"
        }
    }
}

impl Peer {
    fn new(witness: &KnownWitness, disbelieved: &[String]) -> Option<Self> {
        Some(Self {
            url: witness.url.clone()?,
            is_believed: !disbelieved.contains(&witness.name),
            witness: witness.clone(),
            turn: Arc::new(Turn::new(())),
            state: Mutex::new(PeerState::default()),
        })
    }

    fn state(&self) -> PeerState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn took(&self) -> Option<Duration> {
        self.state().took
    }

    fn is_in_step(&self) -> bool {
        self.took().is_some()
    }

    fn knows(&self, size: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.known_size = size;
    }

    /// Keeps how it went; tells it when that has changed.
    fn remember(&self, outcome: &Result<String, Trouble>, took: Duration) {
        let trouble = outcome.as_ref().err().copied();
        let before = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let before = state.trouble;
            state.trouble = trouble;
            state.took = trouble.is_none().then_some(took);
            before
        };
        let witness = self.witness.name.as_str();
        peers::called(
            witness,
            trouble.map_or("cosigned", Trouble::label),
            trouble.is_none(),
        );
        match trouble {
            Some(trouble) if before != Some(trouble) => tracing::warn!(
                witness,
                error = &trouble as &dyn std::error::Error,
                "a witness does not cosign"
            ),
            None if before.is_some() => tracing::info!(witness, "a witness cosigns again"),
            _ => {}
        }
    }
}
