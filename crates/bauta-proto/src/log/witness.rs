//! The witness protocol (C2SP tlog-witness): what a log sends, what a witness answers, and when it may cosign.
//!
//! A witness keeps one [`LogState`] a log. [`OpenedRequest::open`] checks what needs no state, [`admit`] what does; whoever
//! runs a witness stores the new state, only if the old one is still there, before any answer leaves.
//!
//! Beyond C2SP we ask one thing of a witness: its times for one log never go back, even if its clock does. The rule of
//! early and late checkpoints ([`crate::decision`]) rests on it: what a witness cosigned later holds whatever it cosigned
//! earlier.

use std::fmt;

use bauta_crypto::{
    hash,
    merkle::{self, EMPTY_ROOT},
    note::{self, NoteError, OpenedCheckpoint, Vkey},
};
use data_encoding::{BASE64, HEXLOWER};

use crate::{limits::ADD_CHECKPOINT_BYTES_MAX, time::Timestamp};

/// The path behind a witness's submission prefix. POST.
pub const ADD_CHECKPOINT_PATH: &str = "/add-checkpoint";
/// GET: what a witness of ours says about itself, as JSON.
pub const ABOUT_PATH: &str = "/v1/witness";
/// Media type of the size in a conflict's answer.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";
/// Media type of cosignatures, which C2SP leaves open.
pub const COSIGNATURES_MEDIA_TYPE: &str = "text/plain; charset=utf-8";
/// The most hashes of a consistency proof in a request.
pub const PROOF_LINES_MAX: usize = 63;

/// What a log sends for a cosignature.
#[derive(Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the tree that the witness knows, as far as the log knows; 0 if it knows none.
    pub old_size: u64,
    /// The proof (RFC 6962 §2.1.2) that the tree of that size is the beginning of the checkpoint's.
    pub proof: Vec<merkle::Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

impl fmt::Debug for AddCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AddCheckpoint(from {} leaves)", self.old_size)
    }
}

/// The text is not a request in its one form. Whoever sent it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// Longer than a request may be.
    #[error("the request has more than {ADD_CHECKPOINT_BYTES_MAX} bytes")]
    TooLong,
    /// Not text in UTF-8, or no empty line between proof and checkpoint.
    #[error("the request is not lines of text with an empty line before the checkpoint")]
    Form,
    /// The first line is not `old`, a space and a number without leading zeros.
    #[error("the first line is not the old size")]
    OldSize,
    /// More than [`PROOF_LINES_MAX`] lines.
    #[error("the proof has more than {PROOF_LINES_MAX} hashes")]
    ProofTooLong,
    /// A line of the proof is not the base64 of 32 bytes.
    #[error("a line of the proof is not a hash in base64")]
    ProofLine,
}

impl AddCheckpoint {
    /// The request's body.
    #[must_use]
    pub fn to_text(&self) -> String {
        let proof = self.proof.iter().map(|hash| BASE64.encode(hash) + "\n");
        let proof: String = proof.collect();
        format!("old {}\n{proof}\n{}", self.old_size, self.checkpoint)
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// [`AddCheckpointError`]; the checkpoint itself is looked at by [`OpenedRequest::open`].
    pub fn from_text(text: &[u8]) -> Result<Self, AddCheckpointError> {
        if text.len() > ADD_CHECKPOINT_BYTES_MAX {
            return Err(AddCheckpointError::TooLong);
        }
        let text = std::str::from_utf8(text).map_err(|_| AddCheckpointError::Form)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(AddCheckpointError::Form)?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old "));
        let old_size = old_size.and_then(canonical_size);
        let proof: Vec<_> = lines.take(PROOF_LINES_MAX + 1).collect();
        if proof.len() > PROOF_LINES_MAX {
            return Err(AddCheckpointError::ProofTooLong);
        }
        let hashes = proof.into_iter().map(proof_hash);
        Ok(Self {
            old_size: old_size.ok_or(AddCheckpointError::OldSize)?,
            proof: hashes.collect::<Result<_, _>>()?,
            checkpoint: checkpoint.to_owned(),
        })
    }
}

fn proof_hash(line: &str) -> Result<merkle::Hash, AddCheckpointError> {
    let bytes = BASE64.decode(line.as_bytes()).ok();
    let hash = bytes.and_then(|bytes| bytes.try_into().ok());
    hash.ok_or(AddCheckpointError::ProofLine)
}

/// A decimal number in its one form.
fn canonical_size(text: &str) -> Option<u64> {
    let size: u64 = text.parse().ok()?;
    (size.to_string() == text).then_some(size)
}

/// What a witness has cosigned last for one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The number of leaves; 0 before the first cosignature.
    pub size: u64,
    /// The root of that tree.
    pub root: merkle::Hash,
    /// The time of the last cosignature; 0 before the first.
    pub cosigned_at: Timestamp,
}

impl LogState {
    /// The state before the first cosignature: the tree without leaves, with which every log begins.
    pub const EMPTY: Self = Self {
        size: 0,
        root: EMPTY_ROOT,
        cosigned_at: Timestamp(0),
    };
}

/// Why a witness does not cosign. Whoever sent the request is at fault, or has come too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No log with this origin is known. Status 404.
    #[error("the witness does not know a log with this origin")]
    UnknownLog,
    /// None of the checkpoint's signatures is of a key of its log, or the signed text is no checkpoint. Status 403.
    #[error("the checkpoint is not one that the log signed")]
    NotSigned(#[source] NoteError),
    /// The old size is beyond the checkpoint's. Status 400.
    #[error("the old size is larger than the checkpoint's")]
    OldSizeBeyond,
    /// The old size is not that of the tree that was cosigned last. Status 409, with that size.
    #[error("the tree that was cosigned last has {0} leaves")]
    OtherSize(u64),
    /// Another tree of the same size was cosigned: the log shows two histories. Status 422; tlog-witness before version
    /// 1.1 said 409, to which clients answered with the same request again.
    #[error("another tree of the same size was cosigned before")]
    OtherRoot,
    /// The proof does not lead from the one tree to the other. Status 422.
    #[error("the proof does not show that the log only appended")]
    Inconsistent,
}

impl Refusal {
    /// The HTTP status that says so (C2SP tlog-witness).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownLog => 404,
            Self::NotSigned(_) => 403,
            Self::OldSizeBeyond => 400,
            Self::OtherSize(_) => 409,
            Self::OtherRoot | Self::Inconsistent => 422,
        }
    }

    /// The body of a conflict: the size of the tree that was cosigned last, in a line.
    #[must_use]
    pub fn size_text(self) -> Option<String> {
        match self {
            Self::OtherSize(size) => Some(format!("{size}\n")),
            _ => None,
        }
    }
}

/// A request whose checkpoint a known log signed.
#[derive(Clone, Debug)]
pub struct OpenedRequest {
    old_size: u64,
    proof: Vec<merkle::Hash>,
    opened: OpenedCheckpoint,
    note: String,
}

impl OpenedRequest {
    /// Checks what needs no state: the log is one of `logs`, it signed the checkpoint, the sizes are in order.
    ///
    /// # Errors
    /// [`Refusal::UnknownLog`], [`Refusal::NotSigned`], [`Refusal::OldSizeBeyond`].
    pub fn open(request: &AddCheckpoint, logs: &[Vkey]) -> Result<Self, Refusal> {
        let origin = request.checkpoint.lines().next().unwrap_or_default();
        let mut opened = Err(Refusal::UnknownLog);
        for log in logs.iter().filter(|log| log.name == origin) {
            opened = open_signed(&request.checkpoint, log);
            if opened.is_ok() {
                break;
            }
        }
        let (opened, note) = opened?;
        if request.old_size > opened.checkpoint.size {
            return Err(Refusal::OldSizeBeyond);
        }
        Ok(Self {
            old_size: request.old_size,
            proof: request.proof.clone(),
            opened,
            note,
        })
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.opened.checkpoint.origin
    }

    /// The checkpoint that may be cosigned once its state is stored.
    #[must_use]
    pub const fn checkpoint(&self) -> &OpenedCheckpoint {
        &self.opened
    }

    /// The checkpoint with the log's signature alone.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}

fn open_signed(note: &str, log: &Vkey) -> Result<(OpenedCheckpoint, String), Refusal> {
    let opened = note::open_foreign_checkpoint(note, log).map_err(Refusal::NotSigned)?;
    let signed = opened.note.only(log).map_err(Refusal::NotSigned)?;
    Ok((opened, signed))
}

/// Whether a witness in this state may cosign the request's checkpoint now, and the state that it has to store first.
/// The time is the clock's, or that of the last cosignature if the clock has gone back since.
///
/// # Errors
/// [`Refusal::OtherSize`], [`Refusal::OtherRoot`], [`Refusal::Inconsistent`].
pub fn admit(
    state: &LogState,
    request: &OpenedRequest,
    now: Timestamp,
) -> Result<LogState, Refusal> {
    let (size, root) = (
        request.opened.checkpoint.size,
        request.opened.checkpoint.root,
    );
    if request.old_size != state.size {
        return Err(Refusal::OtherSize(state.size));
    }
    if size == state.size && root != state.root {
        return Err(Refusal::OtherRoot);
    }
    merkle::check_consistency(&request.proof, state.size, state.root, size, root)
        .map_err(|_| Refusal::Inconsistent)?;
    Ok(LogState {
        size,
        root,
        cosigned_at: now.max(state.cosigned_at),
    })
}

/// The path behind a witness's monitoring prefix where its newest checkpoint of one log is (tlog-witness 1.1). GET.
#[must_use]
pub fn monitoring_path(origin: &str) -> String {
    let origin = HEXLOWER.encode(&hash::sha256(&[origin.as_bytes()]));
    format!("/{origin}/checkpoint")
}

/// What a witness answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Signature lines, of which those of known keys have to be verified.
    Cosigned(String),
    /// The size of the tree that it cosigned last.
    Conflict(u64),
    /// Anything else: the status.
    Refused(u16),
}

impl Answer {
    /// Reads an answer.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).ok();
        let understood = match status {
            200 => text.map(|lines| Self::Cosigned(lines.to_owned())),
            409 => text
                .and_then(|text| canonical_size(text.strip_suffix('\n')?))
                .map(Self::Conflict),
            _ => None,
        };
        understood.unwrap_or(Self::Refused(status))
    }
}

mod client;

pub use client::{CosignAgainError, ask, cosign_again};

#[cfg(test)]
mod tests;
