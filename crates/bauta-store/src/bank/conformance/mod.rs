//! The promises that every database of a bank keeps, as one list: each takes an empty store and panics when the promise
//! is broken.

mod accounts;
mod coins;
mod locks;
mod log;
mod samples;

pub(super) use samples::*;

use super::*;

/// A promise by its name.
pub(super) type Promise = (&'static str, fn(&mut dyn BankStoreOps));

/// The promises of one subject, from their names.
macro_rules! promises {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn(&mut dyn BankStoreOps)),)*] };
}
use promises;

/// All of them, subject by subject.
pub(super) fn all_promises() -> impl Iterator<Item = &'static Promise> {
    let subjects = [
        accounts::PROMISES,
        coins::PROMISES,
        locks::PROMISES,
        log::PROMISES,
    ];
    subjects.into_iter().flatten()
}
