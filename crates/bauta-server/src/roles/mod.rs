//! The roles, each alone in its folder: none imports another.

pub mod archive;
pub mod bank;
pub mod merchant;
pub mod witness;
