//! Who decides: the rule that makes "committed" and "released" exclude each other.
//!
//! A checkpoint is *early* for a lock if a quorum of the policy's witnesses cosigned it at or before E + delta, *late*
//! if a quorum cosigned it after. A lock is committed if its commit leaf is in an early checkpoint, or its bank took
//! the preimage by E. It is released if a late checkpoint lacks the leaf. Any two quorums share an honest witness,
//! which never cosigns a tree that lacks what an earlier one had: so both cannot be.

use crate::{
    log::policy::CheckedCheckpoint,
    time::{CLOCK_TOLERANCE, Timestamp},
};

/// How a checkpoint stands to a lock's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// A commit leaf in it decides for the payee.
    Early,
    /// The lack of a commit leaf in it decides for the payer.
    Late,
    /// Cosigned partly before and partly after: decides nothing.
    Neither,
}

/// How `checkpoint` stands to a lock that expires at `expiry`.
///
/// A checkpoint with quorums on both sides is early: its tree existed early, and the later cosignatures only repeat it.
#[must_use]
pub fn age(checkpoint: &CheckedCheckpoint, expiry: Timestamp) -> Age {
    let line = expiry.plus(CLOCK_TOLERANCE);
    if checkpoint.quorum_within(|time| time <= line) {
        Age::Early
    } else if checkpoint.quorum_within(|time| time > line) {
        Age::Late
    } else {
        Age::Neither
    }
}

/// What a bank does with a held lock after reading one checkpoint's whole tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Capture: pay the payee, hand the preimage to the payer.
    Capture,
    /// Release: give the value back.
    Release,
    /// The leaf is there, but nothing shows that it was in time: hold until the payee shows an early checkpoint.
    AwaitReceipt,
    /// Wait for a later checkpoint.
    Wait,
}

/// The rule for a bank that has read every leaf of `checkpoint`.
#[must_use]
pub fn verdict(checkpoint: &CheckedCheckpoint, expiry: Timestamp, has_leaf: bool) -> Verdict {
    match (age(checkpoint, expiry), has_leaf) {
        (Age::Early, true) => Verdict::Capture,
        (Age::Late, false) => Verdict::Release,
        (Age::Late | Age::Neither, true) => Verdict::AwaitReceipt,
        (Age::Early | Age::Neither, false) => Verdict::Wait,
    }
}

#[cfg(test)]
mod tests;
