//! The bank's records.
