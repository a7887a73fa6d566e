//! `POST /v1/record`: a bank's public parameter for the log.

use std::sync::Arc;

use bauta_proto::{
    codec::Signed,
    problem::{Problem, ProblemKind},
    submission::{Promise, Record},
};

use crate::roles::archive::Archive;

/// Checks that a listed bank signed the record and that it still matters; promises after the durable write.
pub(in crate::roles::archive) async fn record(
    archive: Arc<Archive>,
    record: Signed<Record>,
) -> Result<Signed<Promise>, Problem> {
    submit(&archive, None, record).await
}

/// `POST /YYYYMMDD-YYYYMMDD/v1/record`: the same, for the shard of this name.
pub(in crate::roles::archive) async fn record_of_shard(
    archive: Arc<Archive>,
    shard: String,
    record: Signed<Record>,
) -> Result<Signed<Promise>, Problem> {
    submit(&archive, Some(&shard), record).await
}

async fn submit(
    archive: &Archive,
    shard: Option<&str>,
    record: Signed<Record>,
) -> Result<Signed<Promise>, Problem> {
    let slot = archive.slot_for(shard, record.body.valid_until)?;
    let bank = record.body.bank;
    let checked = record
        .verified(&bank.key())
        .map_err(|_| Problem::new(ProblemKind::BadSignature))?;
    let now = archive.clock.now();
    let admission = archive.check_bank(bank).and_then(|()| {
        let matters = now <= checked.valid_until;
        let stale = || Problem::new(ProblemKind::StaleRequest).detail("the record's time is over");
        matters.then_some(()).ok_or_else(stale)
    });
    let leaf = checked.leaf();
    archive.promise(&slot, leaf, now, admission).await
}
