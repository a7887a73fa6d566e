//! The one source of chance in a world.

use std::{
    convert::Infallible,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand_core::{TryCryptoRng, TryRng};

/// Everything that happens by chance comes from a seed through this. Nothing here is secret: it must never leave the
/// simulator. The generator is `SplitMix64`.
///
/// Clones go on from the same place and share it.
#[derive(Clone, Debug)]
pub struct Chance(Arc<Mutex<u64>>);

impl Chance {
    /// The chance of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// A source of its own for one purpose: what is drawn from it changes nothing for others.
    #[must_use]
    pub fn branch(&self, purpose: &str) -> Self {
        let mut seed = self.next();
        for byte in purpose.bytes() {
            seed = (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self::new(seed)
    }

    /// A number.
    #[must_use]
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in the range, its first if it is empty.
    #[must_use]
    pub fn among(&self, range: Range<u64>) -> u64 {
        let width = range.end.saturating_sub(range.start).max(1);
        range.start + self.next() % width
    }

    /// One of several things.
    ///
    /// # Panics
    /// Panics if there is none.
    #[must_use]
    pub fn one_of<'a, T>(&self, things: &'a [T]) -> &'a T {
        let index = self.among(0..things.len() as u64);
        &things[usize::try_from(index).expect("an index")]
    }

    /// Whether something happens that happens so many times in a thousand.
    #[must_use]
    pub fn happens(&self, permille: u64) -> bool {
        self.among(0..1_000) < permille
    }

    /// A span of milliseconds.
    #[must_use]
    pub fn milliseconds(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.among(range))
    }
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Chance {}
