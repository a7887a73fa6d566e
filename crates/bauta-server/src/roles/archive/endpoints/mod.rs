//! The archive's endpoints, one file each.

pub(super) mod commit;
pub(super) mod files;
pub(super) mod record;
