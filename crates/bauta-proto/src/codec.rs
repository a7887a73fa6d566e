//! How values become bytes: the TLS presentation language (RFC 8446 §3) with the variable-size vectors of
//! RFC 9420 §2.1.2.
//!
//! There is one encoding of every value. A decoder refuses what is too long, trailing bytes, lengths that are not
//! minimal and anything else that would not come out of the encoder again bit for bit.

use bauta_crypto::{
    hash,
    sign::{Signature, SignatureError, SigningKey, VerifyingKey},
};
use tls_codec::{Deserialize, Serialize, Size, TlsDeserialize, TlsSerialize, TlsSize};

/// The number of a message type, part of every signature and id; the registry of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum MessageType {
    /// [`crate::coin::Keyset`]
    Keyset = 1,
    /// [`crate::coin::CoinName`]
    CoinName = 2,
    /// [`crate::coin::Spend`]
    Spend = 3,
    /// [`crate::coin::ExchangeRequest`]
    ExchangeRequest = 4,
    /// [`crate::coin::Issued`]
    Issued = 5,
    /// [`crate::coin::RestoreRequest`]
    RestoreRequest = 6,
    /// [`crate::coin::Restored`]
    Restored = 7,
    /// [`crate::coin::CoinStateRequest`]
    CoinStateRequest = 8,
    /// [`crate::coin::CoinState`]
    CoinState = 9,
    /// [`crate::account::WithdrawRequest`]
    WithdrawRequest = 16,
    /// [`crate::account::StatementRequest`]
    StatementRequest = 17,
    /// [`crate::account::Statement`]
    Statement = 18,
    /// [`crate::account::PayeeOpening`]
    PayeeOpening = 19,
    /// [`crate::lock::LockRequest`]
    LockRequest = 32,
    /// [`crate::lock::LockPublic`]
    LockPublic = 33,
    /// [`crate::lock::LockPrivate`]
    LockPrivate = 34,
    /// [`crate::lock::Lock`]
    Lock = 35,
    /// [`crate::lock::LockReply`]
    LockReply = 36,
    /// [`crate::lock::Capture`]
    Capture = 37,
    /// [`crate::lock::Release`]
    Release = 38,
    /// [`crate::lock::ClaimRequest`]
    ClaimRequest = 39,
    /// [`crate::lock::ClaimReply`]
    ClaimReply = 40,
    /// [`crate::lock::LockStatusRequest`]
    LockStatusRequest = 41,
    /// [`crate::lock::LockStatus`]
    LockStatus = 42,
    /// [`crate::offer::OrderRequest`]
    OrderRequest = 48,
    /// [`crate::offer::Offer`]
    Offer = 49,
    /// [`crate::offer::Terms`]
    Terms = 50,
    /// [`crate::offer::OrderReply`]
    OrderReply = 51,
    /// [`crate::accept::Accept`]
    Accept = 52,
    /// [`crate::accept::AcceptRequest`]
    AcceptRequest = 53,
    /// [`crate::accept::Delivery`]
    Delivery = 54,
    /// [`crate::submission::Submission`]
    Submission = 64,
    /// [`crate::submission::Promise`]
    Promise = 65,
    /// [`crate::submission::Record`]
    Record = 66,
    /// [`crate::log::policy::Policy`]
    Policy = 67,
    /// [`crate::coin::KeysetList`]
    KeysetList = 68,
}

/// A value with a place on the wire.
///
/// The encoding is canonical: `T::from_bytes(&t.to_bytes()) == Ok(t)`, and every byte string that decodes is the
/// encoding of what it decodes to.
pub trait Message: Serialize + Deserialize + Size + Sized {
    /// The type's number.
    const TYPE: MessageType;
    /// The longest encoding that a decoder looks at, in bytes.
    const BYTES_MAX: usize;
    /// The media type of the encoding as an HTTP body.
    const MEDIA_TYPE: &'static str;

    /// The one encoding.
    fn to_bytes(&self) -> Vec<u8> {
        self.tls_serialize_detached()
            .expect("a value in memory is shorter than the wire's length fields can say")
    }

    /// Reads exactly one value.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the bytes; whoever made them is at fault.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(DecodeError::TooLong {
                message: Self::TYPE,
                bytes: bytes.len(),
                bytes_max: Self::BYTES_MAX,
            });
        }
        let value = Self::tls_deserialize_exact(bytes)
            .map_err(|error| DecodeError::malformed(Self::TYPE, &error))?;
        if value.to_bytes() != bytes {
            return Err(DecodeError::NotCanonical(Self::TYPE));
        }
        Ok(value)
    }

    /// `SHA-256("bauta1-id" || 0 || type || body)`: the name of this value wherever another message points to it.
    fn id(&self) -> [u8; 32] {
        hash::id(Self::TYPE as u16, &self.to_bytes())
    }

    /// Signs type and body.
    fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(Self::TYPE as u16, &self.to_bytes())
    }

    /// Checks a signature over type and body, strictly (the rule that a judge uses).
    ///
    /// # Errors
    /// [`SignatureError`] when `key` did not sign exactly this value.
    fn verify(&self, key: &VerifyingKey, signature: &Signature) -> Result<(), SignatureError> {
        key.verify(Self::TYPE as u16, &self.to_bytes(), signature)
    }

    /// This value with a signature of `key`.
    fn signed(self, key: &SigningKey) -> Signed<Self> {
        let signature = self.sign(key);
        Signed {
            body: self,
            signature,
        }
    }
}

/// A message and one signature over it; on the wire the signature follows the body.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Signed<M: Serialize + Deserialize + Size> {
    /// What is signed. Reading it without [`Signed::verified`] is reading a claim.
    pub body: M,
    /// The signature over type and body.
    pub signature: Signature,
}

impl<M: Message> Signed<M> {
    /// The body, once `key`'s signature over it has been checked.
    ///
    /// # Errors
    /// [`SignatureError`] when `key` did not sign exactly this body.
    pub fn verified(&self, key: &VerifyingKey) -> Result<&M, SignatureError> {
        self.body.verify(key, &self.signature)?;
        Ok(&self.body)
    }
}

impl<M: Message> Message for Signed<M> {
    const TYPE: MessageType = M::TYPE;
    const BYTES_MAX: usize = M::BYTES_MAX + 64;
    const MEDIA_TYPE: &'static str = M::MEDIA_TYPE;
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than the type's limit.
    #[error("{message:?} of {bytes} bytes is longer than the limit of {bytes_max}")]
    TooLong {
        /// What was expected.
        message: MessageType,
        /// What came.
        bytes: usize,
        /// What may come at most.
        bytes_max: usize,
    },
    /// The bytes end before the message does.
    #[error("{0:?} ends too early")]
    Truncated(MessageType),
    /// Bytes follow the message.
    #[error("{0:?} is followed by further bytes")]
    Trailing(MessageType),
    /// A field holds a value that the format does not know.
    #[error("{0:?} has a field with an unknown value")]
    Unknown(MessageType),
    /// A second encoding of a value that has one.
    #[error("{0:?} is not in its canonical form")]
    NotCanonical(MessageType),
}

impl DecodeError {
    fn malformed(message: MessageType, error: &tls_codec::Error) -> Self {
        match error {
            tls_codec::Error::EndOfStream => Self::Truncated(message),
            tls_codec::Error::TrailingData => Self::Trailing(message),
            tls_codec::Error::InvalidVectorLength => Self::NotCanonical(message),
            _ => Self::Unknown(message),
        }
    }
}

/// Declares a type's place on the wire: `message!(Offer, "offer", 2_048)`.
macro_rules! message {
    ($type:ident, $name:literal, $bytes_max:expr) => {
        impl $crate::codec::Message for $type {
            const TYPE: $crate::codec::MessageType = $crate::codec::MessageType::$type;
            const BYTES_MAX: usize = $bytes_max;
            const MEDIA_TYPE: &'static str = concat!("application/vnd.bauta.", $name);
        }
    };
}
pub(crate) use message;

/// `Debug` without content, for what says something about a person: debug output ends in logs.
macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
pub(crate) use opaque_debug;
