//! What operations tell programs and people: plain data, with ids in hexadecimal and times in seconds since 1970.

use bauta_proto::money::Money;
use serde::Serialize;

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MoneyReport {
    /// Minor units.
    pub minor_units: u64,
    /// ISO 4217 code.
    pub currency: String,
    /// As people read it.
    pub text: String,
}

impl From<Money> for MoneyReport {
    fn from(money: Money) -> Self {
        Self {
            minor_units: money.amount.minor_units(),
            currency: money.currency.to_string(),
            text: money.to_string(),
        }
    }
}
