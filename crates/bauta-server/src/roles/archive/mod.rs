//! The archive role.
