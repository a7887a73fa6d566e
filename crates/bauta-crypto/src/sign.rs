//! Signatures: Ed25519 (RFC 8032) over a typed message, verified strictly.
//!
//! What is signed is `"bauta1" || 0 || type:u16 || body`, so that a body of one type never passes for another. Everybody
//! verifies by the one strict rule: lax, strict and batch verification disagree on crafted input, and a judge must see
//! what the parties saw.

use crate::{label, opaque::opaque_debug, secret::Secret};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use std::sync::Arc;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

/// A secret signing key.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

/// A public key, 32 bytes, as RFC 8032 encodes it. Whether it is a point is seen when it verifies.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct VerifyingKey(pub [u8; 32]);

/// A signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Signature(pub [u8; 64]);

opaque_debug!(SigningKey, VerifyingKey, Signature);

/// The signature is not one by this key over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureError;

impl SigningKey {
    /// The key that RFC 8032 makes from a 32-byte seed.
    pub fn from_seed(seed: &Secret<32>) -> Self {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("every 32 bytes are a seed");
        Self(Arc::new(pair))
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        VerifyingKey(bytes)
    }

    /// Signs a body of a type.
    pub fn sign(&self, message_type: u16, body: &[u8]) -> Signature {
        self.sign_plain(&typed(message_type, body))
    }

    /// Signs the bytes as they are; for formats that bring their own separation.
    pub(crate) fn sign_plain(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(message).as_ref());
        Signature(bytes)
    }
}

impl VerifyingKey {
    /// Checks a signature over a body of a type.
    ///
    /// # Errors
    /// [`SignatureError`] if the signature is of another key, type or body, if the key is not a point or of small order,
    /// or if key or signature are not in their canonical form.
    pub fn verify(
        &self,
        message_type: u16,
        body: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        self.verify_plain(&typed(message_type, body), signature)
    }

    /// Checks a signature over the bytes as they are.
    pub(crate) fn verify_plain(
        &self,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| SignatureError)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature)
            .map_err(|_| SignatureError)
    }
}

fn typed(message_type: u16, body: &[u8]) -> Vec<u8> {
    [
        label::SIGNATURE.as_bytes(),
        &[0],
        &message_type.to_be_bytes(),
        body,
    ]
    .concat()
}

#[cfg(test)]
mod tests;
