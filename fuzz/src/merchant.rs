//! A merchant behind valid signatures: no request makes it fail or forget an answer.

use crate::{Target, play, town::Role};

/// The target.
pub const TARGET: Target = Target {
    name: "merchant",
    run: |data| play::play(Role::Merchant, data),
    seeds: || play::seeds(Role::Merchant),
};
