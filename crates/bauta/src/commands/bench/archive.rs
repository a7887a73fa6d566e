//! The archive: durable commits with their promises.

use bauta_crypto::{hash, sign::SigningKey};
use bauta_io::SystemClock;
use bauta_proto::{
    ids::{HashLock, PayeeCommitment, PolicyId, Serial},
    lock::{Lock, LockMode, LockPrivate, LockPublic},
    log::leaf::Deed,
    money::Amount,
    submission::Submission,
    time::{Clock, Seconds, Timestamp},
    transport::archive::SubmitLeaf,
};
use bauta_server::config::RoleName;
use rayon::prelude::*;

use super::{
    Plan,
    floor::Floor,
    load::{Prepared, drive_requests},
    process::{Cores, Process},
    row::{Row, Rows},
    setting::{Configured, currency},
};
use crate::failure::Outcome;

/// More than any archive takes in a second on two cores.
const PER_SECOND_MAX: usize = 40_000;
/// Connections that keep the writer's batches full.
const CONNECTIONS: usize = 256;

/// Measures commits.
pub fn measure(plan: &Plan, rows: &mut Rows<'_>) -> Outcome {
    let floor = Floor::measure()?;
    let folder = plan.folder("archive")?;
    let roles = [RoleName::Bank, RoleName::Archive];
    let configured = Configured::write(&folder, &roles, true)?;
    let bank = configured.bank_seed()?.signing_key("bank");
    let runtime = tokio::runtime::Runtime::new()?;
    let archive = runtime.block_on(configured.serve(RoleName::Archive, Cores::All))?;
    rows.say("archive: preparing commits");
    let expiry = SystemClock.now().plus(Seconds::days(1));
    let requests = commits(&bank, plan.requests(PER_SECOND_MAX), expiry);
    rows.say("archive: measuring");
    let measured = runtime.block_on(drive_requests(
        configured.address(RoleName::Archive)?,
        plan.connections(CONNECTIONS),
        requests,
        plan.limit,
        &[&archive, &Process::load()],
    ))?;
    let floor_us = floor.verify + floor.sign;
    let row = Row::new("commit", &measured, floor_us, &["archive"]);
    rows.add(row.wanted("15000/s, p99 < 100 ms"))
}

/// Commits of as many locks, on every core.
pub fn commits(bank: &SigningKey, count: usize, expiry: Timestamp) -> Vec<Prepared> {
    let commit = |index| Prepared::new::<SubmitLeaf>(&commit(bank, index, expiry));
    (0..count).into_par_iter().map(commit).collect()
}

/// The commit of one of them.
pub fn commit(bank: &SigningKey, index: usize, expiry: Timestamp) -> Submission {
    let mut preimage = hash::sha256(&[b"preimage", &index.to_be_bytes()]);
    preimage[0] ^= 1;
    let mut serial = [0; 16];
    serial[..8].copy_from_slice(&hash::sha256(&[&index.to_be_bytes()])[..8]);
    let public = LockPublic {
        bank: bank.verifying_key().into(),
        serial: Serial(serial),
        hash_lock: HashLock(hash::sha256(&[&preimage])),
        expiry,
        log_policy: PolicyId([3; 32]),
        mode: LockMode::Fast,
    };
    let private = LockPrivate {
        amount: Amount::power_of_two(0).expect("one").of(currency()),
        payee: PayeeCommitment([4; 32]),
        dispute_until: expiry,
        settle_until: expiry,
        salt: [5; 16],
    };
    let lock = Lock::new(public, private, bank);
    Submission::new(&lock, Deed::Commit, preimage)
}
