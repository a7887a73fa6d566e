//! An archive behind valid signatures: no request makes it fail, forget a promise or fork.

use crate::{Target, play, town::Role};

/// The target.
pub const TARGET: Target = Target {
    name: "archive",
    run: |data| play::play(Role::Archive, data),
    seeds: || play::seeds(Role::Archive),
};
