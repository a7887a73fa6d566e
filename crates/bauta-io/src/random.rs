//! The operating system's randomness.

use std::convert::Infallible;

use getrandom::SysRng;
use rand_core::{TryCryptoRng, TryRng, UnwrapErr};

/// Random bytes of the operating system, as the trait that the protocol takes
/// ([`rand_core::CryptoRng`]). It keeps no state: it cannot be forked or run out.
///
/// # Panics
/// Drawing panics when the system has no source of randomness at all; no secret could be made then.
#[derive(Clone, Copy, Debug)]
pub struct SystemRng(UnwrapErr<SysRng>);

impl SystemRng {
    /// The system's source.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnwrapErr(SysRng))
    }
}

impl Default for SystemRng {
    fn default() -> Self {
        Self::new()
    }
}

impl TryRng for SystemRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for SystemRng {}

#[cfg(test)]
mod tests {
    use rand_core::{CryptoRng, Rng};

    use super::*;

    fn draw(rng: &mut impl CryptoRng) -> [u8; 32] {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    }

    #[test]
    fn two_draws_differ_and_fill_the_whole_buffer() {
        let (one, two) = (draw(&mut SystemRng::new()), draw(&mut SystemRng::new()));
        assert_ne!(one, two);
        assert!(one.iter().filter(|byte| **byte == 0).count() < 8);
        assert_ne!(SystemRng::new().next_u64(), SystemRng::new().next_u64());
    }
}
