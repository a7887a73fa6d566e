//! Liars: one attack for each hole of the source protocol (docs/protocol/holes.md). In an otherwise honest world one role,
//! or two together, lie with their real keys. Each attack must fail, and `cargo xtask mutants` shows that each would
//! succeed without the check that stops it.

mod archive;
mod bank;
mod customer;
mod honest;
mod merchant;
mod net;
mod purse;
mod safe;
mod stranger;
mod town;
mod witness;
