//! What the log says and how anybody verifies it: leaves, receipts, the policy of trusted logs and witnesses, the
//! protocol between log and witnesses, the reader of a log's files, and what proves that somebody cheated.

pub mod evidence;
pub mod leaf;
pub mod policy;
pub mod reader;
pub mod receipt;
pub mod watch;
pub mod witness;

#[cfg(test)]
pub(crate) mod test_log;
