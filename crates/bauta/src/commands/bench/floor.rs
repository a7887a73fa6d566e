//! The floor: what the cryptography of an operation costs by itself, on one core of this machine, now.

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use bauta_crypto::{
    blind::{self, BlindSignature, BlindedMessage, BlindingFactor, CoinSignature, IssuerKey},
    secret::Secret,
    sign::{Signature, SigningKey},
};

use crate::failure::{Failure, Outcome};

/// How long one primitive is repeated.
const TIME_EACH: Duration = Duration::from_millis(300);
/// Rounds within that time; their median counts.
const ROUNDS: u32 = 15;
/// A message as long as what is signed most: the statement of a spend.
const MESSAGE: [u8; 76] = [7; 76];

/// Microseconds of one core for one call of each primitive.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// An Ed25519 signature.
    pub sign: f64,
    /// The strict check of one.
    pub verify: f64,
    /// A blind signature.
    pub blind_sign: f64,
    /// The issuer's check of a coin.
    pub coin_check: f64,
}

impl Floor {
    /// Measures all of them; takes about a second.
    pub fn measure() -> Outcome<Self> {
        let key = SigningKey::from_seed(&Secret::new([1; 32]));
        let public = key.verifying_key();
        let signature: Signature = key.sign(1, &MESSAGE);
        let issuer = IssuerKey::from_seed(&Secret::new([2; 32]));
        let factor = BlindingFactor::from_seed(&Secret::new([3; 32]));
        let blinded: BlindedMessage = blind::blind(&MESSAGE, &factor);
        let failed = |_| Failure::local("the cryptography fails on this machine");
        let signed: BlindSignature = issuer.sign(&blinded).map_err(failed)?;
        let coin: CoinSignature = blind::unblind_unchecked(&factor, &signed).map_err(failed)?;
        if public.verify(1, &MESSAGE, &signature).is_err() || !issuer.verify(&MESSAGE, &coin) {
            return Err(Failure::local("the cryptography fails on this machine"));
        }
        Ok(Self {
            sign: cost_us(|| key.sign(1, black_box(&MESSAGE))),
            verify: cost_us(|| public.verify(1, black_box(&MESSAGE), &signature)),
            blind_sign: cost_us(|| issuer.sign(black_box(&blinded))),
            coin_check: cost_us(|| issuer.verify(black_box(&MESSAGE), &coin)),
        })
    }
}

/// The median processor time of one call.
pub fn cost_us<R>(mut call: impl FnMut() -> R) -> f64 {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (wall, before) = (Instant::now(), thread_time());
        let mut calls = 0_u32;
        while wall.elapsed() < TIME_EACH / ROUNDS {
            black_box(call());
            calls += 1;
        }
        let spent = match (before, thread_time()) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => wall.elapsed(),
        };
        rounds.push(spent.as_secs_f64() * 1e6 / f64::from(calls));
    }
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// Time that this thread has had a core, so that others who use the machine do not count.
pub fn thread_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
