//! `POST /v1/statement`: an account's entries, for its owner.

use std::sync::Arc;

use bauta_proto::{
    account::{Statement, StatementRequest},
    codec::Signed,
    limits::QUERY_AGE_MAX,
    problem::{Problem, ProblemKind},
    time::{CLOCK_TOLERANCE, Timestamp},
    transport::Transport,
};

use crate::{roles::bank::Bank, work::compute};

/// One page of entries.
pub(in crate::roles::bank) async fn statement<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: Signed<StatementRequest>,
) -> Result<Statement, Problem> {
    bank.is_meant(request.body.bank)?;
    check_age(request.body.asked_at, bank.now())?;
    compute(move || {
        let query = &request.body;
        let key = query.account.key();
        request
            .verified(&key)
            .map_err(|_| ProblemKind::BadSignature)?;
        let readers = &bank.readers;
        let page = |reader: &bauta_store::bank::BankReader| {
            reader.statement(query.account, query.currency, query.after)
        };
        readers
            .read(page)?
            .ok_or_else(|| ProblemKind::UnknownAccount.into())
    })
    .await
}

fn check_age(asked_at: Timestamp, now: Timestamp) -> Result<(), Problem> {
    let newest = now.plus(CLOCK_TOLERANCE);
    let oldest = now.minus(QUERY_AGE_MAX);
    if (oldest..=newest).contains(&asked_at) {
        Ok(())
    } else {
        Err(ProblemKind::StaleRequest.into())
    }
}
