//! What the log says and how anybody verifies it: leaves, receipts and the policy of trusted logs and witnesses.

pub mod leaf;
pub mod policy;
pub mod receipt;
