//! `POST /v1/commit`: a preimage for the log.

use std::sync::Arc;

use bauta_proto::{
    codec::Signed,
    commit::{Commit, Promise},
    log::leaf::Leaf,
    problem::{Problem, ProblemKind},
    time::Timestamp,
};

use crate::roles::archive::Archive;

/// Checks bank, signature, preimage and expiry, and nothing on the sender's word; promises after the durable write.
pub(in crate::roles::archive) async fn commit(
    archive: Arc<Archive>,
    commit: Commit,
) -> Result<Signed<Promise>, Problem> {
    let leaf = commit
        .checked_leaf()
        .map_err(|error| Problem::new(ProblemKind::BadCommit).detail(error))?;
    let now = archive.clock.now();
    let admission = archive
        .check_bank(commit.lock.bank)
        .and_then(|()| check_expiry(&archive, &leaf, now));
    archive.promise(leaf, now, admission).await
}

fn check_expiry(archive: &Archive, leaf: &Leaf, now: Timestamp) -> Result<(), Problem> {
    if now > leaf.expiry {
        Err(ProblemKind::CommitExpired.into())
    } else if leaf.expiry > now.plus(archive.commit_span_max) {
        Err(ProblemKind::CommitTooFar.into())
    } else {
        Ok(())
    }
}
