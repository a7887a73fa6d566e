//! Every limit of the protocol, by name. Each has a test on both sides where it is enforced.

use crate::time::Seconds;

/// Denominations in a keyset: values 2^0 to 2^39 minor units.
pub const KEYSET_KEYS_MAX: usize = 40;
/// Keysets that a bank publishes at once, over all currencies.
pub const KEYSETS_MAX: usize = 256;
/// Coins that one request spends.
pub const INPUTS_MAX: usize = 64;
/// Blinded outputs that one request has signed.
pub const OUTPUTS_MAX: usize = 128;
/// Blinded outputs asked about in one restore request.
pub const RESTORE_OUTPUTS_MAX: usize = 200;
/// A coin's last sequence number; it can be spent this often.
pub const SEQUENCE_MAX: u32 = 1 << 20;
/// Claims in one request.
pub const CLAIMS_MAX: usize = 256;
/// Proofs of leaves in one claim: two for each log of a policy.
pub const LEAF_PROOFS_MAX: usize = 2 * LOGS_MAX;
/// Logs of a policy that take the leaves of one lock.
pub const LOGS_MAX: usize = 8;
/// Locks asked about in one request.
pub const LOCK_STATUS_MAX: usize = 256;
/// Entries in one page of an account's statement.
pub const STATEMENT_ENTRIES_MAX: usize = 500;
/// Longest text in a good's terms, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 16_384;
/// Longest file name, title or media type, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest text of a log policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 65_536;
/// Longest request to a witness, in bytes: 63 hashes and a checkpoint with 16 signatures of the longest kind (5 kB each, as
/// C2SP signed-note expects of post-quantum ones) fit.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = 131_072;
/// Longest answer of a witness that is read, in bytes.
pub const COSIGNATURES_BYTES_MAX: usize = 65_536;
/// Longest receipt (a tlog-proof), in bytes: 63 hashes and 64 signature lines fit.
pub const RECEIPT_BYTES_MAX: usize = 32_768;
/// Shortest time that a payee has between preparing and committing.
pub const REVEAL_WINDOW_MIN: Seconds = Seconds(5);
/// Longest time that a payee has between preparing and committing.
pub const REVEAL_WINDOW_MAX: Seconds = Seconds::days(7);
/// Farthest expiry of a lock from now.
pub const LOCK_SPAN_MAX: Seconds = Seconds::days(90);
/// Nearest expiry of a lock from now that a bank agrees to.
pub const LOCK_SPAN_MIN: Seconds = Seconds(5);
/// Oldest signed query that is still answered.
pub const QUERY_AGE_MAX: Seconds = Seconds(300);
/// Longest dispute window that a lock can carry.
pub const DISPUTE_WINDOW_MAX: Seconds = Seconds::days(180);
