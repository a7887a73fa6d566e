//! Finding coins again from the seed alone: which outputs of which branch the bank has signed.

use std::collections::HashMap;

use bauta_crypto::blind::BlindedMessage;
use bauta_proto::{
    coin::{Keyset, RestoreRequest},
    ids::{BankId, KeysetId},
    limits::RESTORE_OUTPUTS_MAX,
    transport::{Transport, bank as endpoints},
};

use crate::{
    error::{Result, WalletError},
    observer::{Event, Send, Write},
    records::{Bank, Branch, Coin, CoinUse},
    seed::CoinSlot,
    store::Batch,
    wallet::Wallet,
};

/// Unused coins of one denomination in a row after which the end of its chain is believed. Gaps come from requests that
/// were refused: each leaves a few unused coins of a denomination.
const GAP: u32 = 32;
/// Devices that are looked at, at most.
const DEVICES_MAX: u32 = 1_000;

/// The coins of one keyset and denomination on one branch.
struct Chain {
    keyset: KeysetId,
    exponent: u8,
    /// The next one to ask about.
    next: u32,
    /// Where to stop unless another one is found.
    end: u32,
}

impl<T: Transport> Wallet<T> {
    /// Looks through the branches of all devices, keeps what coins still hold, and settles on the first unused branch.
    ///
    /// Branch 0 belongs to the device that made the words, so that a restored wallet never uses it. A branch is in use from
    /// its first coin on: two wallets that were restored from the same words before either had one share a branch.
    pub(crate) async fn scan(&mut self, bank: &Bank) -> Result<usize> {
        let keysets = self.keysets(bank.bank)?;
        let keysets: Vec<Keyset> = keysets
            .into_iter()
            .map(|known| known.published.keyset.body)
            .collect();
        let mut found = Vec::new();
        let mut device = 0;
        while device < DEVICES_MAX {
            let coins = self
                .scan_device(bank, &keysets, device, found.len())
                .await?;
            if coins.is_empty() && device > 0 {
                break;
            }
            found.extend(coins);
            device += 1;
        }
        let scanned = Bank {
            branch: Branch::Device(device),
            ..bank.clone()
        };
        let mut batch = Batch::new();
        batch.put(&scanned);
        found.iter().for_each(|coin| batch.put(coin));
        self.commit(Write::Bank, batch)?;
        self.ask_unsure_coins(bank.bank).await?;
        let mut held = self.store.all::<Coin>()?;
        held.retain(|coin| coin.bank == bank.bank);
        Ok(held.len())
    }

    async fn scan_device(
        &mut self,
        bank: &Bank,
        keysets: &[Keyset],
        device: u32,
        found_before: usize,
    ) -> Result<Vec<Coin>> {
        let mut chains: Vec<Chain> = keysets.iter().flat_map(chains).collect();
        let mut found = Vec::new();
        loop {
            let slots = next_slots(&mut chains, device);
            if slots.is_empty() {
                return Ok(found);
            }
            let coins = self.restore_batch(bank, &slots).await?;
            for coin in &coins {
                extend(&mut chains, &coin.slot);
            }
            found.extend(coins);
            self.observe(Event::Restoring {
                coins: found_before + found.len(),
            });
        }
    }

    /// Asks about some outputs; the signatures that come back are verified.
    async fn restore_batch(&mut self, bank: &Bank, slots: &[CoinSlot]) -> Result<Vec<Coin>> {
        let mut by_output: HashMap<BlindedMessage, CoinSlot> = HashMap::new();
        let mut blinded = Vec::with_capacity(slots.len());
        for slot in slots {
            let output = self.seed.coin(bank.bank, slot).output().blinded;
            by_output.insert(output, *slot);
            blinded.push(output);
        }
        let request = RestoreRequest {
            bank: bank.bank,
            blinded,
        };
        let restored = self
            .call::<endpoints::Restore>(Send::CoinQuestion, &bank.url, &request)
            .await
            .map_err(WalletError::Bank)?;
        let mut slots = Vec::new();
        let mut signatures = Vec::new();
        for restored in &restored.outputs {
            let slot = by_output.remove(&restored.output.blinded);
            slots.push(slot.ok_or(WalletError::BankAnswer)?);
            signatures.push(restored.signature);
        }
        let mut coins = self.verified_coins(bank.bank, &slots, &signatures)?;
        for coin in &mut coins {
            coin.state = CoinUse::Unsure;
        }
        Ok(coins)
    }

    /// Banks whose branches still have to be looked through.
    pub(crate) fn unscanned_banks(&self) -> Result<Vec<BankId>> {
        let mut banks = self.store.all::<Bank>()?;
        banks.retain(|bank| bank.branch == Branch::Unscanned);
        Ok(banks.iter().map(|bank| bank.bank).collect())
    }
}

fn chains(keyset: &Keyset) -> impl Iterator<Item = Chain> {
    let id = keyset.keyset_id();
    (0_u8..).zip(&keyset.keys).map(move |(exponent, _)| Chain {
        keyset: id,
        exponent,
        next: 0,
        end: GAP,
    })
}

/// The next coins to ask about, over all chains that have not ended.
fn next_slots(chains: &mut [Chain], device: u32) -> Vec<CoinSlot> {
    let mut slots = Vec::new();
    for chain in chains {
        while chain.next < chain.end && slots.len() < RESTORE_OUTPUTS_MAX {
            slots.push(CoinSlot {
                keyset: chain.keyset,
                exponent: chain.exponent,
                device,
                index: chain.next,
            });
            chain.next += 1;
        }
    }
    slots
}

/// A coin was found: its chain goes on for another gap.
fn extend(chains: &mut [Chain], slot: &CoinSlot) {
    for chain in chains {
        if chain.keyset == slot.keyset && chain.exponent == slot.exponent {
            chain.end = chain.end.max(slot.index.saturating_add(1 + GAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Chain {
        Chain {
            keyset: KeysetId([1; 32]),
            exponent: 2,
            next: 0,
            end: GAP,
        }
    }

    #[test]
    fn a_chain_ends_a_whole_gap_after_its_last_coin() {
        let mut chains = [chain()];
        let slots = next_slots(&mut chains, 7);
        assert_eq!(slots.len(), GAP as usize);
        extend(&mut chains, &slots[10]);
        let more = next_slots(&mut chains, 7);
        assert_eq!(more.first().map(|slot| slot.index), Some(GAP));
        assert_eq!(more.last().map(|slot| slot.index), Some(10 + GAP));
        assert!(next_slots(&mut chains, 7).is_empty());
    }

    #[test]
    fn no_question_is_longer_than_a_bank_answers() {
        let mut chains: Vec<Chain> = (0..40).map(|_| chain()).collect();
        let mut asked = 0;
        loop {
            let slots = next_slots(&mut chains, 0);
            assert!(slots.len() <= RESTORE_OUTPUTS_MAX);
            asked += slots.len();
            if slots.is_empty() {
                break;
            }
        }
        assert_eq!(asked, 40 * GAP as usize);
    }
}
