//! The customer's agent, as a library: money, purchases and recovery. It prints nothing and asks nothing; what happens is
//! told to an [`observer`], what came of it is returned as [`report`]s and precise [errors](WalletError).
//!
//! | module | subject |
//! |---|---|
//! | [`key`], [`store`], [`seed`] | what is on the disk, sealed, and the words that bring the money back |
//! | [`bank`], [`issue`], [`holdings`], [`selection`], [`restore`] | banks and coins |
//! | [`purchase`], [`shop`], [`file_name`] | buying, and opening what was bought |
//! | [`doctor`] | what is in order and what is not |

pub mod bank;
pub mod doctor;
pub mod error;
pub mod file_name;
pub mod holdings;
pub mod issue;
pub mod key;
pub mod observer;
pub mod purchase;
pub mod records;
pub mod report;
pub mod restore;
pub mod seed;
pub mod selection;
pub mod shop;
pub mod store;
#[cfg(test)]
mod testing;
mod wallet;

pub use self::{
    error::{AtFault, Result, WalletError},
    key::Protection,
    purchase::{BuyOptions, CancelOutcome, PurchaseId, PurchaseReport, PurchaseState, SaveOptions},
    wallet::{Environment, Wallet},
};
