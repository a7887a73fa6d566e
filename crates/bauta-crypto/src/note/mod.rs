//! Signed notes, checkpoints and cosignatures (C2SP signed-note, tlog-checkpoint, tlog-cosignature).
//!
//! A log signs a checkpoint as a note; a cosigner, which has seen that the log only appends, adds a line with the time at
//! which the checkpoint was the log's newest. Which cosigners count is for the reader to say: [`open_checkpoint`] asks for
//! the log's key, and [`OpenedCheckpoint::cosignature_time`] for one cosigner's.

mod checkpoint;
mod vkey;
mod witness;

pub use checkpoint::Checkpoint;
pub use vkey::{Vkey, VkeyKind};
pub use witness::open_foreign_checkpoint;

use crate::sign::{Signature, SignatureError, SigningKey};
use signed_note::{Note, Signature as Line};

/// Why a note, a checkpoint or a key of one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not in the form of a signed note.
    #[error("not a signed note")]
    MalformedNote,
    /// The note's text is not a checkpoint in its one canonical form, without extension lines.
    #[error("not a checkpoint in canonical form")]
    MalformedCheckpoint,
    /// Not a verifier key in its one canonical form, or its id is not that of its name and key.
    #[error("not a verifier key in canonical form")]
    MalformedVkey,
    /// A name is empty or has spaces, control characters or a plus sign.
    #[error("not a name of a signer")]
    InvalidName,
    /// The key given for the log is a cosigner's.
    #[error("the key is not a log's")]
    NotALogKey,
    /// The key given for the cosigner is a log's.
    #[error("the key is not a cosigner's")]
    NotACosignerKey,
    /// The checkpoint's origin is not the name of the log's key.
    #[error("the checkpoint is of another log")]
    OtherOrigin,
    /// The note has no signature of the key that was asked for.
    #[error("the checkpoint is not signed by the key that was asked for")]
    Unsigned,
    /// The signature of the key that was asked for does not verify.
    #[error("the signature does not verify")]
    InvalidSignature,
    /// A cosignature's time is beyond 2^63 - 1 seconds.
    #[error("not a time of a cosignature")]
    InvalidTime,
}

/// Signs a log's checkpoints.
#[derive(Clone)]
pub struct LogSigner {
    vkey: Vkey,
    key: SigningKey,
}

/// Cosigns checkpoints. A key that cosigns must do nothing else: the signature does not name its signer.
#[derive(Clone)]
pub struct CosignerSigner {
    vkey: Vkey,
    key: SigningKey,
}

crate::opaque::opaque_debug!(LogSigner, CosignerSigner, OpenedNote);

impl LogSigner {
    /// The signer of the log with this name, which is the origin of its checkpoints.
    ///
    /// # Errors
    /// [`NoteError::InvalidName`].
    pub fn new(name: &str, key: &SigningKey) -> Result<Self, NoteError> {
        let vkey = Vkey::new(name, key.verifying_key(), VkeyKind::Log)?;
        Ok(Self {
            vkey,
            key: key.clone(),
        })
    }

    /// The key with which others verify.
    pub const fn vkey(&self) -> &Vkey {
        &self.vkey
    }
}

impl CosignerSigner {
    /// The signer of the cosigner with this name.
    ///
    /// # Errors
    /// [`NoteError::InvalidName`].
    pub fn new(name: &str, key: &SigningKey) -> Result<Self, NoteError> {
        let vkey = Vkey::new(name, key.verifying_key(), VkeyKind::Cosigner)?;
        Ok(Self {
            vkey,
            key: key.clone(),
        })
    }

    /// The key with which others verify.
    pub const fn vkey(&self) -> &Vkey {
        &self.vkey
    }
}

/// Signs a checkpoint: a note with one signature.
///
/// # Errors
/// [`NoteError::MalformedCheckpoint`] if the origin is not one line of text, [`NoteError::OtherOrigin`] if it is not the
/// signer's name.
pub fn sign_checkpoint(checkpoint: &Checkpoint, log: &LogSigner) -> Result<String, NoteError> {
    let text = checkpoint.text();
    Checkpoint::parse(&text)?;
    if checkpoint.origin != log.vkey.name {
        return Err(NoteError::OtherOrigin);
    }
    let signature = log.key.sign_plain(text.as_bytes());
    OpenedNote {
        text,
        lines: vec![line(&log.vkey, signature.0.to_vec())?],
    }
    .print()
}

/// Adds a cosignature of the time `time_s`, in seconds since 1970, to a signed checkpoint.
///
/// An older one by the same cosigner is replaced. That the log signed the checkpoint, and that it follows from what was
/// cosigned before, is for the cosigner to check first.
///
/// # Errors
/// [`NoteError::MalformedNote`], [`NoteError::MalformedCheckpoint`] or [`NoteError::InvalidTime`].
pub fn cosign(note: &str, cosigner: &CosignerSigner, time_s: u64) -> Result<String, NoteError> {
    let mut note = OpenedNote::parse(note)?;
    Checkpoint::parse(&note.text)?;
    let line = witness::cosignature_line(&note.text, cosigner, time_s)?;
    note.lines.retain(|line| !is_of(line, &cosigner.vkey));
    note.lines.push(line);
    note.print()
}

/// A note whose form was checked; of its signatures, only those that somebody verified mean anything.
#[derive(Clone)]
pub struct OpenedNote {
    text: String,
    lines: Vec<Line>,
}

impl OpenedNote {
    /// Takes a note apart without verifying any signature.
    fn parse(note: &str) -> Result<Self, NoteError> {
        Note::from_bytes(note.as_bytes()).map_err(|_| NoteError::MalformedNote)?;
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::MalformedNote)?;
        let lines = signatures
            .lines()
            .map(|line| Line::from_bytes(line.as_bytes()));
        let lines = lines
            .collect::<Result<_, _>>()
            .map_err(|_| NoteError::MalformedNote)?;
        Ok(Self {
            text: format!("{text}\n"),
            lines,
        })
    }

    /// What the signatures are over.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The note with the signatures of one key only.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] if there is none.
    pub fn only(&self, signer: &Vkey) -> Result<String, NoteError> {
        let lines = self.lines.iter().filter(|line| is_of(line, signer));
        let lines: Vec<_> = lines.take(1).cloned().collect();
        if lines.is_empty() {
            return Err(NoteError::Unsigned);
        }
        let text = self.text.clone();
        Self { text, lines }.print()
    }

    /// The note with all its signatures.
    ///
    /// # Errors
    /// [`NoteError::MalformedNote`] if it has outgrown what a note may be.
    pub fn print(&self) -> Result<String, NoteError> {
        let note =
            Note::new(self.text.as_bytes(), &self.lines).map_err(|_| NoteError::MalformedNote)?;
        String::from_utf8(note.to_bytes()).map_err(|_| NoteError::MalformedNote)
    }

    /// The bytes of the first signature that names this key.
    fn signature_of(&self, vkey: &Vkey) -> Option<&[u8]> {
        self.lines
            .iter()
            .find(|line| is_of(line, vkey))
            .map(Line::signature)
    }
}

/// A checkpoint that its log signed.
#[derive(Clone, Debug)]
pub struct OpenedCheckpoint {
    /// What the log says.
    pub checkpoint: Checkpoint,
    /// The note in which it says so.
    pub note: OpenedNote,
}

/// Opens a signed checkpoint: canonical, of the log whose key is given, and signed by it.
///
/// # Errors
/// [`NoteError`]: the form is not kept, the checkpoint is another log's, or the log's signature is missing or wrong.
pub fn open_checkpoint(note: &str, log: &Vkey) -> Result<OpenedCheckpoint, NoteError> {
    open_with(note, log, Checkpoint::parse)
}

fn open_with(
    note: &str,
    log: &Vkey,
    parse: fn(&str) -> Result<Checkpoint, NoteError>,
) -> Result<OpenedCheckpoint, NoteError> {
    if log.kind != VkeyKind::Log {
        return Err(NoteError::NotALogKey);
    }
    let note = OpenedNote::parse(note)?;
    let signature = note.signature_of(log).ok_or(NoteError::Unsigned)?;
    verify(log, note.text.as_bytes(), signature).map_err(|_| NoteError::InvalidSignature)?;
    let checkpoint = parse(&note.text)?;
    if checkpoint.origin != log.name {
        return Err(NoteError::OtherOrigin);
    }
    Ok(OpenedCheckpoint { checkpoint, note })
}

impl OpenedCheckpoint {
    /// The time, in seconds since 1970, at which this cosigner cosigned; `None` unless its signature is there and valid.
    pub fn cosignature_time(&self, cosigner: &Vkey) -> Option<u64> {
        if cosigner.kind != VkeyKind::Cosigner {
            return None;
        }
        let signature = self.note.signature_of(cosigner)?;
        cosignature_time(signature, &self.note.text, cosigner)
    }
}

/// The time of a cosignature over this text, if it holds.
fn cosignature_time(timestamped: &[u8], text: &str, cosigner: &Vkey) -> Option<u64> {
    let (time, signature) = timestamped.split_first_chunk()?;
    let time_s = u64::from_be_bytes(*time);
    i64::try_from(time_s).ok()?;
    verify(cosigner, &cosigned(time_s, text), signature).ok()?;
    Some(time_s)
}

/// What a cosigner signs (tlog-cosignature, Ed25519).
fn cosigned(time_s: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_s}\n{text}").into_bytes()
}

fn verify(vkey: &Vkey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let signature = Signature(signature.try_into().map_err(|_| SignatureError)?);
    vkey.key.verify_plain(message, &signature)
}

fn line(vkey: &Vkey, signature: Vec<u8>) -> Result<Line, NoteError> {
    Line::new(vkey.name.clone(), vkey.id, signature).map_err(|_| NoteError::InvalidName)
}

fn is_of(line: &Line, vkey: &Vkey) -> bool {
    line.name() == vkey.name && line.id() == vkey.id
}

#[cfg(test)]
mod tests;
