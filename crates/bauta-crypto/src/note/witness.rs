//! What passes between a log and those who cosign its checkpoints (C2SP tlog-witness, tlog-cosignature).

use super::{
    Checkpoint, CosignerSigner, NoteError, OpenedCheckpoint, OpenedNote, Vkey, VkeyKind,
    cosignature_time, cosigned, is_of, line, open_with,
};

/// Opens a signed checkpoint as [`open_checkpoint`](super::open_checkpoint) does, but of any standard log: lines of
/// extension may follow the three that a cosigner vouches for (tlog-checkpoint, "Note text").
///
/// # Errors
/// [`NoteError`]: the form is not kept, the checkpoint is another log's, or the log's signature is missing or wrong.
pub fn open_foreign_checkpoint(note: &str, log: &Vkey) -> Result<OpenedCheckpoint, NoteError> {
    open_with(note, log, Checkpoint::parse_extended)
}

impl OpenedCheckpoint {
    /// The line that says that the cosigner saw this checkpoint at `time_s`, in seconds since 1970; ends in a newline.
    ///
    /// That the checkpoint follows from what was cosigned before is for the cosigner to check first.
    ///
    /// # Errors
    /// [`NoteError::InvalidTime`].
    pub fn cosignature(&self, cosigner: &CosignerSigner, time_s: u64) -> Result<String, NoteError> {
        let line = cosignature_line(&self.note.text, cosigner, time_s)?;
        String::from_utf8(line.to_bytes()).map_err(|_| NoteError::InvalidName)
    }

    /// Adds the cosignature of one cosigner out of the lines that it answered; other lines are ignored. An older one by
    /// the same cosigner is replaced. Returns the cosignature's time in seconds since 1970.
    ///
    /// # Errors
    /// [`NoteError`]: the lines are not signature lines, none is of this cosigner, or it does not hold. Nothing was added.
    pub fn add_cosignature(&mut self, lines: &str, cosigner: &Vkey) -> Result<u64, NoteError> {
        if cosigner.kind != VkeyKind::Cosigner {
            return Err(NoteError::NotACosignerKey);
        }
        let answered = OpenedNote::parse(&format!("{}\n{lines}", self.note.text))?;
        if answered.text != self.note.text {
            return Err(NoteError::MalformedNote);
        }
        let mut found = answered.lines.into_iter();
        let line = found.find(|line| is_of(line, cosigner));
        let line = line.ok_or(NoteError::Unsigned)?;
        let time_s = cosignature_time(line.signature(), &self.note.text, cosigner)
            .ok_or(NoteError::InvalidSignature)?;
        self.note.lines.retain(|line| !is_of(line, cosigner));
        self.note.lines.push(line);
        Ok(time_s)
    }
}

/// A cosignature over a note's text.
pub(super) fn cosignature_line(
    text: &str,
    cosigner: &CosignerSigner,
    time_s: u64,
) -> Result<super::Line, NoteError> {
    if i64::try_from(time_s).is_err() {
        return Err(NoteError::InvalidTime);
    }
    let signature = cosigner.key.sign_plain(&cosigned(time_s, text));
    let timestamped = [time_s.to_be_bytes().as_slice(), &signature.0].concat();
    line(&cosigner.vkey, timestamped)
}
