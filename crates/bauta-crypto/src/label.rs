//! Every domain-separation label, in one table.
//!
//! A label keeps a value that was made for one purpose from being taken for another. No two may be equal, and none may
//! change once it was used: a new meaning gets a new label.
//!
//! | constant | keeps apart | used as |
//! |---|---|---|
//! | [`SIGNATURE`] | what parties sign | prefix of an Ed25519 message, then 0 and the message type |
//! | [`ID`] | names of typed bodies | prefix of a SHA-256 input, then 0 and the message type |
//! | [`COIN_POINT`] | coin messages on the curve | domain separation tag of RFC 9380 |
//! | [`ISSUER_KEY`] | secret keys of keysets | key info of BLS KeyGen |
//! | [`BLINDING_FACTOR`] | scalars that blind a coin | key info of BLS KeyGen |
//! | [`KEY_WRAP`] | content keys under a sale's secret | HKDF salt |
//! | [`COIN_KEY`] | the signing key of a coin | HKDF salt |
//! | [`COIN_BLINDING`] | the seed of a coin's blinding factor | HKDF salt |
//! | [`DEVICE`] | one device of a wallet | HKDF salt |
//! | [`ACCOUNT_KEY`] | the key of a customer's account at one bank | HKDF salt |
//! | [`PURCHASE_KEY`] | the one-purchase pseudonym | HKDF salt |
//! | [`CANCEL_SECRET`] | what cancels one purchase | HKDF salt |
//! | [`SALE_SECRET`] | the secret `u` of one sale | HKDF salt |
//! | [`ROLE_KEY`] | a role's keys under its own seed | HKDF salt |
//! | [`STORAGE_KEY`] | what seals and names a wallet's records, under its storage key | HKDF salt |

/// A domain-separation label. Only the constants of this module exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(&'static str);

impl Label {
    /// The label's bytes, as they go into the primitive.
    pub const fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }

    /// A label that no table holds, for the vectors of a standard.
    #[cfg(test)]
    pub(crate) const fn of_standard(text: &'static str) -> Self {
        Self(text)
    }
}

/// Prefix of every signed message.
pub const SIGNATURE: Label = Label("bauta1");
/// Prefix of the hash that names a typed body.
pub const ID: Label = Label("bauta1-id");
/// Domain separation tag with which a coin's message is hashed to G1.
pub const COIN_POINT: Label = Label("BAUTA1-COIN-V01-CS01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_");
/// Key info with which an issuer's secret key is made from a seed.
pub const ISSUER_KEY: Label = Label("bauta1-issuer-key");
/// Key info with which a blinding factor is made from a seed.
pub const BLINDING_FACTOR: Label = Label("bauta1-blinding-factor");
/// A content key is masked with a key derived from the sale's secret under this label.
pub const KEY_WRAP: Label = Label("bauta1-key-wrap");
/// Seed of a coin's signing key, from the wallet's secret.
pub const COIN_KEY: Label = Label("bauta1-coin-key");
/// Seed of a coin's blinding factor, from the wallet's secret.
pub const COIN_BLINDING: Label = Label("bauta1-coin-blinding");
/// A device's own branch of the wallet's secret.
pub const DEVICE: Label = Label("bauta1-device");
/// Seed of the key that signs for a customer's account at one bank, from the wallet's secret.
pub const ACCOUNT_KEY: Label = Label("bauta1-account-key");
/// Seed of the key that a customer uses for one purchase.
pub const PURCHASE_KEY: Label = Label("bauta1-purchase-key");
/// The secret with which a customer cancels one purchase.
pub const CANCEL_SECRET: Label = Label("bauta1-cancel-secret");
/// The secret of one sale, from the merchant's secret.
pub const SALE_SECRET: Label = Label("bauta1-sale-secret");
/// Seeds of a role's keys, from the role's own seed.
pub const ROLE_KEY: Label = Label("bauta1-role-key");
/// The keys that seal and name the records of a wallet, from its storage key.
pub const STORAGE_KEY: Label = Label("bauta1-storage-key");

#[cfg(test)]
const ALL: [Label; 15] = [
    SIGNATURE,
    ID,
    COIN_POINT,
    ISSUER_KEY,
    BLINDING_FACTOR,
    KEY_WRAP,
    COIN_KEY,
    COIN_BLINDING,
    DEVICE,
    ACCOUNT_KEY,
    PURCHASE_KEY,
    CANCEL_SECRET,
    SALE_SECRET,
    ROLE_KEY,
    STORAGE_KEY,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_labels_are_equal_and_the_table_holds_all() {
        let source = include_str!("label.rs");
        let declared = source
            .lines()
            .filter(|line| line.starts_with("pub const "))
            .count();
        assert_eq!(ALL.iter().collect::<HashSet<_>>().len(), ALL.len());
        assert_eq!(declared, ALL.len());
    }

    #[test]
    fn every_label_is_in_the_documented_table() {
        let source = include_str!("label.rs");
        let rows = source
            .lines()
            .filter(|line| line.starts_with("//! | [`"))
            .count();
        assert_eq!(rows, ALL.len());
    }

    #[test]
    fn labels_are_printable_and_carry_the_project_name() {
        for label in ALL {
            assert!(label.as_bytes().iter().all(u8::is_ascii_graphic));
            assert!(label.as_bytes().to_ascii_lowercase().starts_with(b"bauta1"));
        }
    }
}
