//! Asking witnesses: the part of whoever wants a cosignature.

use bauta_crypto::note::{NoteError, OpenedCheckpoint};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{ADD_CHECKPOINT_PATH, AddCheckpoint, Answer, COSIGNATURES_MEDIA_TYPE};
use crate::{
    limits::COSIGNATURES_BYTES_MAX,
    log::{
        policy::{KnownWitness, Policy, PolicyError},
        reader::FetchedCheckpoint,
    },
    time::Timestamp,
    transport::{Method, Request, Transport, TransportError, address, collect},
};

/// Asks the witness with this submission prefix for a cosignature.
///
/// # Errors
/// [`TransportError`]: nothing is known of what the witness did; the same request can be repeated.
pub async fn ask<T: Transport>(
    transport: &T,
    url: &str,
    request: &AddCheckpoint,
) -> Result<Answer, TransportError> {
    let request = Request {
        method: Method::Post,
        url: address(url, ADD_CHECKPOINT_PATH),
        media_type: Some(COSIGNATURES_MEDIA_TYPE),
        body: request.to_text().into_bytes(),
        resume: None,
    };
    let mut response = transport.send(request).await?;
    let body = collect(&mut response.body, COSIGNATURES_BYTES_MAX).await?;
    Ok(Answer::read(response.status, &body))
}

/// Why a checkpoint was not cosigned again.
#[derive(Debug, thiserror::Error)]
pub enum CosignAgainError {
    /// A witness has cosigned a larger tree of this log: what is not in this one may be in that.
    #[error("a witness of the policy has seen more of the log")]
    SeenMore,
    /// Too few witnesses answered with a cosignature.
    #[error("too few witnesses of the policy cosigned the checkpoint again")]
    TooFew,
    /// The checkpoint is not one of the policy's logs.
    #[error("the checkpoint is not accepted by the policy")]
    Checkpoint(#[from] PolicyError),
    /// It cannot be written as a note again.
    #[error("the checkpoint cannot be cosigned")]
    Note(#[from] NoteError),
}

/// Has the policy's witnesses cosign a checkpoint with a new time, without its log: so a log that is dead holds nobody's
/// money. Returns as soon as those who cosigned later than `since` are a quorum.
///
/// # Errors
/// [`CosignAgainError`]; with [`CosignAgainError::TooFew`] trying again later may help.
pub async fn cosign_again<T: Transport>(
    transport: &T,
    policy: &Policy,
    checkpoint: &FetchedCheckpoint,
    since: Timestamp,
) -> Result<FetchedCheckpoint, CosignAgainError> {
    let mut cosigned = policy.open(checkpoint.note())?;
    let size = checkpoint.size();
    let mut failure = CosignAgainError::TooFew;
    let asked = policy.witnesses().iter();
    let mut answers: FuturesUnordered<_> = asked
        .map(|witness| ask_again(transport, witness, checkpoint))
        .collect();
    while let Some((witness, answer)) = answers.next().await {
        match answer {
            Some(Answer::Cosigned(lines)) => {
                if let Some(done) = with(&mut cosigned, &lines, witness, policy, since)? {
                    return Ok(done);
                }
            }
            Some(Answer::Conflict(theirs)) if theirs > size => failure = CosignAgainError::SeenMore,
            _ => {}
        }
    }
    Err(failure)
}

/// Adds a witness's lines, if they hold; the checkpoint once enough have cosigned late enough.
fn with(
    cosigned: &mut OpenedCheckpoint,
    lines: &str,
    witness: &KnownWitness,
    policy: &Policy,
    since: Timestamp,
) -> Result<Option<FetchedCheckpoint>, CosignAgainError> {
    if cosigned.add_cosignature(lines, &witness.key).is_err() {
        return Ok(None);
    }
    let note = cosigned.note.print()?;
    let done = FetchedCheckpoint::open(note, policy).ok();
    Ok(done.filter(|done| done.checked().quorum_since() > since))
}

/// One witness's answer; none if it has no address or does not answer.
async fn ask_again<'a, T: Transport>(
    transport: &T,
    witness: &'a KnownWitness,
    checkpoint: &FetchedCheckpoint,
) -> (&'a KnownWitness, Option<Answer>) {
    let Some(url) = &witness.url else {
        return (witness, None);
    };
    let request = |old_size| AddCheckpoint {
        old_size,
        proof: Vec::new(),
        checkpoint: checkpoint.note().to_owned(),
    };
    let mut answer = ask(transport, url, &request(checkpoint.size())).await.ok();
    if answer == Some(Answer::Conflict(0)) {
        // It has never seen the log. Every tree follows from the empty one.
        answer = ask(transport, url, &request(0)).await.ok();
    }
    (witness, answer)
}
