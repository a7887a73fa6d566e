//! What can be asked of a bank, one file an endpoint.

mod capture;
mod claim;
mod coin_state;
mod exchange;
mod keysets;
mod lock;
mod policy;
mod release;
mod restore;
mod statement;
mod status;
mod withdraw;

use std::sync::Arc;

use axum::{Router, routing::get};
use bauta_proto::transport::{Transport, bank};

use super::Bank;
use crate::edge::operation;

/// Every path of a bank.
pub(super) fn router<T: Transport + 'static>(role: Arc<Bank<T>>) -> Router {
    let router = Router::new()
        .route(bank::KEYSETS_PATH, get(keysets::keysets::<T>))
        .route(bank::POLICY_PATH, get(policy::policy::<T>));
    let router = operation::<bank::Withdraw, _, _, _>(router, withdraw::withdraw::<T>);
    let router = operation::<bank::Exchange, _, _, _>(router, exchange::exchange::<T>);
    let router = operation::<bank::Restore, _, _, _>(router, restore::restore::<T>);
    let router = operation::<bank::State, _, _, _>(router, coin_state::coin_state::<T>);
    let router = operation::<bank::LockValue, _, _, _>(router, lock::lock::<T>);
    let router = operation::<bank::CaptureLock, _, _, _>(router, capture::capture::<T>);
    let router = operation::<bank::ReleaseLock, _, _, _>(router, release::release::<T>);
    let router = operation::<bank::ClaimLocks, _, _, _>(router, claim::claim::<T>);
    let router = operation::<bank::Status, _, _, _>(router, status::status::<T>);
    let router = operation::<bank::AccountStatement, _, _, _>(router, statement::statement::<T>);
    router.with_state(role)
}
