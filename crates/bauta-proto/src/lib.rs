//! bauta's vocabulary and protocols: data and pure functions.
//!
//! Nothing here reads a clock, opens a socket or a file, or draws randomness: `now`, bytes and random numbers come in,
//! values go out. docs/protocol/purchase.md describes the same things byte by byte.
//!
//! | module | subject |
//! |---|---|
//! | [`ids`], [`money`], [`time`], [`limits`], [`codec`] | the vocabulary |
//! | [`coin`], [`account`], [`lock`], [`offer`], [`accept`], [`submission`] | the messages, one family a file |
//! | [`log`], [`decision`] | what the log says, how it is verified, and what follows from it |
//! | [`customer`], [`merchant`] | each side's checks, step by step |
//! | [`transport`], [`problem`], [`catalogue`] | the seam to the network, refusals, what a shop shows |

pub mod accept;
pub mod account;
pub mod catalogue;
pub mod codec;
pub mod coin;
pub mod customer;
pub mod decision;
pub mod ids;
pub mod limits;
pub mod lock;
pub mod log;
pub mod merchant;
pub mod money;
pub mod offer;
pub mod problem;
pub mod submission;
pub mod time;
pub mod transport;
