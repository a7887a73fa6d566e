//! What a world is made of and what goes wrong in it: all of it follows from the seed.

use std::time::Duration;

use crate::{disk::CrashPoint, node::NodeId, random::Chance};

/// What a world is made of and what goes wrong in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// From which everything else that is left to chance follows.
    pub seed: u64,
    /// How many banks there are.
    pub banks: u8,
    /// How many witnesses cosign the log, of which all but one are a quorum; with none the log cosigns itself.
    pub witnesses: u8,
    /// How many merchants there are.
    pub merchants: u8,
    /// How many customers there are.
    pub wallets: u8,
    /// What every customer does on its own account, one after the other.
    pub errands: Errands,
    /// What goes wrong.
    pub faults: Faults,
    /// The one node that crashes at one exact point, if any.
    pub crash_at: Option<(NodeId, CrashPoint)>,
    /// For how long things go wrong; then all is mended, and everybody has to come to an end.
    pub trouble: Duration,
    /// Whether what happens is told in words.
    pub with_story: bool,
}

/// What customers do.
#[derive(Clone, Debug)]
pub enum Errands {
    /// Whatever the seed says.
    ByChance,
    /// Every customer the same.
    Fixed(Vec<Errand>),
}

/// One thing that a customer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Takes coins out of its account, of so many minor units altogether.
    Withdraw(u64),
    /// Buys a good.
    Buy {
        /// Which merchant's, by number.
        merchant: u8,
        /// Whether the account pays, by name, instead of coins.
        from_account: bool,
        /// Whether it can be cancelled until the merchant has prepared (mode SAFE).
        is_safe: bool,
        /// Whether the owner changes its mind when patience is over.
        is_cancelled: bool,
    },
    /// Exchanges coins that age.
    Refresh,
    /// Loses the device, and goes on with the words on another one.
    Restore,
    /// Does nothing for so many milliseconds.
    Wait(u64),
}

/// What goes wrong, each so many times in a thousand messages unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Requests that never arrive.
    pub request_lost: u64,
    /// Answers that never arrive, though everything was done.
    pub answer_lost: u64,
    /// Requests that arrive a second time, up to a minute later.
    pub doubled: u64,
    /// Requests whose handling is broken off when the caller goes away.
    pub broken_off: u64,
    /// Answers that end before their end.
    pub cut_short: u64,
    /// Messages that take seconds.
    pub slow: u64,
    /// Longest way of a message that is not slow, in milliseconds.
    pub delay_ms: u64,
    /// Crashes at a moment that the seed says.
    pub crashes: u64,
    /// Crashes in the middle of an operation of the disk that the seed says.
    pub disk_crashes: u64,
    /// Times at which a way between two nodes is cut, in one direction or both.
    pub cuts: u64,
    /// Times at which a disk is full for a while.
    pub full_disks: u64,
    /// Times at which an old copy of the archive's records is put back.
    pub old_copies: u64,
    /// How far clocks are wrong at most, in milliseconds.
    pub skew_ms: u64,
    /// Times at which a clock jumps, within `skew_ms`.
    pub clock_jumps: u64,
    /// Answers behind which one of the two goes down, or a way of theirs is cut.
    pub ambushes: u64,
    /// Times at which a customer's or a merchant's clock is wrong by hours for a while.
    pub wrong_clocks: u64,
}

impl Faults {
    /// Nothing goes wrong; messages take a few milliseconds.
    pub const NONE: Self = Self {
        request_lost: 0,
        answer_lost: 0,
        doubled: 0,
        broken_off: 0,
        cut_short: 0,
        slow: 0,
        delay_ms: 20,
        crashes: 0,
        disk_crashes: 0,
        cuts: 0,
        full_disks: 0,
        old_copies: 0,
        skew_ms: 0,
        clock_jumps: 0,
        wrong_clocks: 0,
        ambushes: 0,
    };

    /// A mixture that the seed chooses: some worlds know one kind of trouble only, some know all.
    fn by_chance(chance: &Chance) -> Self {
        let some = |most: u64| {
            if chance.happens(500) {
                chance.among(0..most + 1)
            } else {
                0
            }
        };
        Self {
            request_lost: some(150),
            answer_lost: some(150),
            doubled: some(200),
            broken_off: some(500),
            cut_short: some(100),
            slow: some(60),
            delay_ms: chance.among(1..100),
            crashes: some(6),
            disk_crashes: some(8),
            cuts: some(6),
            full_disks: some(3),
            old_copies: u64::from(chance.happens(80)),
            skew_ms: some(14_000),
            clock_jumps: some(3),
            ambushes: some(60),
            wrong_clocks: u64::from(chance.happens(120)),
        }
    }
}

impl Plan {
    /// The world of this seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let chance = Chance::new(seed ^ 0x9a1a_5eed);
        Self {
            seed,
            banks: if chance.happens(250) { 2 } else { 1 },
            witnesses: *chance.one_of(&[0, 0, 1, 3]),
            merchants: if chance.happens(300) { 2 } else { 1 },
            wallets: u8::try_from(1 + chance.among(0..5).saturating_sub(2)).unwrap_or(1),
            errands: Errands::ByChance,
            faults: Faults::by_chance(&chance),
            crash_at: None,
            trouble: Duration::from_secs(chance.among(10..70)),
            with_story: false,
        }
    }

    /// One bank, one merchant and one customer, who buys one good; nothing goes wrong.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        Self {
            seed,
            banks: 1,
            witnesses: 0,
            merchants: 1,
            wallets: 1,
            errands: Errands::Fixed(vec![Errand::Withdraw(12), Errand::buy(0)]),
            faults: Faults::NONE,
            crash_at: None,
            trouble: Duration::from_secs(1),
            with_story: false,
        }
    }

    /// The same world with its story told.
    #[must_use]
    pub fn with_story(self) -> Self {
        Self {
            with_story: true,
            ..self
        }
    }
}

impl Errands {
    /// What one customer does.
    pub(crate) fn of_customer(&self, merchants: u8, chance: &Chance) -> Vec<Errand> {
        match self {
            Self::Fixed(errands) => errands.clone(),
            Self::ByChance => {
                let mut errands = vec![Errand::Withdraw(chance.among(4..24))];
                let count = 1 + chance.among(0..5);
                errands.extend((0..count).map(|_| Errand::by_chance(merchants, chance)));
                errands
            }
        }
    }
}

impl Errand {
    /// Buys this merchant's good with coins, in mode FAST.
    #[must_use]
    pub const fn buy(merchant: u8) -> Self {
        Self::Buy {
            merchant,
            from_account: false,
            is_safe: false,
            is_cancelled: false,
        }
    }

    fn by_chance(merchants: u8, chance: &Chance) -> Self {
        match chance.among(0..80) {
            0..8 => Self::Withdraw(chance.among(1..16)),
            8..11 => Self::Refresh,
            // The dearest of all: hundreds of outputs are looked for.
            11 => Self::Restore,
            12..18 => Self::Wait(chance.among(100..20_000)),
            _ => Self::Buy {
                merchant: u8::try_from(chance.among(0..u64::from(merchants))).unwrap_or(0),
                from_account: chance.happens(250),
                is_safe: chance.happens(350),
                is_cancelled: chance.happens(200),
            },
        }
    }
}
