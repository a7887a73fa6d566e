//! What a shop shows to everybody, as JSON.

use serde::{Deserialize, Serialize};

use crate::offer::Mode;

/// A shop's goods and the conditions under which it sells. Identifiers are lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The merchant's key.
    pub merchant: String,
    /// The shop's name.
    pub name: String,
    /// Text of the log policy that offers refer to.
    pub log_policy: String,
    /// Banks whose money the shop takes.
    pub banks: Vec<AcceptedBank>,
    /// How purchases can be decided here, by [`Mode::name`]; a shop that does not say so sells in mode FAST alone.
    #[serde(default = "fast_alone")]
    pub modes: Vec<String>,
    /// What is for sale.
    pub goods: Vec<Listing>,
}

/// A bank whose money a shop takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedBank {
    /// The bank's key.
    pub bank: String,
    /// Where the shop reaches it; a hint for customers who have no account there yet.
    pub url: String,
}

/// A good for sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The good's id.
    pub good: String,
    /// Its current version, from 1.
    pub version: u32,
    /// What it is called.
    pub title: String,
    /// What it is.
    pub description: String,
    /// The file's name.
    pub file_name: String,
    /// Media type of the file (RFC 6838).
    pub media_type: String,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Under which licence it is sold.
    pub licence: String,
    /// When money is given back.
    pub refund_rule: String,
    /// Price in minor units.
    pub price_minor_units: u64,
    /// Currency of the price.
    pub currency: String,
    /// The price as people read it.
    pub price: String,
}

impl Catalogue {
    /// The longest catalogue that a wallet reads.
    pub const BYTES_MAX: usize = 64 * 1024 * 1024;

    /// Whether the shop sells in this mode.
    #[must_use]
    pub fn offers(&self, mode: Mode) -> bool {
        self.modes.iter().any(|offered| offered == mode.name())
    }
}

fn fast_alone() -> Vec<String> {
    vec![Mode::Fast.name().to_owned()]
}
