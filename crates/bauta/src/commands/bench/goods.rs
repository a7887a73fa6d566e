//! Goods: how fast one core encrypts and opens them in memory; then how fast one is sold and bought.

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use bauta_crypto::{
    content::{self, ContentKey},
    hash::ContentHasher,
};

use super::{
    Plan,
    floor::thread_time,
    row::{Row, Rows},
    sale,
};
use crate::failure::{Failure, Outcome};

/// Bytes of a megabyte, as speeds are told.
pub const MEGABYTE: f64 = 1e6;
/// How much is worked on in memory, again and again.
const BLOCK_BYTES: usize = 64 * 1024 * 1024;
/// The key of the measurement.
const KEY: [u8; content::KEY_BYTES] = [7; content::KEY_BYTES];

/// Measures goods.
pub fn measure(plan: &Plan, rows: &mut Rows<'_>) -> Outcome {
    rows.say("goods: encrypting in memory");
    let encrypted = on_one_core(plan.limit, encrypt)?;
    let row = Row::alone(
        "encrypt and hash, MB",
        encrypted.per_second(),
        encrypted.cpu_us(),
    );
    rows.add(row.wanted("1000/s a core"))?;
    let sealed = sealed()?;
    let opened = on_one_core(plan.limit, || open(&sealed))?;
    let row = Row::alone(
        "hash, decrypt and hash, MB",
        opened.per_second(),
        opened.cpu_us(),
    );
    rows.add(row)?;
    let floors = (encrypted.cpu_us(), opened.cpu_us());
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(sale::measure(plan, rows, floors))
}

/// What one core did.
struct OneCore {
    megabytes: f64,
    elapsed: Duration,
    cpu: Duration,
}

impl OneCore {
    fn per_second(&self) -> f64 {
        self.megabytes / self.elapsed.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.megabytes
    }
}

/// Repeats `work` over a block of memory for `limit` in a pool of one thread.
fn on_one_core(limit: Duration, work: impl Fn() -> Outcome + Send + Sync) -> Outcome<OneCore> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| Failure::from_error(&error))?;
    pool.install(|| {
        let (started, before) = (Instant::now(), thread_time());
        let mut blocks = 0_u32;
        while started.elapsed() < limit {
            work()?;
            blocks += 1;
        }
        let elapsed = started.elapsed();
        let cpu = thread_time()
            .zip(before)
            .map(|(after, before)| after - before);
        Ok(OneCore {
            megabytes: f64::from(blocks) * BLOCK_BYTES as f64 / MEGABYTE,
            elapsed,
            cpu: cpu.unwrap_or(elapsed),
        })
    })
}

/// A shop's work on a good, without its disk.
fn encrypt() -> Outcome {
    let mut plain = io::repeat(1).take(BLOCK_BYTES as u64);
    let (key, salt) = (ContentKey::new(KEY), [3; content::SALT_BYTES]);
    content::encrypt(&mut plain, &mut io::sink(), &key, salt, &[], &mut |_| {})
        .map_err(|error| Failure::from_error(&error))?;
    Ok(())
}

fn sealed() -> Outcome<Vec<u8>> {
    let mut sealed = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 512);
    let mut plain = io::repeat(1).take(BLOCK_BYTES as u64);
    let (key, salt) = (ContentKey::new(KEY), [3; content::SALT_BYTES]);
    content::encrypt(&mut plain, &mut sealed, &key, salt, &[], &mut |_| {})
        .map_err(|error| Failure::from_error(&error))?;
    Ok(sealed)
}

/// A customer's work on a good, without disk and network.
fn open(sealed: &[u8]) -> Outcome {
    let mut hasher = ContentHasher::new();
    for piece in sealed.chunks(1024 * 1024) {
        hasher.update(piece);
    }
    std::hint::black_box(hasher.finalize());
    let (mut sealed, key) = (sealed, ContentKey::new(KEY));
    content::decrypt(&mut sealed, &mut io::sink(), &key, &[], &mut |_| {})
        .map_err(|error| Failure::from_error(&error))?;
    Ok(())
}
