//! Many spent coins in a bank's store, through the store's own transactions: the books stay whole, nothing is checked
//! that the store does not check.

use bauta_crypto::{
    blind::{BlindSignature, BlindedMessage},
    hash,
    sign::{Signature, VerifyingKey},
};
use bauta_io::SystemClock;
use bauta_proto::{
    codec::Signed,
    coin::Spend,
    ids::{AccountId, RequestId},
    limits::INPUTS_MAX,
    money::Amount,
    time::Clock,
};
use bauta_store::bank::{
    BankCommand, BankReader, BankStore, CoinSpend, Exchange, KeysetNumber, SignedOutput, Withdrawal,
};

use super::setting::{Setting, currency};
use crate::failure::{Failure, Outcome};

/// Coins of one exchange; they are worth one unit each, and the new coin 2^6.
const WIDTH: u64 = INPUTS_MAX as u64;
const WIDTH_EXPONENT: u8 = 6;
/// Exchanges of one transaction.
const BATCH: u64 = 1_024;
/// The denomination that is withdrawn first, so that there is something to spend.
const LARGE_EXPONENT: u8 = 24;

/// Adds rows of `count` spent coins, rounded up to whole exchanges. The keys are spread evenly over all keys; they come
/// in two sweeps in ascending order, which is fast and leaves the pages as full as random inserts would.
pub fn preload(setting: &Setting, count: u64) -> Outcome {
    let mut store = BankStore::open_existing(&setting.store_path()?)?;
    let keyset = keyset_number(setting)?;
    let exchanges = count.div_ceil(WIDTH);
    fund(setting, &mut store, keyset, exchanges * WIDTH)?;
    let slots = exchanges * WIDTH;
    let sweeps = (0..exchanges)
        .step_by(2)
        .chain((0..exchanges).skip(1).step_by(2));
    let numbers: Vec<u64> = sweeps.collect();
    for batch in numbers.chunks(BATCH as usize) {
        let exchange = |number: &u64| exchange(keyset, *number, slots);
        apply(&mut store, batch.iter().map(exchange).collect())?;
    }
    Ok(())
}

fn keyset_number(setting: &Setting) -> Outcome<KeysetNumber> {
    let rows = BankReader::open(&setting.store_path()?)?.keysets()?;
    let row = rows.iter().find(|row| row.record.body == setting.keyset);
    row.map(|row| row.number)
        .ok_or_else(|| Failure::local("the bank's store lacks its keyset"))
}

/// Puts as much into circulation as will be spent.
fn fund(setting: &Setting, store: &mut BankStore, keyset: KeysetNumber, units: u64) -> Outcome {
    let account = AccountId(hash::sha256(&[b"preload"]));
    let large = units.div_ceil(1 << LARGE_EXPONENT);
    let amount = Amount::new(large << LARGE_EXPONENT);
    let amount = amount.ok_or_else(|| Failure::local("more money than there can be"))?;
    setting.credit(account, large << LARGE_EXPONENT)?;
    let outputs = (0..large).map(|number| output(keyset, LARGE_EXPONENT, b"large", number));
    let withdrawal = Withdrawal {
        request: RequestId(hash::sha256(&[b"fund"])),
        account,
        money: amount.of(currency()),
        outputs: outputs.collect(),
        at: SystemClock.now(),
    };
    apply(store, vec![BankCommand::Withdraw(withdrawal)])
}

fn exchange(keyset: KeysetNumber, number: u64, slots: u64) -> BankCommand {
    let request = RequestId(hash::sha256(&[b"request", &number.to_be_bytes()]));
    let first = number * WIDTH;
    let inputs = (first..first + WIDTH).map(|slot| spend(keyset, request, slot, slots));
    BankCommand::Exchange(Exchange {
        request,
        currency: currency(),
        inputs: inputs.collect(),
        outputs: vec![output(keyset, WIDTH_EXPONENT, b"output", number)],
    })
}

/// A coin of one unit, spent whole. Its key lies in the slot's part of all keys.
fn spend(keyset: KeysetNumber, request: RequestId, slot: u64, slots: u64) -> CoinSpend {
    let mut key = hash::sha256(&[b"coin", &slot.to_be_bytes()]);
    let place = (u128::from(slot) << 64) / u128::from(slots);
    key[..8].copy_from_slice(&place.to_be_bytes()[8..]);
    let body = Spend {
        request,
        key: VerifyingKey(key),
        sequence: 0,
        amount: Amount::power_of_two(0).expect("one"),
    };
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&request.0);
    signature[32..].copy_from_slice(&hash::sha256(&[&key]));
    CoinSpend {
        keyset,
        exponent: 0,
        spend: Signed {
            body,
            signature: Signature(signature),
        },
    }
}

fn output(keyset: KeysetNumber, exponent: u8, purpose: &[u8], number: u64) -> SignedOutput {
    let name = hash::sha256(&[purpose, &number.to_be_bytes()]);
    let mut bytes = [0; 48];
    bytes[..32].copy_from_slice(&name);
    SignedOutput {
        keyset,
        exponent,
        blinded: BlindedMessage(bytes),
        signature: BlindSignature(bytes),
    }
}

fn apply(store: &mut BankStore, commands: Vec<BankCommand>) -> Outcome {
    for result in store.apply(commands)? {
        result.map_err(|refusal| Failure::from_error(&refusal))?;
    }
    Ok(())
}
