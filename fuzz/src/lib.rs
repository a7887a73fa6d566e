//! Fuzz targets as plain functions: bytes in, a panic is a finding.
//!
//! | target | what the bytes are |
//! |---|---|
//! | [`messages`] | a message of any kind |
//! | [`texts`] | everything else that is read: policies, notes, receipts, catalogues, configurations, key files, words |
//! | [`log_files`] | bundles and tiles of a log, and a log that serves them |
//! | [`goods`] | ciphertext, and how a stream cuts it |
//! | [`bank`], [`archive`], [`merchant`] | requests that the target signs with keys that the role knows, and what happens between them |
//! | [`witness`] | checkpoints of a log with two histories |
//! | [`wallet`] | what becomes of the answers on their way to a wallet |
//!
//! Each target also makes its own corpus ([`begin`]) from the project's vectors.

pub mod archive;
pub mod bank;
mod config;
mod consent;
mod corpus;
pub mod goods;
mod input;
#[expect(
    dead_code,
    reason = "shared with the vectors' tests, which use all of it"
)]
#[path = "../../crates/bauta-proto/tests/messages/kinds.rs"]
mod kinds;
pub mod log_files;
pub mod merchant;
pub mod messages;
mod play;
#[cfg(test)]
mod tests;
pub mod texts;
mod town;
#[expect(
    dead_code,
    reason = "shared with the vectors' tests, which use all of it"
)]
#[path = "../../crates/bauta-proto/tests/messages/vector.rs"]
mod vector;
pub mod wallet;
pub mod witness;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is its program's and its corpus's too.
    pub name: &'static str,
    /// What it does with one input.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 9] = [
    messages::TARGET,
    texts::TARGET,
    log_files::TARGET,
    goods::TARGET,
    bank::TARGET,
    archive::TARGET,
    merchant::TARGET,
    wallet::TARGET,
    witness::TARGET,
];

/// The variable that names the folder into which a target writes its seeds instead of running.
pub const SEEDS_VARIABLE: &str = "BAUTA_FUZZ_SEEDS";

/// What a target's program does before its first input.
///
/// # Panics
/// Panics if the seeds cannot be written.
pub fn begin(target: Target) {
    if let Some(folder) = std::env::var_os(SEEDS_VARIABLE) {
        corpus::write(folder.as_ref(), &(target.seeds)()).expect("a folder that can be written");
        std::process::exit(0);
    }
}
