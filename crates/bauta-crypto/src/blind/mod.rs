//! Blind signatures: BLS on BLS12-381, signatures in G1 (48 bytes), keys in G2 (96 bytes).
//!
//! A customer hides a message's point `H(m)` behind a random factor `r`, the issuer multiplies what it cannot read by its
//! secret key, and the customer takes `r` off again: `r^-1 * (sk * (r * H(m))) = sk * H(m)`, an ordinary BLS signature.
//! Every blinded point is as likely for every message, so that the issuer cannot link the two, whatever it computes.
//!
//! `H` is RFC 9380's `BLS12381G1_XMD:SHA-256_SSWU_RO_` with a tag of our own; keys come from KeyGen of
//! draft-irtf-cfrg-bls-signature. Points are accepted in their compressed canonical form only.

mod batch;
mod point;

pub use batch::verify_batch;

use crate::{
    label,
    opaque::opaque_debug,
    secret::{Secret, equal_in_constant_time},
};
use blst::BLST_ERROR;
use blst::min_sig::{PublicKey, SecretKey, Signature};
use point::Point;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

/// The secret key of one keyset.
pub struct IssuerKey(SecretKey);

/// The public key of one keyset: a compressed point of G2, checked where it is used.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct IssuerPublicKey(pub [u8; 96]);

/// A message hidden from the issuer: a compressed point of G1, checked where it is used.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct BlindedMessage(pub [u8; 48]);

/// What the issuer answers to a [`BlindedMessage`].
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct BlindSignature(pub [u8; 48]);

/// The signature on the message itself; anyone can verify it.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct CoinSignature(pub [u8; 48]);

/// The factor that hides one message: a non-zero scalar, zeroed on drop. To be used for one message only.
pub struct BlindingFactor(SecretKey);

opaque_debug!(
    IssuerKey,
    IssuerPublicKey,
    BlindedMessage,
    BlindSignature,
    CoinSignature,
    BlindingFactor
);

/// Why a blind signature was not made or not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlindError {
    /// The customer's blinded message is no point of G1, is infinity, or is not in canonical form.
    #[error("the blinded message is not a valid point")]
    BlindedMessage,
    /// The issuer's answer is no point of G1, is infinity, or is not in canonical form.
    #[error("the issuer's blind signature is not a valid point")]
    BlindSignature,
    /// The issuer's answer is not a signature by the key it announced.
    #[error("the issuer's blind signature does not verify under its key")]
    NotBySigner,
}

impl IssuerKey {
    /// The key that KeyGen makes from a 32-byte seed.
    pub fn from_seed(seed: &Secret<32>) -> Self {
        Self(scalar_from_seed(seed, label::ISSUER_KEY))
    }

    /// The public half.
    pub fn public_key(&self) -> IssuerPublicKey {
        IssuerPublicKey(self.0.sk_to_pk().compress())
    }

    /// Signs what the customer has hidden.
    ///
    /// # Errors
    /// [`BlindError::BlindedMessage`] if the message is not a point of the group, or infinity.
    pub fn sign(&self, blinded: &BlindedMessage) -> Result<BlindSignature, BlindError> {
        let point = Point::decode(&blinded.0).ok_or(BlindError::BlindedMessage)?;
        Ok(BlindSignature(point.multiply(&self.0).encode()))
    }

    /// Whether this key made the signature on the message: one multiplication, no pairing, compared in constant time.
    pub fn verify(&self, message: &[u8], signature: &CoinSignature) -> bool {
        let expected = coin_point(message).multiply(&self.0).encode();
        equal_in_constant_time(&expected, &signature.0)
    }
}

impl IssuerPublicKey {
    /// Whether the holder of this key made the signature on the message: two pairings.
    pub fn verify(&self, message: &[u8], signature: &CoinSignature) -> bool {
        let (Some(key), Ok(signature)) = (self.decode(), Signature::uncompress(&signature.0))
        else {
            return false;
        };
        let verdict = signature.verify(
            true,
            message,
            label::COIN_POINT.as_bytes(),
            &[],
            &key,
            false,
        );
        verdict == BLST_ERROR::BLST_SUCCESS
    }

    /// The key as a point of the group that is not infinity.
    fn decode(&self) -> Option<PublicKey> {
        let key = PublicKey::uncompress(&self.0).ok()?;
        key.validate().ok()?;
        Some(key)
    }
}

impl BlindingFactor {
    /// The factor that KeyGen makes from a 32-byte seed.
    pub fn from_seed(seed: &Secret<32>) -> Self {
        Self(scalar_from_seed(seed, label::BLINDING_FACTOR))
    }
}

/// Hides a message behind a factor.
pub fn blind(message: &[u8], factor: &BlindingFactor) -> BlindedMessage {
    BlindedMessage(coin_point(message).multiply(&factor.0).encode())
}

/// Takes the factor off the issuer's answer and verifies the result.
///
/// # Errors
/// [`BlindError::BlindSignature`] if the answer is not a point of the group, [`BlindError::NotBySigner`] if the result is
/// not a signature by `key` on `message`. Both are the issuer's fault.
pub fn unblind(
    message: &[u8],
    factor: &BlindingFactor,
    signature: &BlindSignature,
    key: &IssuerPublicKey,
) -> Result<CoinSignature, BlindError> {
    let unblinded = unblind_unchecked(factor, signature)?;
    if key.verify(message, &unblinded) {
        Ok(unblinded)
    } else {
        Err(BlindError::NotBySigner)
    }
}

/// Takes the factor off without verifying: for callers that verify many with [`verify_batch`].
///
/// # Errors
/// [`BlindError::BlindSignature`] if the answer is not a point of the group.
pub fn unblind_unchecked(
    factor: &BlindingFactor,
    signature: &BlindSignature,
) -> Result<CoinSignature, BlindError> {
    let point = Point::decode(&signature.0).ok_or(BlindError::BlindSignature)?;
    let inverse = point::inverse(&factor.0);
    let inverse: &SecretKey = (&inverse)
        .try_into()
        .expect("the inverse of a non-zero scalar is a non-zero scalar");
    Ok(CoinSignature(point.multiply(inverse).encode()))
}

fn coin_point(message: &[u8]) -> Point {
    Point::hash(message, label::COIN_POINT.as_bytes())
}

fn scalar_from_seed(seed: &Secret<32>, purpose: label::Label) -> SecretKey {
    SecretKey::key_gen(seed.expose(), purpose.as_bytes())
        .expect("KeyGen takes every seed of 32 bytes")
}

#[cfg(test)]
mod tests;
