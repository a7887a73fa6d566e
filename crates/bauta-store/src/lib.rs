//! All SQL and nothing else: each role's records behind named transactions.
//!
//! A transaction takes a whole batch of requests that were checked before, applies each of them or refuses it, and is on
//! disk when it returns. What a repeat must be answered with is in the row that the decision made.

pub mod archive;
pub mod bank;
pub mod merchant;
pub mod sqlite;
pub mod witness;

pub use sqlite::StoreError;
