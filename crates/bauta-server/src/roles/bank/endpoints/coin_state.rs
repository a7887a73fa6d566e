//! `POST /v1/coin-state`: what is left on one coin.

use std::sync::Arc;

use bauta_proto::{
    coin::{CoinState, CoinStateRequest},
    problem::{Problem, ProblemKind},
    transport::Transport,
};

use crate::{roles::bank::Bank, work::compute};

/// Looks the coin up; whoever knows its key may ask.
pub(in crate::roles::bank) async fn coin_state<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: CoinStateRequest,
) -> Result<CoinState, Problem> {
    bank.is_meant(request.bank)?;
    let book = bank.keysets.current();
    let coin = request.coin;
    let keyset = book.get(&coin.keyset)?;
    if keyset.record().key(coin.exponent).is_none() {
        return Err(Problem::new(ProblemKind::Form).detail("no such denomination"));
    }
    let number = keyset.number();
    compute(move || {
        let readers = &bank.readers;
        readers.read(|reader| reader.coin_state(number, coin.exponent, coin.key))
    })
    .await
}
