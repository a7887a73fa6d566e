//! The archive's records.
