//! The bank role.
