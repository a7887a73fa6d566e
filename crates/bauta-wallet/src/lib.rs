//! The customer's agent.

pub mod file_name;
pub mod key;
pub mod observer;
pub mod purchase;
pub mod seed;
pub mod selection;
pub mod store;
#[cfg(test)]
mod testing;
