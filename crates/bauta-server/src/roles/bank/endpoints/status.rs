//! `POST /v1/lock-status`: what became of locks.

use std::sync::Arc;

use bauta_proto::{
    codec::Signed,
    limits::LOCK_STATUS_MAX,
    lock::{LockState, LockStatus, LockStatusRequest},
    problem::{Problem, ProblemKind},
    transport::Transport,
};

use crate::{roles::bank::Bank, work::compute};

/// Looks each tag up; whoever knows a tag may ask.
pub(in crate::roles::bank) async fn status<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: LockStatusRequest,
) -> Result<Signed<LockStatus>, Problem> {
    bank.is_meant(request.bank)?;
    if request.lock_tags.len() > LOCK_STATUS_MAX {
        return Err(ProblemKind::TooLarge.into());
    }
    compute(move || {
        let mut states = Vec::with_capacity(request.lock_tags.len());
        for lock_tag in request.lock_tags {
            let lock = bank.readers.read(|reader| reader.lock(lock_tag))?;
            states.push((lock_tag, lock.map_or(LockState::Unknown, |lock| lock.state)));
        }
        Ok(bank.lock_status(states))
    })
    .await
}
