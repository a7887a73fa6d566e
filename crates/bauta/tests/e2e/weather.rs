//! What can happen to a request on its way, chosen at random from a seed.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::Duration,
};

use fastrand::Rng;

use crate::http;

/// Longest delay of a request that is delayed or comes late.
pub(crate) const DELAY_MAX: Duration = Duration::from_millis(2_500);
/// Into how many pieces a slow body is cut.
const PIECES: usize = 6;

/// One kind of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nothing of this kind gets through for a while.
    CutOff,
    /// The connection ends at once.
    Refused,
    /// The request is lost.
    RequestLost,
    /// The request is done, and its answer is lost.
    AnswerLost,
    /// The request is given up on and arrives nevertheless, later.
    Late,
    /// The request arrives a second time after its answer.
    Repeated,
    /// The request arrives twice at once.
    Doubled,
    /// The request waits on its way.
    Delayed,
    /// Request and answer come in small pieces.
    Slow,
    /// A part of the request arrives.
    RequestCut,
    /// A part of the answer arrives.
    AnswerCut,
    /// Nothing is heard for a while, then the connection ends.
    Silent,
}

impl Fault {
    /// What happens to single requests by chance.
    const BY_CHANCE: [Self; 11] = [
        Self::Refused,
        Self::RequestLost,
        Self::AnswerLost,
        Self::Late,
        Self::Repeated,
        Self::Doubled,
        Self::Delayed,
        Self::Slow,
        Self::RequestCut,
        Self::AnswerCut,
        Self::Silent,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CutOff => "cut off",
            Self::Refused => "refused",
            Self::RequestLost => "request lost",
            Self::AnswerLost => "answer lost",
            Self::Late => "late",
            Self::Repeated => "repeated",
            Self::Doubled => "doubled",
            Self::Delayed => "delayed",
            Self::Slow => "slow",
            Self::RequestCut => "request cut",
            Self::AnswerCut => "answer cut",
            Self::Silent => "silent",
        }
    }
}

/// How bad it is on one way. The default is fair: nothing happens.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    /// How many of a thousand requests are harmed.
    permille: u32,
    /// Longest time that any request takes on its way.
    latency_max: Duration,
    /// Beginnings of paths to which nothing gets through.
    closed: &'static [&'static str],
    rng: Rng,
    /// What has happened.
    pub(crate) harms: BTreeMap<Fault, u64>,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harm {
    pub(crate) fault: Fault,
    delay: Duration,
    /// Where a cut is made, from 0 to 1.
    share: f64,
}

impl Weather {
    /// `permille` of all requests are harmed, and all are slow; the same `seed` chooses the same harms in the same order.
    pub(crate) fn bad(permille: u32, latency_max: Duration, seed: u64) -> Self {
        Self {
            permille,
            latency_max,
            rng: Rng::with_seed(seed),
            ..Self::default()
        }
    }

    /// How long the next request is on its way.
    pub(crate) fn latency(&mut self) -> Duration {
        self.latency_max.mul_f64(self.rng.f64())
    }

    /// From now on nothing gets through to paths that begin so.
    pub(crate) fn close(&mut self, paths: &'static [&'static str]) {
        self.closed = paths;
    }

    /// What happens to the next request, which is to this path.
    pub(crate) fn next(&mut self, path: &str) -> Option<Harm> {
        if self.permille == 0 && self.closed.is_empty() {
            return None;
        }
        let is_harmed = self.rng.u32(0..1_000) < self.permille;
        let mut harm = Harm {
            fault: self.rng.choice(Fault::BY_CHANCE).expect("there are some"),
            delay: DELAY_MAX.mul_f64(self.rng.f64().powi(2)),
            share: self.rng.f64(),
        };
        if self.closed.iter().any(|closed| path.starts_with(closed)) {
            harm.fault = Fault::CutOff;
        } else if !is_harmed {
            return None;
        }
        *self.harms.entry(harm.fault).or_default() += 1;
        Some(harm)
    }
}

impl Harm {
    /// Passes the bytes of `request` on to the port `upstream`, or not, and the answer back to `caller`, or not.
    pub(crate) fn befall(
        self,
        request: &[u8],
        mut caller: TcpStream,
        upstream: u16,
    ) -> io::Result<()> {
        match self.fault {
            Fault::CutOff | Fault::Refused | Fault::RequestLost => Ok(()),
            Fault::AnswerLost => http::exchange(upstream, request).map(|_lost| ()),
            Fault::Late => {
                drop(caller);
                thread::sleep(self.delay);
                http::exchange(upstream, request).map(|_unheard| ())
            }
            Fault::Repeated => {
                let first = http::exchange(upstream, request)?;
                let again = http::exchange(upstream, request);
                caller.write_all(&again.unwrap_or(first).bytes())
            }
            Fault::Doubled => thread::scope(|scope| {
                let other = scope.spawn(|| http::exchange(upstream, request));
                let answer = http::exchange(upstream, request);
                drop(other.join());
                caller.write_all(&answer?.bytes())
            }),
            Fault::Delayed => {
                thread::sleep(self.delay);
                caller.write_all(&http::exchange(upstream, request)?.bytes())
            }
            Fault::Slow => {
                let mut callee = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
                self.trickle(request, &mut callee)?;
                let answer = http::answer_of(&mut callee)?;
                self.trickle(&answer.bytes(), &mut caller)
            }
            Fault::RequestCut => {
                let mut callee = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
                callee.write_all(self.part_of(request))
            }
            Fault::AnswerCut => {
                let answer = http::exchange(upstream, request)?.bytes();
                caller.write_all(self.part_of(&answer))
            }
            Fault::Silent => {
                thread::sleep(self.delay);
                Ok(())
            }
        }
    }

    fn part_of(self, whole: &[u8]) -> &[u8] {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length is a length"
        )]
        let length = (whole.len() as f64 * self.share) as usize;
        &whole[..length.min(whole.len())]
    }

    /// Sends bytes in pieces, with pauses between them.
    fn trickle(self, whole: &[u8], to: &mut TcpStream) -> io::Result<()> {
        let pause = self.delay / 2 / PIECES as u32;
        for piece in whole.chunks(whole.len().div_ceil(PIECES).max(1)) {
            to.write_all(piece)?;
            thread::sleep(pause);
        }
        Ok(())
    }
}
