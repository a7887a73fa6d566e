//! Names of things: 32 or 16 bytes each, never interchangeable.
//!
//! `Debug` shows none of the bytes, because debug output ends in logs; [`hex`](Txid::hex) is the deliberate way out.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER_PERMISSIVE;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

/// The text is not the hexadecimal form of an id of the expected length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {hex_digits} hexadecimal digits")]
pub struct ParseIdError {
    /// How many digits the id has.
    pub hex_digits: usize,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident: $bytes:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Lower-case hexadecimal digits, two for each byte.
            #[must_use]
            pub fn hex(&self) -> String {
                data_encoding::HEXLOWER.encode(&self.0)
            }

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// The id that these bytes are, if they are of its length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                HEXLOWER_PERMISSIVE
                    .decode(text.trim().as_bytes())
                    .ok()
                    .and_then(|bytes| Self::from_slice(&bytes))
                    .ok_or(ParseIdError { hex_digits: 2 * $bytes })
            }
        }
    )*};
}

ids! {
    /// A bank: the Ed25519 public key under which it signs.
    BankId: 32;
    /// A merchant: the Ed25519 public key under which it signs offers.
    MerchantId: 32;
    /// An account at a bank: the Ed25519 public key that its owner signs with.
    AccountId: 32;
    /// A keyset: the id of its record.
    KeysetId: 32;
    /// A good in a shop, the same for all its versions.
    GoodId: 16;
    /// A purchase: the id of its offer. Shared by customer and merchant only.
    Txid: 32;
    /// A lock, in public: the id of its public half.
    LockTag: 32;
    /// A lock's number at its bank; says nothing to anybody else.
    Serial: 16;
    /// A request that moves money: the id of its body; repeats are recognised by it.
    RequestId: 32;
    /// `SHA-256(u)`: the hash that a lock waits for.
    HashLock: 32;
    /// A commitment to the account that a lock pays, opened only when it is claimed.
    PayeeCommitment: 32;
    /// A log policy: the id of its text.
    PolicyId: 32;
    /// BLAKE3 root over a good's ciphertext.
    CiphertextRoot: 32;
    /// BLAKE3 root over a good's plain text.
    PlaintextRoot: 32;
    /// The customer's key for one purchase; the merchant knows the customer by nothing else.
    Pseudonym: 32;
}

macro_rules! keys {
    ($($name:ident),*) => {$(
        impl $name {
            /// The public key that this name is.
            #[must_use]
            pub fn key(&self) -> bauta_crypto::sign::VerifyingKey {
                bauta_crypto::sign::VerifyingKey(self.0)
            }
        }

        impl From<bauta_crypto::sign::VerifyingKey> for $name {
            fn from(key: bauta_crypto::sign::VerifyingKey) -> Self {
                Self(key.0)
            }
        }
    )*};
}
keys!(BankId, MerchantId, AccountId, Pseudonym);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_byte_of_an_id() {
        assert_eq!(format!("{:?}", AccountId([0xab; 32])), "AccountId(..)");
    }

    #[test]
    fn hexadecimal_form_reads_back_and_other_lengths_are_refused() {
        let id = Serial([7; 16]);
        assert_eq!(id.hex().parse(), Ok(id));
        assert!(id.hex()[1..].parse::<Serial>().is_err());
        assert!("zz".repeat(16).parse::<Serial>().is_err());
    }
}
