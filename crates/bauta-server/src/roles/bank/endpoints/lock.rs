//! `POST /v1/lock`: value under a hash and an expiry (P2 and P3 of document 003, figure 4).

use std::sync::Arc;

use bauta_crypto::{kdf, label};
use bauta_proto::{
    codec::Message,
    coin::Authorized,
    ids::{RequestId, Serial},
    limits::LOCK_SPAN_MIN,
    lock::{Lock, LockPrivate, LockPublic, LockReply, LockRequest, Payer},
    problem::{Problem, ProblemKind},
    time::{CLOCK_TOLERANCE, Timestamp},
    transport::Transport,
};
use bauta_store::bank::{BankCommand, Done, LockPayer, NewLock, SignedOutput};

use crate::{
    roles::bank::{
        Bank, Checked,
        check::{self, Purpose},
        damaged,
    },
    work::check_points,
};

/// Holds the value and gives the bank's word for it.
pub(in crate::roles::bank) async fn lock<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: Authorized<LockRequest>,
) -> Result<LockReply, Problem> {
    let checking = Arc::clone(&bank);
    let points = points(&request.body);
    let checked = check_points(points, move || check_lock(&checking, &request)).await?;
    let reply = match checked {
        Checked::Repeat(reply) => reply,
        Checked::New(command) => match bank.apply(*command).await? {
            Done::Locked(reply) => reply,
            _ => return Err(damaged()),
        },
    };
    LockReply::from_bytes(&reply).map_err(|_| damaged())
}

fn points(request: &LockRequest) -> usize {
    let coins = match &request.payer {
        Payer::Coins(inputs) => inputs.len(),
        Payer::Account { .. } => 0,
    };
    coins + request.change.len()
}

fn check_lock<T: Transport>(
    bank: &Bank<T>,
    authorized: &Authorized<LockRequest>,
) -> Result<Checked<Vec<u8>>, Problem> {
    let request = &authorized.body;
    bank.is_meant(request.bank)?;
    let signatures = authorized.signatures.len();
    request.check_form(signatures).map_err(check::lock_form)?;
    let request_id = authorized.request_id();
    let public = public_half(bank, request, request_id);
    let lock_tag = public.lock_tag();
    new_lock(bank, authorized, request_id, public).or_else(|refusal| {
        check_consent(authorized)?;
        // Time makes nothing of a repeat undone. One that is not refused is answered as before by the store itself.
        let earlier = bank.readers.read(|reader| reader.lock_reply(lock_tag))?;
        earlier.map(Checked::Repeat).ok_or(refusal)
    })
}

fn new_lock<T: Transport>(
    bank: &Bank<T>,
    authorized: &Authorized<LockRequest>,
    request_id: RequestId,
    public: LockPublic,
) -> Result<Checked<Vec<u8>>, Problem> {
    let request = &authorized.body;
    let (lock_tag, now) = (public.lock_tag(), bank.now());
    check_conditions(bank, request, now)?;
    let private = private_half(bank, request, request_id, public.commit_until());
    let settle_until = private.settle_until;
    let payer = check_payer(bank, authorized, settle_until, now)?;
    let book = bank.keysets.current();
    let change = check::outputs(&book, &request.change, request.amount.currency, now)?;
    let reply = LockReply {
        lock: Lock::new(public, private, &bank.key),
        change: change.iter().map(signature).collect(),
    };
    Ok(Checked::New(Box::new(BankCommand::Lock(Box::new(
        NewLock {
            request: request_id,
            lock_tag,
            reply: reply.to_bytes(),
            money: request.amount,
            hash_lock: request.hash_lock,
            payee: request.payee,
            expiry: request.expiry,
            settle_until,
            payer,
            change,
            at: now,
        },
    )))))
}

const fn signature(output: &SignedOutput) -> bauta_crypto::blind::BlindSignature {
    output.signature
}

/// Serial and salt follow from the request, so that a repeat names the same lock before anything is looked up; to
/// everybody else they are random.
fn public_half<T: Transport>(
    bank: &Bank<T>,
    request: &LockRequest,
    request_id: RequestId,
) -> LockPublic {
    LockPublic {
        bank: request.bank,
        serial: Serial(*derive(bank, b"serial", request_id).expose()),
        hash_lock: request.hash_lock,
        expiry: request.expiry,
        log_policy: request.log_policy,
        mode: request.mode,
    }
}

fn private_half<T: Transport>(
    bank: &Bank<T>,
    request: &LockRequest,
    request_id: RequestId,
    commit_until: Timestamp,
) -> LockPrivate {
    let dispute_until = request.expiry.plus(request.dispute_window);
    let claim_until = commit_until
        .plus(CLOCK_TOLERANCE)
        .plus(bank.limits.claim_span);
    LockPrivate {
        amount: request.amount,
        payee: request.payee,
        dispute_until,
        settle_until: dispute_until.max(claim_until),
        salt: *derive(bank, b"salt", request_id).expose(),
    }
}

fn derive<T: Transport>(
    bank: &Bank<T>,
    purpose: &[u8],
    request_id: RequestId,
) -> bauta_crypto::secret::Secret<16> {
    let secret = bank.lock_secret.expose();
    kdf::derive(label::ROLE_KEY, secret, &[purpose, request_id.as_bytes()])
}

fn check_conditions<T: Transport>(
    bank: &Bank<T>,
    request: &LockRequest,
    now: Timestamp,
) -> Result<(), Problem> {
    let limits = &bank.limits;
    if request.log_policy != bank.policy.policy_id() {
        return Err(ProblemKind::UnknownPolicy.into());
    }
    if request.dispute_window > limits.dispute_window_max {
        return Err(Problem::new(ProblemKind::DisputeWindow).detail(limits.dispute_window_max));
    }
    if request.expiry < now.plus(LOCK_SPAN_MIN) {
        return Err(ProblemKind::ExpiryTooNear.into());
    }
    if request.expiry > now.plus(limits.lock_span_max) {
        return Err(Problem::new(ProblemKind::ExpiryTooFar).detail(limits.lock_span_max));
    }
    check_logs(bank, request.expiry)
}

/// A lock is made only when the logs can decide it: as many as it takes have been reached. Of a log that has not, the bank
/// will read everything from its beginning, so that no leaf of the lock is missed.
fn check_logs<T: Transport>(bank: &Bank<T>, expiry: Timestamp) -> Result<(), Problem> {
    let use_now = bank.policy.check_use(expiry);
    use_now.map_err(|error| Problem::new(ProblemKind::NotDecidable).detail(error))?;
    if bank.logs.reached(&bank.policy, expiry) < bank.policy.log_threshold() {
        return Err(ProblemKind::LogsUnreached.into());
    }
    Ok(())
}

fn check_payer<T: Transport>(
    bank: &Bank<T>,
    authorized: &Authorized<LockRequest>,
    settle_until: Timestamp,
    now: Timestamp,
) -> Result<LockPayer, Problem> {
    let request = &authorized.body;
    let signatures = authorized.signatures.as_slice();
    match &request.payer {
        Payer::Coins(inputs) => {
            let purpose = (request.amount.currency, Purpose::Pay { settle_until });
            let book = bank.keysets.current();
            let request_id = authorized.request_id();
            let coins = (inputs.as_slice(), signatures);
            check::inputs(&book, coins, request_id, purpose, now).map(LockPayer::Coins)
        }
        Payer::Account { account, .. } => {
            check_consent(authorized)?;
            Ok(LockPayer::Account(*account))
        }
    }
}

/// Checks that whoever pays signed the request.
fn check_consent(authorized: &Authorized<LockRequest>) -> Result<(), Problem> {
    let request = &authorized.body;
    let signatures = authorized.signatures.as_slice();
    match &request.payer {
        Payer::Coins(inputs) => check::consents(inputs, signatures, authorized.request_id()),
        Payer::Account { account, .. } => {
            let mut signed = signatures.iter();
            let is_signed = signed.any(|one| request.verify(&account.key(), one).is_ok());
            is_signed
                .then_some(())
                .ok_or(ProblemKind::BadSignature.into())
        }
    }
}
