//! `POST /v1/leaf`: a preimage for the log, which prepares, commits or cancels.

use std::sync::Arc;

use bauta_proto::{
    codec::Signed,
    problem::{Problem, ProblemKind},
    submission::{Promise, Submission},
    time::Timestamp,
};

use crate::roles::archive::Archive;

/// Checks bank, signature, preimage and time, and nothing on the sender's word; promises after the durable write.
pub(in crate::roles::archive) async fn leaf(
    archive: Arc<Archive>,
    submission: Submission,
) -> Result<Signed<Promise>, Problem> {
    let leaf = submission
        .checked_leaf()
        .map_err(|error| Problem::new(ProblemKind::BadCommit).detail(error))?;
    let now = archive.clock.now();
    let admission = archive
        .check_bank(submission.lock.bank)
        .and_then(|()| check_time(&archive, &submission, now));
    archive.promise(leaf, now, admission).await
}

fn check_time(archive: &Archive, submission: &Submission, now: Timestamp) -> Result<(), Problem> {
    let lock = &submission.lock;
    if now > lock.taken_until(submission.deed) {
        Err(ProblemKind::CommitExpired.into())
    } else if lock.expiry > now.plus(archive.commit_span_max) {
        Err(ProblemKind::CommitTooFar.into())
    } else {
        Ok(())
    }
}
