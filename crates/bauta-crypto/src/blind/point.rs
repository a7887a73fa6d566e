//! Points of G1 and the four foreign functions that `blst` does not wrap.
//!
//! The only unsafe code of the workspace: every pointer below comes from a live reference or slice whose length goes with
//! it, and every output is a value that was initialised before.

#![expect(
    unsafe_code,
    reason = "blst multiplies a point by a scalar through its foreign interface only"
)]

use blst::min_sig::{AggregateSignature, SecretKey, Signature};
use blst::{blst_p1, blst_p2_affine, blst_scalar};

/// Bytes of a compressed point of G1.
pub(super) const POINT_BYTES: usize = 48;

/// A point of the prime-order group G1.
#[derive(Clone, Copy)]
pub(super) struct Point(blst_p1);

impl Point {
    /// Hashes a message to a point: RFC 9380, suite `BLS12381G1_XMD:SHA-256_SSWU_RO_`.
    pub(super) fn hash(message: &[u8], domain: &[u8]) -> Self {
        let mut point = blst_p1::default();
        // SAFETY: each pointer is that of a live slice of the length given with it, no augmentation is given, and the
        // output is an initialised value that nothing else refers to.
        unsafe {
            blst::blst_hash_to_g1(
                &raw mut point,
                message.as_ptr(),
                message.len(),
                domain.as_ptr(),
                domain.len(),
                core::ptr::null(),
                0,
            );
        }
        Self(point)
    }

    /// Reads a compressed point: canonical, on the curve, of the prime-order group and not infinity.
    pub(super) fn decode(bytes: &[u8; POINT_BYTES]) -> Option<Self> {
        let point = Signature::uncompress(bytes).ok()?;
        point.validate(true).ok()?;
        Some(Self(AggregateSignature::from_signature(&point).into()))
    }

    /// The compressed form.
    pub(super) fn encode(&self) -> [u8; POINT_BYTES] {
        Signature::from_aggregate(&AggregateSignature::from(self.0)).compress()
    }

    /// The point times a secret scalar, in constant time.
    pub(super) fn multiply(&self, scalar: &SecretKey) -> Self {
        let mut product = blst_p1::default();
        let scalar: &blst_scalar = scalar.into();
        // SAFETY: both inputs are live references to values of their own types, the output is an initialised value that
        // nothing else refers to. The point is of G1 by construction, as the function's endomorphism needs.
        unsafe { blst::blst_sign_pk_in_g2(&raw mut product, &raw const self.0, scalar) };
        Self(product)
    }

    /// The point in blst's projective form.
    pub(super) const fn as_projective(&self) -> blst_p1 {
        self.0
    }
}

/// The inverse of a non-zero scalar modulo the group's order, in constant time.
pub(super) fn inverse(scalar: &SecretKey) -> blst_scalar {
    let mut inverse = blst_scalar::default();
    let scalar: &blst_scalar = scalar.into();
    // SAFETY: the input is a live reference, the output an initialised value that nothing else refers to.
    unsafe { blst::blst_sk_inverse(&raw mut inverse, scalar) };
    inverse
}

/// The generator of G2, under which public keys are made.
pub(super) fn key_generator() -> blst_p2_affine {
    // SAFETY: the function returns the address of a constant of the library.
    unsafe { *blst::blst_p2_affine_generator() }
}
