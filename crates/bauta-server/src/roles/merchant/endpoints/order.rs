//! `POST /v1/order`: a binding offer for one good.

use std::sync::Arc;

use bauta_proto::{
    codec::Message,
    merchant::compose_offer,
    offer::{Mode, OrderReply, OrderRequest},
    problem::{Problem, ProblemKind},
    time::Timestamp,
    transport::Transport,
};
use bauta_store::{
    StoreError,
    merchant::{MerchantCommand, NewOrder, Order},
};

use super::super::{Merchant, OFFER_GRACE};
use crate::{batch::store_problem, work::compute};

/// An order after its check.
enum Checked {
    /// It was answered before, with this.
    Repeat(Box<OrderReply>),
    /// It can be answered with this, once that is on record.
    New(Box<(NewOrder, OrderReply)>),
}

/// Makes an offer. A repeat of the same order gets the same bytes for as long as the offer is kept, whatever became of the
/// good.
pub(super) async fn order<T: Transport + 'static>(
    merchant: Arc<Merchant<T>>,
    request: OrderRequest,
) -> Result<OrderReply, Problem> {
    let (shop, now) = (Arc::clone(&merchant), merchant.now());
    match compute(move || check(&shop, request, now)).await? {
        Checked::Repeat(reply) => Ok(*reply),
        Checked::New(new) => {
            let (new, reply) = *new;
            let command = MerchantCommand::Offer(Box::new(new));
            let order = merchant.apply(command).await?;
            if order.offer == reply.offer {
                return Ok(reply);
            }
            // The same order was answered a moment before.
            compute(move || reply_to(&merchant, &order)).await
        }
    }
}

fn check<T>(
    merchant: &Merchant<T>,
    request: OrderRequest,
    now: Timestamp,
) -> Result<Checked, Problem> {
    compose(merchant, &request, now).or_else(|problem| {
        let known = merchant.reader().order(&request.id());
        match known.map_err(|error| failed(&error))? {
            Some(order) => reply_to(merchant, &order).map(|reply| Checked::Repeat(Box::new(reply))),
            None => Err(problem),
        }
    })
}

fn compose<T>(
    merchant: &Merchant<T>,
    request: &OrderRequest,
    now: Timestamp,
) -> Result<Checked, Problem> {
    if request.merchant != merchant.merchant_id() {
        return Err(ProblemKind::WrongRecipient.into());
    }
    let goods = merchant.shelf.goods().map_err(|error| failed(&error))?;
    let good = goods.for_sale(request.good, request.version)?;
    let payment = merchant.banks.get(&request.bank);
    let payment = payment.ok_or(ProblemKind::BankNotAccepted)?;
    if request.log_policy != merchant.policy.policy_id() {
        return Err(ProblemKind::PolicyNotAccepted.into());
    }
    if !merchant.modes.contains(&request.mode) {
        return Err(ProblemKind::ModeNotOffered.into());
    }
    let can_prepare = || merchant.can_prepare(now).map_err(|error| failed(&error));
    if request.mode == Mode::Safe && !can_prepare()? {
        return Err(ProblemKind::Overloaded.into());
    }
    let seller = merchant.seller(payment.account);
    let composed = compose_offer(seller, &good.sale, request, merchant.conditions, now);
    let new = NewOrder {
        request: request.clone(),
        offer: composed.reply.offer.clone(),
        account: payment.account,
        answered_at: now,
        keep_until: composed.reply.offer.body.offer_until.plus(OFFER_GRACE),
    };
    Ok(Checked::New(Box::new((new, composed.reply))))
}

/// The answer as it follows from the order's record.
fn reply_to<T>(merchant: &Merchant<T>, order: &Order) -> Result<OrderReply, Problem> {
    let goods = merchant.shelf.goods().map_err(|error| failed(&error))?;
    let good = match goods.version(order.good, order.version) {
        Some(good) => Some(good.clone()),
        None => merchant
            .reader()
            .version(order.good, order.version)
            .map_err(|error| failed(&error))?,
    };
    let good = good.ok_or(ProblemKind::Internal)?;
    Ok(OrderReply {
        offer: order.offer.clone(),
        terms: merchant.secrets(order).terms(&good.sale.terms),
    })
}

fn failed(error: &StoreError) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "an order cannot be looked up"
    );
    store_problem(error)
}
