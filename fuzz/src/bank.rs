//! A bank behind valid signatures: no request makes it fail, forget an answer or lose count of money.

use crate::{Target, play, town::Role};

/// The target.
pub const TARGET: Target = Target {
    name: "bank",
    run: |data| play::play(Role::Bank, data),
    seeds: || play::seeds(Role::Bank),
};
