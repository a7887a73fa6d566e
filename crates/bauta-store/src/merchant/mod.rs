//! The merchant's records.
