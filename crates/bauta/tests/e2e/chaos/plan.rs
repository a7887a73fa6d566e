//! What is chosen at random for a round: the same seed and number, the same choices.

use std::{ops::Range, time::Duration};

use fastrand::Rng;

use crate::town::{ARCHIVE, BANK, MERCHANT};

/// Wallets of a town.
pub(super) const CUSTOMERS: usize = 4;
/// Witnesses of a town's logs.
pub(super) const WITNESSES: usize = 4;
/// Archives of a town that has several; the word of [`LOGS_NEEDED`] of them is needed.
pub(super) const ARCHIVES_MAX: usize = 3;
/// A majority of them.
pub(super) const LOGS_NEEDED: usize = 2;
/// Goods that are new in each round.
const GOODS: usize = 3;

/// Which roles a town has: bank, archive, a shop, witnesses, further archives, another shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    archives: usize,
}

impl Places {
    /// One archive, or [`ARCHIVES_MAX`].
    pub(super) fn new(archives: usize) -> Self {
        assert!([1, ARCHIVES_MAX].contains(&archives), "{archives} archives");
        Self { archives }
    }

    /// What a town is that begins with this round: mostly of one archive.
    pub(super) fn by_chance(seed: u64, round: u64) -> Self {
        let several = chance(&mut rng(seed, round), 3);
        Self::new(if several { ARCHIVES_MAX } else { 1 })
    }

    pub(super) const fn further_archives(self) -> usize {
        self.archives - 1
    }

    /// How many roles there are.
    pub(super) const fn roles(self) -> usize {
        self.shops()[1] + 1
    }

    /// The shops' numbers among the roles.
    pub(super) const fn shops(self) -> [usize; 2] {
        [MERCHANT, MERCHANT + WITNESSES + self.archives]
    }

    /// The archives' numbers among the roles.
    pub(super) fn archives(self) -> Vec<usize> {
        let further = MERCHANT + WITNESSES + 1..self.shops()[1];
        std::iter::once(ARCHIVE).chain(further).collect()
    }
}

/// Everything that a round does by chance.
#[derive(Debug)]
pub(super) struct RoundPlan {
    pub(super) round: u64,
    pub(super) goods: Vec<GoodPlan>,
    /// For each role, what happens to requests to it.
    pub(super) weather: Vec<WeatherPlan>,
    pub(super) blows: Vec<Blow>,
    /// For each customer, what it does.
    pub(super) errands: Vec<Vec<Errand>>,
    /// Who makes its wallet again from its words after the round.
    pub(super) restoring: Option<usize>,
}

/// Something for sale.
#[derive(Debug)]
pub(super) struct GoodPlan {
    pub(super) shop: usize,
    pub(super) bytes: usize,
    pub(super) price_minor_units: u64,
    /// Of the content.
    pub(super) seed: u64,
}

/// What is chosen of a [`Weather`](crate::weather::Weather).
#[derive(Clone, Copy, Debug)]
pub(super) struct WeatherPlan {
    pub(super) permille: u32,
    pub(super) latency_max: Duration,
    pub(super) seed: u64,
}

/// Something that is done to the roles.
#[derive(Debug)]
pub(super) struct Blow {
    /// After the blow before it.
    pub(super) after: Duration,
    pub(super) kind: BlowKind,
    pub(super) roles: Vec<usize>,
    /// How long it lasts.
    pub(super) span: Duration,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BlowKind {
    /// SIGKILL, and a start afterwards.
    Kill,
    /// SIGTERM, and SIGKILL when it is not obeyed; a start afterwards.
    Stop,
    /// SIGSTOP, and SIGCONT afterwards.
    Freeze,
    /// Nothing reaches the roles.
    CutOff,
    /// No shop reaches log or bank.
    ShopsCutOff,
    /// No customer reaches a shop with a lock in hand.
    LocksCutOff,
}

impl BlowKind {
    pub(super) const ALL: [Self; 6] = [
        Self::Kill,
        Self::Stop,
        Self::Freeze,
        Self::CutOff,
        Self::ShopsCutOff,
        Self::LocksCutOff,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "killed (SIGKILL)",
            Self::Stop => "stopped (SIGTERM)",
            Self::Freeze => "frozen (SIGSTOP)",
            Self::CutOff => "cut off from everybody",
            Self::ShopsCutOff => "cut off from shops",
            Self::LocksCutOff => "cut off from customers with locks",
        }
    }

    /// The beginnings of the paths that are cut off.
    pub(super) const fn closed_paths(self) -> &'static [&'static str] {
        match self {
            Self::Kill | Self::Stop | Self::Freeze => &[],
            Self::CutOff => &["/"],
            Self::ShopsCutOff => &["/v1/leaf", "/v1/capture", "/v1/release", "/v1/claim"],
            Self::LocksCutOff => &["/v1/accept"],
        }
    }

    /// Which roles it can be done to.
    fn victims(self, places: Places) -> Vec<usize> {
        match self {
            Self::ShopsCutOff => [vec![BANK], places.archives()].concat(),
            Self::LocksCutOff => places.shops().to_vec(),
            _ => (0..places.roles()).collect(),
        }
    }
}

/// Something that a customer does.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) kind: ErrandKind,
    /// When the wallet's process is killed, if it runs that long.
    pub(super) killed_after: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) enum ErrandKind {
    Buy {
        good: usize,
        is_safe: bool,
        from_account: bool,
        lock_for_s: u32,
    },
    /// Wants the latest purchase back.
    Cancel,
    Withdraw {
        minor_units: u64,
    },
    Resume,
    /// The folder is lost; the words remain.
    Lose,
}

impl RoundPlan {
    pub(super) fn new(seed: u64, round: u64, places: Places) -> Self {
        let rng = &mut rng(seed, round);
        let is_long = rng.u32(..5) < 2;
        let blows = 0..rng.usize(4..11);
        let mut blows: Vec<Blow> = blows.map(|_| blow(rng, places)).collect();
        if is_long {
            blows.insert(rng.usize(..=blows.len() / 2), outage(rng, places));
        }
        Self {
            round,
            goods: (0..GOODS).map(|_| good(rng, places)).collect(),
            weather: (0..places.roles()).map(|_| weather(rng)).collect(),
            blows,
            errands: errands(rng, if is_long { 6..8 } else { 6..14 }),
            restoring: chance(rng, 8).then(|| rng.usize(..CUSTOMERS)),
        }
    }
}

/// What decides everything about a round.
fn rng(seed: u64, round: u64) -> Rng {
    Rng::with_seed(seed.wrapping_add(round.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

fn good(rng: &mut Rng, places: Places) -> GoodPlan {
    // Around the borders of the format's records of 16 KiB, and more than one read of a socket.
    let sizes = [0, 1, 16_383, 16_384, 16_385, 100_000, 400_000, 1_500_000];
    GoodPlan {
        shop: rng.choice(places.shops()).expect("there are some"),
        bytes: rng.choice(sizes).expect("there are some"),
        price_minor_units: rng.u64(1..500),
        seed: rng.u64(..),
    }
}

/// A request takes longer than a role needs for it, so that blows fall in the middle of purchases.
fn weather(rng: &mut Rng) -> WeatherPlan {
    WeatherPlan {
        permille: rng.u32(0..350),
        latency_max: span(rng, 0, 600),
        seed: rng.u64(..),
    }
}

fn blow(rng: &mut Rng, places: Places) -> Blow {
    let kinds = [
        (50, BlowKind::Kill),
        (10, BlowKind::Stop),
        (15, BlowKind::Freeze),
        (10, BlowKind::CutOff),
        (5, BlowKind::ShopsCutOff),
        (10, BlowKind::LocksCutOff),
    ];
    let kind = weighed(rng, &kinds);
    Blow {
        after: span(rng, 20, 1_200),
        kind,
        roles: victims(rng, kind.victims(places), 3),
        span: span(rng, 0, 1_500),
    }
}

/// Something lasts for longer than a lock: money comes back.
fn outage(rng: &mut Rng, places: Places) -> Blow {
    let kinds = [
        (2, BlowKind::Kill),
        (1, BlowKind::Freeze),
        (2, BlowKind::CutOff),
        (3, BlowKind::ShopsCutOff),
        (5, BlowKind::LocksCutOff),
    ];
    let kind = weighed(rng, &kinds);
    Blow {
        after: span(rng, 20, 600),
        kind,
        roles: victims(rng, kind.victims(places), 2),
        span: span(rng, 7_000, 12_000),
    }
}

/// One role, or one time in `several_of` any number of them.
fn victims(rng: &mut Rng, mut roles: Vec<usize>, several_of: u32) -> Vec<usize> {
    rng.shuffle(&mut roles);
    let several = rng.usize(1..=roles.len());
    roles.truncate(if chance(rng, several_of) { several } else { 1 });
    roles
}

fn errands(rng: &mut Rng, lock_for_s: Range<u32>) -> Vec<Vec<Errand>> {
    let loser = chance(rng, 10).then(|| rng.usize(..CUSTOMERS));
    let customers = (0..CUSTOMERS).map(|customer| {
        let mut errands: Vec<Errand> = (0..rng.usize(2..5))
            .flat_map(|_| errand(rng, &lock_for_s))
            .collect();
        if loser == Some(customer) {
            let place = rng.usize(1..=errands.len());
            let lose = Errand {
                kind: ErrandKind::Lose,
                killed_after: None,
            };
            errands.insert(place, lose);
        }
        errands
    });
    customers.collect()
}

/// Something, and after a kill an impatient resume or two, or second thoughts.
fn errand(rng: &mut Rng, lock_for_s: &Range<u32>) -> Vec<Errand> {
    let is_safe = chance(rng, 2);
    let buy = ErrandKind::Buy {
        good: rng.usize(..GOODS),
        is_safe,
        from_account: chance(rng, 3),
        lock_for_s: rng.u32(lock_for_s.clone()),
    };
    let withdraw = ErrandKind::Withdraw {
        minor_units: rng.u64(1..800),
    };
    // Whoever did not choose mode SAFE hears that it is too late, or ends what is not paid.
    let has_second_thoughts = chance(rng, if is_safe { 2 } else { 8 });
    let killed_after = if has_second_thoughts {
        // Long enough to have locked money, at a shop that may be out of reach.
        Some(span(rng, 300, 4_000))
    } else {
        (!chance(rng, 3)).then(|| span(rng, 1, 2_500))
    };
    let then = match killed_after {
        _ if has_second_thoughts => vec![ErrandKind::Cancel],
        Some(_) => vec![ErrandKind::Resume; rng.usize(0..3)],
        None => Vec::new(),
    };
    let first = Errand {
        kind: if chance(rng, 5) { withdraw } else { buy },
        killed_after,
    };
    let then = then.into_iter().map(|kind| Errand {
        kind,
        killed_after: (!chance(rng, 3)).then(|| span(rng, 1, 1_500)),
    });
    std::iter::once(first).chain(then).collect()
}

/// One time in `of`.
fn chance(rng: &mut Rng, of: u32) -> bool {
    rng.u32(..of) == 0
}

/// Short spans more often than long ones: most of a purchase happens in its first moments.
fn span(rng: &mut Rng, least_ms: u64, most_ms: u64) -> Duration {
    let least = Duration::from_millis(least_ms);
    least + Duration::from_millis(most_ms - least_ms).mul_f64(rng.f64().powi(2))
}

fn weighed<T: Copy>(rng: &mut Rng, choices: &[(u32, T)]) -> T {
    let whole: u32 = choices.iter().map(|(weight, _)| weight).sum();
    let mut place = rng.u32(..whole);
    for (weight, choice) in choices {
        if place < *weight {
            return *choice;
        }
        place -= weight;
    }
    unreachable!("the weights add up to the whole")
}
