//! The wallet's root secret: 24 BIP-39 words, and the keys that come from them.
//!
//! Each device has its own branch, so that two devices with the same words never make the same coin. The account key is
//! not of a branch: an account is the owner's, whichever device speaks for it.

use bauta_crypto::{
    blind::{self, BlindingFactor},
    kdf, label,
    secret::Secret,
    sign::SigningKey,
};
use bauta_proto::{
    codec::Message,
    coin::{CoinName, Output},
    ids::{BankId, KeysetId},
};
use bip39::{Language, Mnemonic};
use rand_core::CryptoRng;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

use crate::store::{Kind, Record};

/// Words of a seed.
pub const WORDS: usize = 24;
const ENTROPY_BYTES: usize = 32;

/// The text is not 24 words of the English list with a right checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Another number of words.
    #[error("a seed has {WORDS} words, not {0}")]
    Count(usize),
    /// A word is not in the list.
    #[error("word {0} is not in the English list of BIP-39")]
    Unknown(usize),
    /// All words are known, but they do not belong together.
    #[error("the words do not belong together: one is wrong or in the wrong place")]
    Checksum,
}

/// The root secret.
#[derive(Clone)]
pub struct Seed {
    entropy: Secret<ENTROPY_BYTES>,
    root: Secret<64>,
}

/// The seed as it is stored.
#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
pub(crate) struct SeedRecord {
    entropy: [u8; ENTROPY_BYTES],
    /// 0: made here. 1: restored from words, so that other devices may have used branches.
    pub(crate) restored: u8,
}

impl Record for SeedRecord {
    const KIND: Kind = Kind::Seed;

    fn name(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Where a coin's secrets come from: enough, with the seed, to make the coin again.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct CoinSlot {
    /// The keyset that signs.
    pub keyset: KeysetId,
    /// The coin is worth `2^exponent`.
    pub exponent: u8,
    /// The device's branch.
    pub device: u32,
    /// Counts from 0 within the three above.
    pub index: u32,
}

/// The secrets of one coin.
pub struct CoinSecrets {
    /// Signs spends.
    pub key: SigningKey,
    /// Hid the coin from the bank.
    pub factor: BlindingFactor,
    /// What the bank signed.
    pub name: CoinName,
}

impl CoinSecrets {
    /// What the bank is asked to sign.
    #[must_use]
    pub fn output(&self) -> Output {
        Output {
            keyset: self.name.keyset,
            exponent: self.name.exponent,
            blinded: blind::blind(&self.name.to_bytes(), &self.factor),
        }
    }
}

impl Seed {
    /// A fresh seed.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_entropy(Secret::generate(rng))
    }

    /// The seed of 24 English words, however they are spaced and cased.
    ///
    /// # Errors
    /// [`WordsError`] says which word to look at.
    pub fn from_words(text: &str) -> Result<Self, WordsError> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        if words.len() != WORDS {
            return Err(WordsError::Count(words.len()));
        }
        let joined = Zeroizing::new(words.join(" "));
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &joined);
        let mnemonic = mnemonic.map_err(|error| match error {
            bip39::Error::UnknownWord(position) => WordsError::Unknown(position + 1),
            _ => WordsError::Checksum,
        })?;
        let entropy = Zeroizing::new(mnemonic.to_entropy());
        let entropy = Secret::from_slice(&entropy).ok_or(WordsError::Checksum)?;
        Ok(Self::from_entropy(entropy))
    }

    /// The words, to be written down by the owner.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        Zeroizing::new(self.mnemonic().to_string())
    }

    fn from_entropy(entropy: Secret<ENTROPY_BYTES>) -> Self {
        let mnemonic = mnemonic(&entropy);
        let root = Secret::new(mnemonic.to_seed_normalized(""));
        Self { entropy, root }
    }

    fn mnemonic(&self) -> Mnemonic {
        mnemonic(&self.entropy)
    }

    pub(crate) fn record(&self, restored: bool) -> SeedRecord {
        SeedRecord {
            entropy: *self.entropy.expose(),
            restored: u8::from(restored),
        }
    }

    pub(crate) fn from_record(record: &SeedRecord) -> Self {
        Self::from_entropy(Secret::new(record.entropy))
    }

    /// The key that signs for the owner's account at `bank`.
    #[must_use]
    pub fn account_key(&self, bank: BankId) -> SigningKey {
        let seed = kdf::derive(label::ACCOUNT_KEY, self.root.expose(), &[bank.as_bytes()]);
        SigningKey::from_seed(&seed)
    }

    /// The key of one purchase. Its nonce is random, so that no two purchases share a key, whatever device makes them.
    #[must_use]
    pub fn purchase_key(&self, bank: BankId, nonce: &[u8; 32]) -> SigningKey {
        let parts = [bank.as_bytes(), nonce.as_slice()];
        let seed = kdf::derive(label::PURCHASE_KEY, self.root.expose(), &parts);
        SigningKey::from_seed(&seed)
    }

    /// What cancels one purchase in mode SAFE; the lock has its hash.
    #[must_use]
    pub fn cancel_secret(&self, bank: BankId, nonce: &[u8; 32]) -> Secret<32> {
        let parts = [bank.as_bytes(), nonce.as_slice()];
        kdf::derive(label::CANCEL_SECRET, self.root.expose(), &parts)
    }

    /// The secrets of the coin in `slot` of `bank`.
    #[must_use]
    pub fn coin(&self, bank: BankId, slot: &CoinSlot) -> CoinSecrets {
        let branch: Secret<32> = kdf::derive(
            label::DEVICE,
            self.root.expose(),
            &[&slot.device.to_be_bytes()],
        );
        let index = slot.index.to_be_bytes();
        let exponent = [slot.exponent];
        let parts = [
            bank.as_bytes(),
            slot.keyset.as_bytes(),
            exponent.as_slice(),
            index.as_slice(),
        ];
        let key = SigningKey::from_seed(&kdf::derive(label::COIN_KEY, branch.expose(), &parts));
        let factor = kdf::derive(label::COIN_BLINDING, branch.expose(), &parts);
        let name = CoinName {
            keyset: slot.keyset,
            exponent: slot.exponent,
            key: key.verifying_key(),
        };
        CoinSecrets {
            key,
            factor: BlindingFactor::from_seed(&factor),
            name,
        }
    }
}

fn mnemonic(entropy: &Secret<ENTROPY_BYTES>) -> Mnemonic {
    Mnemonic::from_entropy_in(Language::English, entropy.expose())
        .expect("32 bytes are a length that BIP-39 has words for")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;

    const BANK: BankId = BankId([1; 32]);

    fn slot() -> CoinSlot {
        CoinSlot {
            keyset: KeysetId([2; 32]),
            exponent: 3,
            device: 0,
            index: 4,
        }
    }

    #[test]
    fn words_lead_back_to_the_same_secrets() {
        let seed = Seed::generate(&mut rng());
        let words = seed.words();
        assert_eq!(words.split(' ').count(), WORDS);
        let shouted = words.to_uppercase().replace(' ', "\n  ");
        let again = Seed::from_words(&shouted).expect("the same words");
        assert_eq!(
            again.coin(BANK, &slot()).name,
            seed.coin(BANK, &slot()).name
        );
    }

    #[test]
    fn wrong_words_are_named() {
        let words = Seed::from_entropy(Secret::new([0; 32])).words();
        let refused = |text: &str| Seed::from_words(text).err();
        assert_eq!(refused("abandon"), Some(WordsError::Count(1)));
        let unknown = words.replacen("abandon", "bandonium", 1);
        assert_eq!(refused(&unknown), Some(WordsError::Unknown(1)));
        let swapped = words.replacen("abandon", "zoo", 1);
        assert_eq!(refused(&swapped), Some(WordsError::Checksum));
    }

    #[test]
    fn the_published_bip39_vector_gives_the_published_seed() {
        let seed = Seed::from_entropy(Secret::new([0; 32]));
        assert!(seed.words().ends_with("abandon art"));
        let root = data_encoding::HEXLOWER.encode(seed.root.expose());
        assert!(root.starts_with("408b285c123836004f4b8842c89324c1"));
    }

    #[test]
    fn no_two_places_share_a_coin() {
        let seed = Seed::from_entropy(Secret::new([9; 32]));
        let base = seed.coin(BANK, &slot()).name.key;
        let others = [
            CoinSlot {
                device: 1,
                ..slot()
            },
            CoinSlot { index: 5, ..slot() },
            CoinSlot {
                exponent: 4,
                ..slot()
            },
            CoinSlot {
                keyset: KeysetId([3; 32]),
                ..slot()
            },
        ];
        for other in others {
            assert_ne!(seed.coin(BANK, &other).name.key, base);
        }
        assert_ne!(seed.coin(BankId([7; 32]), &slot()).name.key, base);
    }
}
