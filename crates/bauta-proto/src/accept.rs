//! The customer's acceptance and the merchant's delivery of the key.

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    codec::{Signed, message},
    ids::{LockTag, Txid},
    lock::Lock,
    submission::Promise,
};

/// "I have the ciphertext of this offer, intact, and this lock pays for it"; signed by the purchase's pseudonym.
///
/// With it the merchant can prove delivery without knowing to whom (rows C6 and C11).
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Accept {
    /// The purchase.
    pub txid: Txid,
    /// The lock that pays for it.
    pub lock_tag: LockTag,
}
message!(Accept, "accept", 64);

/// The lock as the customer hands it to the merchant, with the acceptance.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct AcceptRequest {
    /// The bank's word, both halves.
    pub lock: Lock,
    /// The acceptance under the pseudonym's signature.
    pub accept: Signed<Accept>,
}
message!(AcceptRequest, "accept-request", 640);

/// The merchant's answer: the secret that paid is the secret that opens.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Delivery {
    /// The purchase.
    pub txid: Txid,
    /// u. Anybody can check it against the offer's hash.
    pub preimage: [u8; 32],
    /// The promises of the logs that took the preimage, at most [`LOGS_MAX`](crate::limits::LOGS_MAX); none if it went to the
    /// bank instead.
    pub promises: Vec<Signed<Promise>>,
}
message!(Delivery, "delivery", 2_048);

impl std::fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Delivery(..)")
    }
}
