//! The longest lists fit into the longest messages, and one byte more is refused before it is read.

use bauta_proto::{
    account::{Entry, EntryKind, Standing, Statement, WithdrawRequest},
    codec::{DecodeError, Message},
    coin::{
        Authorized, ExchangeRequest, Issued, KeysetList, PublishedKeyset, RestoreRequest, Restored,
        RestoredOutput, authorize,
    },
    ids::LockTag,
    limits::{
        CLAIMS_MAX, INPUTS_MAX, KEYSET_KEYS_MAX, KEYSETS_MAX, LOCK_STATUS_MAX, NAME_BYTES_MAX,
        OUTPUTS_MAX, RECEIPT_BYTES_MAX, RESTORE_OUTPUTS_MAX, STATEMENT_ENTRIES_MAX, TEXT_BYTES_MAX,
    },
    lock::{
        Claim, ClaimOutcome, ClaimReply, ClaimRequest, LeafProof, LockReply, LockState, LockStatus,
        LockStatusRequest, Payer, TaggedLockState,
    },
    log::leaf::Deed,
    offer::OrderReply,
};

use crate::{
    kinds::KINDS,
    world::{NOW, WORLD, amount, euro, outputs},
};

fn fits<M: Message>(message: &M) {
    let bytes = message.to_bytes();
    assert!(
        M::from_bytes(&bytes).is_ok(),
        "{:?} takes {} bytes of {}",
        M::TYPE,
        bytes.len(),
        M::BYTES_MAX
    );
}

/// The same element many times: only lengths matter here.
fn many<T: Clone>(element: T, count: usize) -> Vec<T> {
    vec![element; count]
}

#[test]
fn one_byte_above_the_limit_is_refused_for_its_length() {
    for kind in KINDS {
        let refusal = kind.decode(&vec![0; kind.bytes_max + 1], None).err();
        let is_too_long = matches!(refusal, Some(DecodeError::TooLong { .. }));
        assert!(is_too_long, "{}", kind.name);
    }
}

#[test]
fn the_longest_lists_of_coins_fit() {
    let world = &*WORLD;
    let output = outputs(&world.keyset, &[0]).remove(0);
    let signature = world.issue(&output);
    let inputs = many(world.coins[0].input.clone(), INPUTS_MAX);
    let keys = many(&world.coins[0].key, INPUTS_MAX);
    let exchange = ExchangeRequest {
        bank: world.bank_id(),
        inputs: inputs.clone(),
        outputs: many(output.clone(), OUTPUTS_MAX),
    };
    let exchange: Authorized<ExchangeRequest> = authorize(exchange, &inputs, &keys);
    fits(&exchange);
    let mut lock = world.lock_request.clone();
    lock.payer = Payer::Coins(inputs.clone());
    lock.change = many(output.clone(), OUTPUTS_MAX);
    fits(&authorize(lock, &inputs, &keys));
    fits(&LockReply {
        lock: world.lock.lock().clone(),
        change: many(signature, OUTPUTS_MAX),
    });
    fits(&Issued {
        signatures: many(signature, OUTPUTS_MAX),
    });
    let withdraw = WithdrawRequest {
        bank: world.bank_id(),
        account: world.account_id(),
        outputs: many(output.clone(), OUTPUTS_MAX),
    };
    fits(&withdraw.signed(&world.account));
    fits(&RestoreRequest {
        bank: world.bank_id(),
        blinded: many(output.blinded, RESTORE_OUTPUTS_MAX),
    });
    let restored = RestoredOutput { output, signature };
    fits(&Restored {
        outputs: many(restored, RESTORE_OUTPUTS_MAX),
    });
}

#[test]
fn the_longest_list_of_keysets_fits() {
    let world = &*WORLD;
    let mut keyset = world.keyset.clone();
    keyset.keys = many(keyset.keys[0], KEYSET_KEYS_MAX);
    let published = PublishedKeyset {
        keyset: keyset.signed(&world.bank),
        receipt: many(b'=', RECEIPT_BYTES_MAX),
    };
    fits(&published.keyset);
    fits(&KeysetList {
        keysets: many(published, KEYSETS_MAX),
    });
}

#[test]
fn the_longest_statement_fits() {
    let entry = Entry {
        number: 1,
        booked_at: NOW,
        kind: EntryKind::Credit,
        amount: amount(1),
        balance: amount(1),
    };
    fits(&Statement {
        currency: euro(0).currency,
        balance: amount(1),
        standing: Standing::Open,
        entries: many(entry, STATEMENT_ENTRIES_MAX),
    });
}

#[test]
fn the_longest_lists_of_locks_fit() {
    let world = &*WORLD;
    let lock_tag = LockTag([1; 32]);
    fits(&LockStatusRequest {
        bank: world.bank_id(),
        lock_tags: many(lock_tag, LOCK_STATUS_MAX),
    });
    let state = LockState::Captured { preimage: [2; 32] };
    let status = LockStatus {
        bank: world.bank_id(),
        locks: many(TaggedLockState { lock_tag, state }, LOCK_STATUS_MAX),
    };
    fits(&status.signed(&world.bank));
    fits(&ClaimReply {
        outcomes: many(ClaimOutcome::Credited, CLAIMS_MAX),
    });
}

#[test]
fn a_claim_with_the_longest_receipt_fits_and_so_do_all_claims_with_usual_ones() {
    let world = &*WORLD;
    let claims = |count, receipt_bytes| ClaimRequest {
        bank: world.bank_id(),
        claims: many(
            Claim {
                lock_tag: LockTag([1; 32]),
                payee: world.payee.clone(),
                proofs: vec![LeafProof {
                    deed: Deed::Commit,
                    preimage: [2; 32],
                    receipt: many(b'=', receipt_bytes),
                }],
            },
            count,
        ),
    };
    fits(&claims(1, RECEIPT_BYTES_MAX));
    fits(&claims(CLAIMS_MAX, 4_000));
}

#[test]
fn the_longest_terms_fit() {
    let mut reply: OrderReply = WORLD.offer.reply().clone();
    let terms = &mut reply.terms;
    for name in [
        &mut terms.title,
        &mut terms.file_name,
        &mut terms.media_type,
    ] {
        *name = "n".repeat(NAME_BYTES_MAX);
    }
    for text in [
        &mut terms.description,
        &mut terms.licence,
        &mut terms.refund_rule,
    ] {
        *text = "t".repeat(TEXT_BYTES_MAX);
    }
    assert!(terms.is_within_limits());
    fits(&reply.terms);
    fits(&reply);
}
