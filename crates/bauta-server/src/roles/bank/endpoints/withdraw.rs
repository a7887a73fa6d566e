//! `POST /v1/withdraw`: account money for blind coins.

use std::sync::Arc;

use bauta_proto::{
    account::WithdrawRequest,
    codec::Signed,
    coin::{Issued, Output, check_outputs},
    ids::RequestId,
    money::Amount,
    problem::{Problem, ProblemKind},
    transport::Transport,
};
use bauta_store::bank::{BankCommand, Withdrawal};

use crate::{
    roles::bank::{Bank, Checked, check},
    work::compute,
};

/// Signs the outputs if the account pays for them.
pub(in crate::roles::bank) async fn withdraw<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: Signed<WithdrawRequest>,
) -> Result<Issued, Problem> {
    let checking = Arc::clone(&bank);
    let checked = compute(move || check_withdraw(&checking, &request)).await?;
    bank.issued(checked).await
}

fn check_withdraw<T: Transport>(
    bank: &Bank<T>,
    signed: &Signed<WithdrawRequest>,
) -> Result<Checked<Issued>, Problem> {
    let request = &signed.body;
    bank.is_meant(request.bank)?;
    let worth = check_outputs(&request.outputs).map_err(check::form)?;
    let Some(first) = request.outputs.first() else {
        return Err(Problem::new(ProblemKind::Form).detail("no coin is asked for"));
    };
    let key = request.account.key();
    signed
        .verified(&key)
        .map_err(|_| ProblemKind::BadSignature)?;
    let request_id = request.request_id();
    sign_outputs(bank, request, (first, worth), request_id)
        .or_else(|refusal| bank.issued_before(request_id, &request.outputs, refusal))
}

fn sign_outputs<T: Transport>(
    bank: &Bank<T>,
    request: &WithdrawRequest,
    (first, worth): (&Output, Amount),
    request_id: RequestId,
) -> Result<Checked<Issued>, Problem> {
    let book = bank.keysets.current();
    let currency = book.get(&first.keyset)?.record().currency;
    let (money, now) = (worth.of(currency), bank.now());
    // Anybody can name an account of his own making: nothing is computed for one that cannot pay.
    let can_pay = bank
        .readers
        .read(|reader| reader.can_pay(request.account, money))?;
    can_pay.map_err(check::refusal)?;
    let outputs = check::outputs(&book, &request.outputs, currency, now)?;
    Ok(Checked::New(Box::new(BankCommand::Withdraw(Withdrawal {
        request: request_id,
        account: request.account,
        money,
        outputs,
        at: now,
    }))))
}
