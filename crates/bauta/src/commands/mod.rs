//! The commands, one file each.

pub mod bench;
pub mod completions;
pub mod keygen;
pub mod wallet;
