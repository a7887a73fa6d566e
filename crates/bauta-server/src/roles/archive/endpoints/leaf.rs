//! `POST /v1/leaf`: a preimage for the log, which prepares, commits or cancels.

use std::sync::Arc;

use bauta_proto::{
    codec::Signed,
    limits::REVEAL_WINDOW_MAX,
    problem::{Problem, ProblemKind},
    submission::{Promise, Submission},
    time::Timestamp,
};

use crate::roles::archive::Archive;

/// Checks bank, policy, signature, preimage and time, and nothing on the sender's word; promises after the durable write.
pub(in crate::roles::archive) async fn leaf(
    archive: Arc<Archive>,
    submission: Submission,
) -> Result<Signed<Promise>, Problem> {
    submit(&archive, None, submission).await
}

/// `POST /YYYYMMDD-YYYYMMDD/v1/leaf`: the same, for the shard of this name.
pub(in crate::roles::archive) async fn leaf_of_shard(
    archive: Arc<Archive>,
    shard: String,
    submission: Submission,
) -> Result<Signed<Promise>, Problem> {
    submit(&archive, Some(&shard), submission).await
}

async fn submit(
    archive: &Archive,
    shard: Option<&str>,
    submission: Submission,
) -> Result<Signed<Promise>, Problem> {
    let slot = archive.slot_for(shard, submission.lock.expiry)?;
    let leaf = submission
        .checked_leaf()
        .map_err(|error| Problem::new(ProblemKind::BadCommit).detail(error))?;
    let now = archive.clock.now();
    let admission = archive
        .check_bank(submission.lock.bank)
        .and_then(|()| archive.check_policy(submission.lock.log_policy))
        .and_then(|()| check_time(archive, &submission, now));
    archive.promise(&slot, leaf, now, admission).await
}

fn check_time(archive: &Archive, submission: &Submission, now: Timestamp) -> Result<(), Problem> {
    let lock = &submission.lock;
    if now > lock.taken_until(submission.deed) {
        Err(ProblemKind::CommitExpired.into())
    } else if lock.expiry > now.plus(archive.commit_span_max)
        || lock.commit_until() > lock.expiry.plus(REVEAL_WINDOW_MAX)
    {
        Err(ProblemKind::CommitTooFar.into())
    } else {
        Ok(())
    }
}
