//! The commands, one file each.

pub mod bank;
pub mod bench;
pub mod completions;
pub mod config;
pub mod demo;
pub mod keygen;
pub mod serve;
pub mod shop;
pub mod wallet;
