//! The archive's endpoints, one file each.

pub(super) mod files;
pub(super) mod leaf;
pub(super) mod record;
