//! Money: whole minor units of a currency. Arithmetic is checked and can fail; nothing is ever rounded.

use std::{fmt, io::Read, str::FromStr};

use tls_codec::{Deserialize, TlsDeserialize, TlsSerialize, TlsSize};

/// A currency by its ISO 4217 code in upper-case ASCII.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize)]
pub struct Currency([u8; 3]);

/// A number of minor units of some currency that the context names.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize,
)]
pub struct Amount(u64);

/// An amount and its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Money {
    /// The currency.
    pub currency: Currency,
    /// Minor units of it.
    pub amount: Amount,
}

/// Arithmetic on money has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The sum is larger than any amount.
    #[error("the sum of amounts is too large")]
    Overflow,
    /// The difference would be below zero.
    #[error("an amount is smaller than what is taken from it")]
    Underflow,
}

/// The text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseMoneyError {
    /// No number at the beginning.
    #[error("expected an amount like 4.99EUR")]
    Form,
    /// The letters are no currency.
    #[error("not a currency of ISO 4217 with a minor unit")]
    Currency,
    /// More decimal places than the currency has.
    #[error("{currency} has {digits} decimal places at most")]
    Places {
        /// The currency.
        currency: Currency,
        /// How many places its minor unit has.
        digits: u16,
    },
    /// The number does not fit.
    #[error("the amount is too large")]
    Overflow,
}

impl Currency {
    /// The currency of an ISO 4217 code, in either case.
    ///
    /// # Errors
    /// [`ParseMoneyError::Currency`] for anything else, and for what has no minor unit (gold, test codes).
    pub fn from_code(code: &str) -> Result<Self, ParseMoneyError> {
        let code = code.to_ascii_uppercase();
        let known = iso_currency::Currency::from_code(&code).ok_or(ParseMoneyError::Currency)?;
        known.exponent().ok_or(ParseMoneyError::Currency)?;
        code.as_bytes()
            .try_into()
            .map(Self)
            .map_err(|_| ParseMoneyError::Currency)
    }

    /// The ISO 4217 code.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("every constructor takes a known code, which is ASCII")
    }

    /// Decimal places of the minor unit: 2 for EUR, 0 for JPY.
    #[must_use]
    pub fn digits(&self) -> u16 {
        iso_currency::Currency::from_code(self.code())
            .and_then(|currency| currency.exponent())
            .unwrap_or(0)
    }

    /// The code's bytes, as they stand on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 3] {
        &self.0
    }
}

impl Deserialize for Currency {
    fn tls_deserialize<R: Read>(bytes: &mut R) -> Result<Self, tls_codec::Error> {
        let code = <[u8; 3]>::tls_deserialize(bytes)?;
        std::str::from_utf8(&code)
            .ok()
            .and_then(|code| Self::from_code(code).ok())
            .filter(|currency| currency.0 == code)
            .ok_or(tls_codec::Error::InvalidInput)
    }
}

impl Deserialize for Amount {
    fn tls_deserialize<R: Read>(bytes: &mut R) -> Result<Self, tls_codec::Error> {
        Self::new(u64::tls_deserialize(bytes)?).ok_or(tls_codec::Error::InvalidInput)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = ParseMoneyError;

    fn from_str(text: &str) -> Result<Self, ParseMoneyError> {
        Self::from_code(text)
    }
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount: what a signed 64-bit column of a database can hold.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// An amount of minor units, if it is not above [`Amount::MAX`].
    #[must_use]
    pub const fn new(minor_units: u64) -> Option<Self> {
        if minor_units <= Self::MAX.0 {
            Some(Self(minor_units))
        } else {
            None
        }
    }

    /// The value of the denomination with this exponent: 2^exponent, for exponents below 40.
    #[must_use]
    pub const fn power_of_two(exponent: u8) -> Option<Self> {
        if (exponent as usize) < crate::limits::KEYSET_KEYS_MAX {
            Some(Self(1 << exponent))
        } else {
            None
        }
    }

    /// Minor units.
    #[must_use]
    pub const fn minor_units(self) -> u64 {
        self.0
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] above [`Amount::MAX`].
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.0
            .checked_add(other.0)
            .and_then(Self::new)
            .ok_or(MoneyError::Overflow)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`MoneyError::Underflow`] when `other` is larger.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.0
            .checked_sub(other.0)
            .map(Self)
            .ok_or(MoneyError::Underflow)
    }

    /// The sum of many.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] above [`Amount::MAX`].
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// This many units of `currency`.
    #[must_use]
    pub const fn of(self, currency: Currency) -> Money {
        Money {
            currency,
            amount: self,
        }
    }
}

impl fmt::Display for Money {
    /// `4.99 EUR`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.currency.digits());
        let units = format!("{:0width$}", self.amount.0, width = digits + 1);
        let (whole, minor) = units.split_at(units.len() - digits);
        let point = if digits > 0 { "." } else { "" };
        formatter.pad(&format!("{whole}{point}{minor} {}", self.currency))
    }
}

impl FromStr for Money {
    type Err = ParseMoneyError;

    /// Reads `4.99EUR`, `4.99 EUR`, `5eur`; a comma is refused rather than guessed at.
    fn from_str(text: &str) -> Result<Self, ParseMoneyError> {
        let text = text.trim();
        let letters = text
            .find(|c: char| c.is_ascii_alphabetic())
            .ok_or(ParseMoneyError::Form)?;
        let currency = Currency::from_code(&text[letters..])?;
        let number = text[..letters].trim_end();
        let (whole, minor) = match number.split_once('.') {
            Some((_, "")) => return Err(ParseMoneyError::Form),
            Some(parts) => parts,
            None => (number, ""),
        };
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(minor) {
            return Err(ParseMoneyError::Form);
        }
        let digits = currency.digits();
        if minor.len() > usize::from(digits) {
            return Err(ParseMoneyError::Places { currency, digits });
        }
        let padded = format!("{whole}{minor:0<width$}", width = usize::from(digits));
        let units = padded
            .parse()
            .ok()
            .and_then(Amount::new)
            .ok_or(ParseMoneyError::Overflow)?;
        Ok(units.of(currency))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(text: &str) -> Money {
        text.parse().expect("a literal of the test")
    }

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(money("4.99EUR").amount.minor_units(), 499);
        assert_eq!(money("5 eur").amount.minor_units(), 500);
        assert_eq!(money("0.5EUR").amount.minor_units(), 50);
        assert_eq!(money("700JPY").amount.minor_units(), 700);
    }

    #[test]
    fn what_is_not_an_amount_is_refused_with_its_reason() {
        use ParseMoneyError as E;
        let refused = |text: &str| text.parse::<Money>().expect_err("must be refused");
        assert_eq!(refused("4,99EUR"), E::Form);
        assert_eq!(refused("-1EUR"), E::Form);
        assert_eq!(refused("EUR"), E::Form);
        assert_eq!(refused("5."), E::Form);
        assert_eq!(refused("5.EUR"), E::Form);
        assert_eq!(refused("5XXQ"), E::Currency);
        assert_eq!(refused("5XAU"), E::Currency);
        assert!(matches!(refused("1.999EUR"), E::Places { digits: 2, .. }));
        assert!(matches!(refused("1.5JPY"), E::Places { digits: 0, .. }));
        assert_eq!(refused("99999999999999999999EUR"), E::Overflow);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(units in 0..=Amount::MAX.0, code in prop::sample::select(vec!["EUR", "JPY", "KWD"])) {
            let shown = Amount(units).of(Currency::from_code(code).expect("listed"));
            prop_assert_eq!(shown.to_string().parse(), Ok(shown));
        }

        #[test]
        fn sums_are_exact_or_refused(a in any::<u64>(), b in any::<u64>()) {
            let (Some(a), Some(b)) = (Amount::new(a), Amount::new(b)) else { return Ok(()) };
            let exact = u128::from(a.0) + u128::from(b.0);
            match a.plus(b) {
                Ok(sum) => prop_assert_eq!(u128::from(sum.0), exact),
                Err(_) => prop_assert!(exact > u128::from(Amount::MAX.0)),
            }
            match a.minus(b) {
                Ok(rest) => prop_assert_eq!(rest.plus(b), Ok(a)),
                Err(_) => prop_assert!(a < b),
            }
        }
    }
}
