//! The witness's endpoints, one file each.

pub(super) mod about;
pub(super) mod add_checkpoint;
pub(super) mod checkpoint;
