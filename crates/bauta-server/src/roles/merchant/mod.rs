//! The merchant role.
