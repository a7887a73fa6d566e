//! Secret bytes that leave memory when they are dropped.

use core::fmt;
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes: zeroed on drop, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes the bytes over.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves: whoever calls this answers for where they go.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Copies a slice of exactly `N` bytes, `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// `N` fresh bytes from the caller's generator.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self([0; N]);
        rng.fill_bytes(&mut secret.0);
        secret
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret<{N}>(..)")
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        equal_in_constant_time(&self.0, &other.0)
    }
}

impl<const N: usize> Eq for Secret<N> {}

/// Whether two slices are equal, in a time that depends on their lengths only.
pub(crate) fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_type_and_nothing_of_the_bytes() {
        assert_eq!(format!("{:?}", Secret::new([0xab; 32])), "Secret<32>(..)");
    }

    #[test]
    fn secrets_are_equal_only_with_equal_bytes() {
        let mut other = [7; 16];
        assert_eq!(Secret::new([7; 16]), Secret::new(other));
        other[15] = 8;
        assert_ne!(Secret::new([7; 16]), Secret::new(other));
    }

    #[test]
    fn a_slice_of_another_length_is_no_secret() {
        assert!(Secret::<16>::from_slice(&[0; 15]).is_none());
        assert!(Secret::<16>::from_slice(&[0; 17]).is_none());
        assert_eq!(
            Secret::<16>::from_slice(&[3; 16]),
            Some(Secret::new([3; 16]))
        );
    }
}
