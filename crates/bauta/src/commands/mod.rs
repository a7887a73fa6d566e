//! The commands, one file each.

pub mod archive;
pub mod bank;
pub mod bench;
pub mod completions;
pub mod config;
pub mod demo;
pub mod keygen;
pub mod log;
pub mod monitor;
pub mod serve;
pub mod shop;
pub mod wallet;

use bauta_server::keys::RoleSeed;

use crate::failure::{Failure, Outcome};

/// The seed in a role's key file.
pub fn seed_of(key_file: &std::path::Path) -> Outcome<RoleSeed> {
    RoleSeed::load(key_file).map_err(|error| {
        let failure = Failure::from_error(&error);
        let message = format!("{}: {}", key_file.display(), failure.message);
        Failure::local(message).remedy("Make one with: bauta keygen FILE")
    })
}
