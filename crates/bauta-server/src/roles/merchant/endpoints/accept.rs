//! `POST /v1/accept`: a lock for the key.

use std::{sync::Arc, time::Duration};

use bauta_proto::{
    accept::{AcceptRequest, Delivery},
    merchant::{AcceptError, CheckedAccept},
    problem::{Problem, ProblemKind},
    time::Timestamp,
    transport::Transport,
};
use bauta_store::merchant::{MerchantCommand, Order};
use tokio::time::timeout;

use super::super::Merchant;
use crate::{batch::store_problem, work::compute};

/// How long a customer waits here for the log; then it is told to ask again.
const DELIVERY_WAIT: Duration = Duration::from_secs(20);

/// An acceptance after its check.
enum Checked {
    /// It came before; this is what became of it.
    Repeat(Box<Order>),
    /// It may be stored.
    New(Box<AcceptRequest>),
}

/// Stores the lock, sends the preimage to the log, and hands it out once log or bank have confirmed it. A repeat is
/// answered from the record.
pub(super) async fn accept<T: Transport + 'static>(
    merchant: Arc<Merchant<T>>,
    request: AcceptRequest,
) -> Result<Delivery, Problem> {
    let (shop, now) = (Arc::clone(&merchant), merchant.now());
    let request = match compute(move || check(&shop, request, now)).await? {
        Checked::Repeat(order) => return merchant.delivery(&order),
        Checked::New(request) => request,
    };
    let txid = request.accept.body.txid;
    let permit = Arc::clone(&merchant.sends).try_acquire_owned().ok();
    let command = MerchantCommand::Accept {
        request,
        at: now,
        send: permit.is_some(),
    };
    let Some(permit) = permit else {
        return merchant.delivery(&merchant.apply(command).await?);
    };
    // A task of its own: a customer that goes away does not stop the sale.
    let shop = Arc::clone(&merchant);
    let sale = tokio::spawn(async move {
        let _permit = permit;
        shop.sell(txid, command).await
    });
    match timeout(DELIVERY_WAIT, sale).await {
        Ok(Ok(Ok(Some(order)))) => merchant.delivery(&order),
        Ok(Ok(Err(problem))) => Err(problem),
        _ => Err(ProblemKind::DeliveryPending.into()),
    }
}

fn check<T>(
    merchant: &Merchant<T>,
    request: AcceptRequest,
    now: Timestamp,
) -> Result<Checked, Problem> {
    let known = merchant.reader().sale(request.accept.body.txid);
    let order = known
        .map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a sale cannot be looked up"
            );
            store_problem(&error)
        })?
        .ok_or(ProblemKind::UnknownOffer)?;
    let offer = &order.offer.body;
    if let Some(stored) = &order.accept {
        let accept = request.accept.verified(&offer.pseudonym.key());
        accept.map_err(|_| ProblemKind::BadSignature)?;
        return if stored.lock == request.lock {
            Ok(Checked::Repeat(Box::new(order)))
        } else {
            Err(ProblemKind::OtherLock.into())
        };
    }
    if !merchant.banks.contains_key(&offer.bank) {
        return Err(ProblemKind::BankNotAccepted.into());
    }
    // The logs of an earlier policy are not followed any more.
    if offer.log_policy != merchant.policy.policy_id() {
        return Err(ProblemKind::PolicyNotAccepted.into());
    }
    CheckedAccept::check(&request, offer, now).map_err(refusal)?;
    let usable = merchant.policy.check_use(request.lock.public.expiry);
    usable.map_err(|error| Problem::new(ProblemKind::LockMismatch).detail(error))?;
    Ok(Checked::New(Box::new(request)))
}

fn refusal(error: AcceptError) -> Problem {
    match error {
        AcceptError::Acceptance => ProblemKind::BadSignature.into(),
        AcceptError::BankSignature | AcceptError::Field(_) => {
            Problem::new(ProblemKind::LockMismatch).detail(error)
        }
        AcceptError::OfferExpired => ProblemKind::OfferExpired.into(),
        AcceptError::TooShort => ProblemKind::LockTooShort.into(),
        AcceptError::TooLong => ProblemKind::LockTooLong.into(),
    }
}
