//! Which coins to ask for and which to spend: pure arithmetic over values.

use bauta_proto::{
    limits::{INPUTS_MAX, KEYSET_KEYS_MAX, OUTPUTS_MAX},
    money::Amount,
    time::Timestamp,
};

/// Coins of each denomination that a wallet likes to hold, so that most prices are paid exactly.
const KEEP_OF_EACH: usize = 2;

/// How many coins of each denomination `2^i` are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held([usize; KEYSET_KEYS_MAX]);

impl Default for Held {
    fn default() -> Self {
        Self([0; KEYSET_KEYS_MAX])
    }
}

impl Held {
    /// Counts denominations.
    #[must_use]
    pub fn count(exponents: impl IntoIterator<Item = u8>) -> Self {
        let mut held = Self::default();
        for exponent in exponents {
            if let Some(count) = held.0.get_mut(usize::from(exponent)) {
                *count += 1;
            }
        }
        held
    }
}

/// The amount needs more coins than one request issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount needs more than {OUTPUTS_MAX} coins at once")]
pub struct TooManyCoins;

/// Denominations, as exponents in ascending order, that are worth `amount` together.
///
/// Missing small coins are filled up first, to two of each; the rest comes in as few coins as possible. Where that would
/// be too many for one request, nothing is filled up. The keyset has `denominations` keys.
///
/// # Errors
/// [`TooManyCoins`] when the amount is larger than one request can bring.
pub fn split(amount: Amount, held: &Held, denominations: usize) -> Result<Vec<u8>, TooManyCoins> {
    let exponents = u8::try_from(denominations.min(KEYSET_KEYS_MAX)).unwrap_or(0);
    let filling = fill_up(amount.minor_units(), held, exponents);
    fewest(amount, filling, exponents).or_else(|_| fewest(amount, Vec::new(), exponents))
}

/// The small coins that are missing, as far as the amount goes.
fn fill_up(amount: u64, held: &Held, exponents: u8) -> Vec<u8> {
    let mut rest = amount;
    let mut coins = Vec::new();
    for exponent in 0..exponents {
        let missing = KEEP_OF_EACH.saturating_sub(held.0[usize::from(exponent)]);
        for _ in 0..missing {
            // A larger stock of small coins must not eat what the larger denominations need.
            if rest >= 2 << exponent {
                rest -= 1 << exponent;
                coins.push(exponent);
            }
        }
    }
    coins
}

/// Adds the fewest coins with which `coins` are worth `amount`.
fn fewest(amount: Amount, mut coins: Vec<u8>, exponents: u8) -> Result<Vec<u8>, TooManyCoins> {
    let given: u64 = coins.iter().map(|exponent| 1_u64 << exponent).sum();
    let mut rest = amount.minor_units().saturating_sub(given);
    for exponent in (0..exponents).rev() {
        while rest >= 1 << exponent {
            if coins.len() == OUTPUTS_MAX {
                return Err(TooManyCoins);
            }
            rest -= 1 << exponent;
            coins.push(exponent);
        }
    }
    coins.sort_unstable();
    if rest == 0 {
        Ok(coins)
    } else {
        Err(TooManyCoins)
    }
}

/// A coin that can be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What is on it.
    pub value: Amount,
    /// Until when its keyset can be spent; the earliest go first.
    pub spend_until: Timestamp,
}

/// Why no coins were selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// All coins together are worth less than the price.
    #[error("the coins are worth less than the price")]
    Insufficient {
        /// What they are worth.
        available: Amount,
    },
    /// The price needs more coins than one request takes: exchange small ones for larger ones first.
    #[error("the price needs more than {INPUTS_MAX} of the coins at hand")]
    Scattered,
}

/// Positions of the candidates to spend, each whole, for `price`: the exact sum if there is one, otherwise the least
/// change, then the fewest coins, then those whose keysets end first. At most [`INPUTS_MAX`].
///
/// # Errors
/// [`SelectionError`].
pub fn select(candidates: &[Candidate], price: Amount) -> Result<Vec<usize>, SelectionError> {
    let price = price.minor_units();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|position| {
        let candidate = &candidates[*position];
        (std::cmp::Reverse(candidate.value), candidate.spend_until)
    });
    let value = |position: &usize| candidates[*position].value.minor_units();
    let available: u128 = order
        .iter()
        .map(|position| u128::from(value(position)))
        .sum();
    if available < u128::from(price) {
        let available = u64::try_from(available).ok().and_then(Amount::new);
        return Err(SelectionError::Insufficient {
            available: available.unwrap_or(Amount::MAX),
        });
    }
    let best = rounded_selections(&order, value, price)
        .chain([covering_selection(&order, value, price)])
        .filter(|chosen| chosen.len() <= INPUTS_MAX)
        .min_by_key(|chosen| (chosen.iter().map(value).sum::<u64>(), chosen.len()));
    best.ok_or(SelectionError::Scattered)
}

/// For each denomination, the coins of at least that value which give exactly the price rounded up to it.
///
/// With denominations that divide each other the least sum is among these: a minimal set's smallest coin `2^e` could
/// not be left out, so that its sum is the price rounded up to a multiple of `2^e`; and taking the largest that fit
/// finds every exact sum.
fn rounded_selections(
    order: &[usize],
    value: impl Fn(&usize) -> u64,
    price: u64,
) -> impl Iterator<Item = Vec<usize>> {
    (0..KEYSET_KEYS_MAX).filter_map(move |exponent| {
        let unit = 1_u64 << exponent;
        let target = price.div_ceil(unit).checked_mul(unit)?;
        let mut rest = target;
        let mut chosen = Vec::new();
        for position in order {
            let value = value(position);
            if value >= unit && value <= rest {
                rest -= value;
                chosen.push(*position);
            }
        }
        (rest == 0).then_some(chosen)
    })
}

/// The largest coins until the price is covered, without those that turn out to be unnecessary: always an answer, also
/// for coins that were spent in part before.
fn covering_selection(order: &[usize], value: impl Fn(&usize) -> u64, price: u64) -> Vec<usize> {
    let mut sum = 0_u64;
    let mut chosen = Vec::new();
    for position in order {
        if sum >= price {
            break;
        }
        sum = sum.saturating_add(value(position));
        chosen.push(*position);
    }
    // The last, smallest one covers what is missing: a smaller one may do, too.
    if let Some(last) = chosen.pop() {
        let before = sum.saturating_sub(value(&last));
        let smaller = order
            .iter()
            .rev()
            .find(|position| !chosen.contains(position) && before + value(position) >= price);
        chosen.push(*smaller.unwrap_or(&last));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coin(value: u64) -> Candidate {
        Candidate {
            value: Amount::new(value).expect("small"),
            spend_until: Timestamp(0),
        }
    }

    fn coins(exponents: &[u8]) -> Vec<Candidate> {
        exponents
            .iter()
            .map(|exponent| coin(1 << exponent))
            .collect()
    }

    fn amount(units: u64) -> Amount {
        Amount::new(units).expect("small")
    }

    fn sum(candidates: &[Candidate], chosen: &[usize]) -> u64 {
        chosen
            .iter()
            .map(|position| candidates[*position].value.minor_units())
            .sum()
    }

    /// The least sum of any subset that reaches the price, by trying all.
    fn least_sum(candidates: &[Candidate], price: u64) -> u64 {
        (0_u32..1 << candidates.len())
            .map(|subset| {
                let chosen: Vec<usize> = (0..candidates.len())
                    .filter(|position| subset & (1 << position) != 0)
                    .collect();
                sum(candidates, &chosen)
            })
            .filter(|sum| *sum >= price)
            .min()
            .expect("all together reach it")
    }

    #[test]
    fn coins_whose_keyset_ends_first_go_first() {
        let mut candidates = coins(&[3, 3, 3]);
        candidates[1].spend_until = Timestamp(5);
        candidates[0].spend_until = Timestamp(9);
        candidates[2].spend_until = Timestamp(7);
        assert_eq!(select(&candidates, amount(8)), Ok(vec![1]));
        assert_eq!(select(&candidates, amount(16)), Ok(vec![1, 2]));
    }

    #[test]
    fn too_little_and_too_scattered_are_told_apart() {
        let available = amount(3);
        assert_eq!(
            select(&coins(&[0, 1]), amount(4)),
            Err(SelectionError::Insufficient { available })
        );
        let pennies = coins(&[0; INPUTS_MAX + 1]);
        assert_eq!(
            select(&pennies, amount(INPUTS_MAX as u64)).map(|c| c.len()),
            Ok(INPUTS_MAX)
        );
        assert_eq!(
            select(&pennies, amount(INPUTS_MAX as u64 + 1)),
            Err(SelectionError::Scattered)
        );
    }

    #[test]
    fn a_first_withdrawal_brings_small_coins_for_later() {
        let coins = split(amount(1_000), &Held::default(), 40).expect("fits");
        for exponent in 0..8 {
            let count = coins.iter().filter(|coin| **coin == exponent).count();
            assert!((KEEP_OF_EACH..=KEEP_OF_EACH + 1).contains(&count));
        }
        assert!(split(Amount::MAX, &Held::default(), 40).is_err());
        assert!(split(amount(1_000), &Held::default(), 2).is_err());
    }

    proptest! {
        #[test]
        fn a_split_is_exact_and_fits_one_request(
            units in 0..1_u64 << 44,
            exponents in prop::collection::vec(0_u8..40, 0..100),
        ) {
            let coins = split(amount(units), &Held::count(exponents), 40).expect("fits");
            prop_assert_eq!(coins.iter().map(|exponent| 1_u64 << exponent).sum::<u64>(), units);
            prop_assert!(coins.len() <= OUTPUTS_MAX);
        }

        #[test]
        fn what_a_full_stock_gets_is_as_few_coins_as_possible(units in 1..1_u64 << 39) {
            let full = Held([KEEP_OF_EACH; KEYSET_KEYS_MAX]);
            let coins = split(amount(units), &full, 40).expect("fits");
            prop_assert_eq!(coins.len(), units.count_ones() as usize);
        }

        #[test]
        fn a_selection_wastes_the_least_that_any_could(
            exponents in prop::collection::vec(0_u8..8, 1..11),
            part in 1_u64..=100,
        ) {
            let candidates = coins(&exponents);
            let total: u64 = sum(&candidates, &(0..candidates.len()).collect::<Vec<_>>());
            let price = (total * part).div_ceil(100);
            let chosen = select(&candidates, amount(price)).expect("enough");
            prop_assert_eq!(sum(&candidates, &chosen), least_sum(&candidates, price));
        }

        #[test]
        fn any_holding_that_is_worth_the_price_pays_it_once_each(
            values in prop::collection::vec(1_u64..5_000, 1..INPUTS_MAX),
            part in 1_u64..=100,
        ) {
            let candidates: Vec<_> = values.iter().map(|value| coin(*value)).collect();
            let price = (values.iter().sum::<u64>() * part).div_ceil(100);
            let mut chosen = select(&candidates, amount(price)).expect("enough");
            prop_assert!(sum(&candidates, &chosen) >= price);
            prop_assert!(chosen.len() <= INPUTS_MAX);
            let largest = values.iter().max().expect("one");
            prop_assert!(sum(&candidates, &chosen) - price < *largest);
            chosen.sort_unstable();
            chosen.dedup();
            prop_assert!(sum(&candidates, &chosen) >= price);
        }
    }
}
