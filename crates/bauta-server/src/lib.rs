//! The roles as services: check, apply, reply; their HTTP edge; their jobs.

pub mod batch;
pub mod config;
pub mod edge;
pub mod keys;
mod peers;
pub mod roles;
pub mod serve;
pub mod work;

#[cfg(test)]
mod testing;
