//! `POST /v1/exchange`: old coins for new.

use std::sync::Arc;

use bauta_proto::{
    coin::{Authorized, ExchangeRequest, Issued, check_inputs, check_outputs},
    ids::RequestId,
    problem::{Problem, ProblemKind},
    transport::Transport,
};
use bauta_store::bank::{BankCommand, Exchange};

use crate::{
    roles::bank::{
        Bank, Checked,
        check::{self, Purpose},
    },
    work::check_points,
};

/// Signs the outputs if the coins give as much.
pub(in crate::roles::bank) async fn exchange<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: Authorized<ExchangeRequest>,
) -> Result<Issued, Problem> {
    let checking = Arc::clone(&bank);
    let points = request.body.inputs.len() + request.body.outputs.len();
    let checked = check_points(points, move || check_exchange(&checking, &request)).await?;
    bank.issued(checked).await
}

/// Everything about an exchange that needs no record, and whether it is a repeat.
pub(in crate::roles::bank) fn check_exchange<T: Transport>(
    bank: &Bank<T>,
    authorized: &Authorized<ExchangeRequest>,
) -> Result<Checked<Issued>, Problem> {
    let request = &authorized.body;
    bank.is_meant(request.bank)?;
    check_sums(authorized)?;
    let request_id = authorized.request_id();
    check_coins(bank, authorized, request_id).or_else(|refusal| {
        check::consents(&request.inputs, &authorized.signatures, request_id)?;
        bank.issued_before(request_id, &request.outputs, refusal)
    })
}

fn check_coins<T: Transport>(
    bank: &Bank<T>,
    authorized: &Authorized<ExchangeRequest>,
    request_id: RequestId,
) -> Result<Checked<Issued>, Problem> {
    let request = &authorized.body;
    let book = bank.keysets.current();
    let currency = book.get(&request.inputs[0].keyset)?.record().currency;
    let now = bank.now();
    let coins = (request.inputs.as_slice(), authorized.signatures.as_slice());
    let inputs = check::inputs(&book, coins, request_id, (currency, Purpose::Exchange), now)?;
    let outputs = check::outputs(&book, &request.outputs, currency, now)?;
    Ok(Checked::New(Box::new(BankCommand::Exchange(Exchange {
        request: request_id,
        currency,
        inputs,
        outputs,
    }))))
}

/// There is at least one coin on each side, because nothing cannot equal something.
fn check_sums(authorized: &Authorized<ExchangeRequest>) -> Result<(), Problem> {
    let request = &authorized.body;
    let given = check_inputs(&request.inputs, authorized.signatures.len()).map_err(check::form)?;
    let wanted = check_outputs(&request.outputs).map_err(check::form)?;
    if given == wanted {
        Ok(())
    } else {
        Err(Problem::new(ProblemKind::Form).detail("coins given and coins wanted differ in value"))
    }
}
