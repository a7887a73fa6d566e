//! Messages that decode and are signed well, but whose lists, order or sums make no sense.

use bauta_crypto::sign::SigningKey;
use bauta_proto::{
    codec::{Message, MessageType},
    coin::{ExchangeRequest, Input, authorize},
    ids::AccountId,
    limits::{INPUTS_MAX, NAME_BYTES_MAX, SEQUENCE_MAX},
    lock::{LockRequest, Payer},
    time::Seconds,
};

use crate::{
    kinds::Kind,
    vector::{Expect, Vector},
    world::{WORLD, amount, key, outputs},
};

/// Every vector by its name.
pub(super) fn all() -> Vec<(String, Vector)> {
    let mut vectors = lock_requests();
    vectors.extend(exchanges());
    vectors.extend(others());
    let named = vectors.into_iter();
    named
        .map(|(name, vector)| (name.to_owned(), vector))
        .collect()
}

fn form(kind: &str, comment: &str, bytes: Vec<u8>) -> Vector {
    Vector {
        comment: comment.to_owned(),
        kind: Kind::named(kind).expect("a kind of the table"),
        expect: Expect::Form,
        signer: None,
        id: None,
        bytes,
    }
}

/// A lock request with one change, signed by all its coins.
fn lock_request(comment: &str, change: impl FnOnce(&mut LockRequest, &mut Vec<Input>)) -> Vector {
    let mut request = WORLD.lock_request.clone();
    let mut inputs = WORLD.inputs();
    change(&mut request, &mut inputs);
    let keys: Vec<&SigningKey> = inputs.iter().map(|input| key_of(input)).collect();
    if matches!(request.payer, Payer::Coins(_)) {
        request.payer = Payer::Coins(inputs.clone());
    }
    let request = authorize(request, &inputs, &keys);
    form("Authorized<LockRequest>", comment, request.to_bytes())
}

fn key_of(input: &Input) -> &'static SigningKey {
    let mut coins = WORLD.coins.iter();
    let coin = coins.find(|coin| coin.input.key == input.key);
    &coin.unwrap_or(&WORLD.coins[0]).key
}

fn lock_requests() -> Vec<(&'static str, Vector)> {
    vec![
        (
            "lock-request-amount-zero",
            lock_request(
                "nothing is locked, the coins pay for change",
                |request, inputs| {
                    request.amount.amount = amount(0);
                    inputs[0].amount = amount(5);
                    inputs[1].amount = amount(8);
                },
            ),
        ),
        (
            "lock-request-sum",
            lock_request(
                "coins give one unit more than price and change take",
                |request, _| {
                    request.amount.amount = amount(498);
                },
            ),
        ),
        (
            "lock-request-no-coin",
            lock_request("no coin is spent", |_, inputs| inputs.clear()),
        ),
        (
            "lock-request-coin-twice",
            lock_request("the same coin twice", |_, inputs| {
                inputs[1] = inputs[0].clone()
            }),
        ),
        (
            "lock-request-coin-order",
            lock_request("coins in descending order", |_, inputs| inputs.reverse()),
        ),
        (
            "lock-request-nothing-taken",
            lock_request("nothing is taken from a coin", |request, inputs| {
                inputs[0].amount = amount(0);
                request.amount.amount = amount(243);
            }),
        ),
        (
            "lock-request-more-than-coin",
            lock_request("more is taken than the coin was issued for", |_, inputs| {
                inputs[0].amount = amount(257);
                inputs[1].amount = amount(255);
            }),
        ),
        (
            "lock-request-sequence-limit",
            lock_request("a coin beyond its last sequence number", |_, inputs| {
                inputs[0].sequence = SEQUENCE_MAX;
            }),
        ),
        (
            "lock-request-denomination",
            lock_request("there is no denomination 2^40", |_, inputs| {
                inputs[0].exponent = 40;
            }),
        ),
        (
            "lock-request-output-order",
            lock_request("change in descending order", |request, _| {
                request.change.reverse();
            }),
        ),
        ("lock-request-account-change", account_with_change()),
        ("lock-request-signature-missing", signature_missing()),
    ]
}

fn account_with_change() -> Vector {
    let world = &*WORLD;
    let account = AccountId::from(world.account.verifying_key());
    let mut request = world.lock_request.clone();
    request.payer = Payer::Account {
        account,
        nonce: [0x1c; 16],
    };
    let signature = world
        .account
        .sign(MessageType::LockRequest as u16, &request.to_bytes());
    let mut request = authorize(request, &[], &[]);
    request.signatures.push(signature);
    form(
        "Authorized<LockRequest>",
        "a named payer asks for change",
        request.to_bytes(),
    )
}

fn signature_missing() -> Vector {
    let world = &*WORLD;
    let keys = world.coin_keys();
    let mut request = authorize(world.lock_request.clone(), &world.inputs(), &keys);
    request.signatures.pop();
    form(
        "Authorized<LockRequest>",
        "two coins, one signature",
        request.to_bytes(),
    )
}

fn exchanges() -> Vec<(&'static str, Vector)> {
    let world = &*WORLD;
    let exchange = |comment: &str, inputs: Vec<Input>, exponents: &[u8]| {
        let keys: Vec<&SigningKey> = inputs.iter().map(|input| key_of(input)).collect();
        let request = ExchangeRequest {
            bank: world.bank_id(),
            inputs: inputs.clone(),
            outputs: outputs(&world.keyset, exponents),
        };
        let request = authorize(request, &inputs, &keys);
        form("Authorized<ExchangeRequest>", comment, request.to_bytes())
    };
    vec![
        (
            "exchange-request-sum",
            exchange("coins of 512 for one of 256", world.inputs(), &[8]),
        ),
        (
            "exchange-request-nothing-for-coins",
            exchange("coins for nothing", world.inputs(), &[]),
        ),
        (
            "exchange-request-too-many-coins",
            exchange(
                "65 coins, one more than a request takes",
                many_inputs(INPUTS_MAX + 1),
                &[0, 6],
            ),
        ),
    ]
}

/// Inputs of one unit each, in order.
fn many_inputs(count: usize) -> Vec<Input> {
    let input = |position: usize| {
        let seed = u8::try_from(position).expect("fewer than 256");
        Input {
            key: key(seed).verifying_key(),
            exponent: 0,
            amount: amount(1),
            ..WORLD.coins[0].input.clone()
        }
    };
    let mut inputs: Vec<Input> = (0..count).map(input).collect();
    inputs.sort_by_key(|input| input.key);
    inputs
}

fn others() -> Vec<(&'static str, Vector)> {
    let world = &*WORLD;
    let mut keyset = world.keyset.clone();
    keyset.issue_until = keyset.spend_until.plus(Seconds(1));
    let mut keyless = world.keyset.clone();
    keyless.keys.clear();
    let mut terms = world.offer.terms().clone();
    terms.file_name = "n".repeat(NAME_BYTES_MAX + 1);
    let signed_by_bank = |vector: Vector| Vector {
        signer: Some(world.bank.verifying_key()),
        ..vector
    };
    vec![
        (
            "keyset-times",
            signed_by_bank(form(
                "Signed<Keyset>",
                "coins are issued after they can be spent",
                keyset.signed(&world.bank).to_bytes(),
            )),
        ),
        (
            "keyset-no-key",
            signed_by_bank(form(
                "Signed<Keyset>",
                "a keyset without keys",
                keyless.signed(&world.bank).to_bytes(),
            )),
        ),
        (
            "terms-file-name-too-long",
            form("Terms", "a file name of 256 bytes", terms.to_bytes()),
        ),
    ]
}
