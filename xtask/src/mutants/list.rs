//! The mutants: each takes out what stops one attack of `crates/bauta-sim/tests/liars`.

use super::{Edit, Mutant};

const fn edit(
    file: &'static str,
    place: &'static str,
    expression: &'static str,
    replacement: &'static str,
) -> Edit {
    Edit {
        file,
        place,
        expression,
        replacement,
    }
}

/// An expression that stands in its file only once.
const fn alone(file: &'static str, expression: &'static str, replacement: &'static str) -> Edit {
    edit(file, expression, expression, replacement)
}

const CHECK: &str = "crates/bauta-server/src/roles/bank/check.rs";
const LOCK: &str = "crates/bauta-server/src/roles/bank/endpoints/lock.rs";
const WITHDRAW: &str = "crates/bauta-server/src/roles/bank/endpoints/withdraw.rs";
const EXCHANGE: &str = "crates/bauta-server/src/roles/bank/endpoints/exchange.rs";
const CAPTURE: &str = "crates/bauta-server/src/roles/bank/endpoints/capture.rs";
const CLAIM: &str = "crates/bauta-server/src/roles/bank/endpoints/claim.rs";
const FOLLOW: &str = "crates/bauta-server/src/roles/bank/follow.rs";
const LOCKS: &str = "crates/bauta-store/src/bank/locks.rs";
const COINS: &str = "crates/bauta-store/src/bank/coins.rs";
const ACCOUNTS: &str = "crates/bauta-store/src/bank/accounts.rs";
const ARCHIVE_STORE: &str = "crates/bauta-store/src/archive/mod.rs";
const SQLITE: &str = "crates/bauta-store/src/sqlite.rs";
const LEAF: &str = "crates/bauta-server/src/roles/archive/endpoints/leaf.rs";
const RECORD: &str = "crates/bauta-server/src/roles/archive/endpoints/record.rs";
const PUBLISH: &str = "crates/bauta-server/src/roles/archive/publish.rs";
const ARCHIVE: &str = "crates/bauta-server/src/roles/archive/slot.rs";
const ORDER: &str = "crates/bauta-server/src/roles/merchant/endpoints/order.rs";
const ACCEPT: &str = "crates/bauta-server/src/roles/merchant/endpoints/accept.rs";
const PREPARE: &str = "crates/bauta-server/src/roles/merchant/prepare.rs";
const SALE: &str = "crates/bauta-server/src/roles/merchant/sale.rs";
const RECEIPTS: &str = "crates/bauta-server/src/roles/merchant/receipts.rs";
const PROTO_LOCK: &str = "crates/bauta-proto/src/lock.rs";
const DECISION: &str = "crates/bauta-proto/src/decision.rs";
const MERCHANT: &str = "crates/bauta-proto/src/merchant.rs";
const CUSTOMER: &str = "crates/bauta-proto/src/customer.rs";
const SUBMISSION: &str = "crates/bauta-proto/src/submission.rs";
const WITNESS: &str = "crates/bauta-proto/src/log/witness.rs";
const WITNESS_STORE: &str = "crates/bauta-store/src/witness/mod.rs";
const READER: &str = "crates/bauta-proto/src/log/reader.rs";
const RECEIPT: &str = "crates/bauta-proto/src/log/receipt.rs";
const NOTE: &str = "crates/bauta-crypto/src/note/mod.rs";
const SIGN: &str = "crates/bauta-crypto/src/sign.rs";
const CONTENT: &str = "crates/bauta-crypto/src/content.rs";
const STREAM: &str = "crates/bauta-crypto/src/content/stream.rs";
const WALLET_LOCK: &str = "crates/bauta-wallet/src/purchase/lock.rs";
const WALLET_BANK: &str = "crates/bauta-wallet/src/bank.rs";
const WALLET_ISSUE: &str = "crates/bauta-wallet/src/issue.rs";
const DOWNLOAD: &str = "crates/bauta-wallet/src/purchase/download.rs";
const SAVE: &str = "crates/bauta-wallet/src/purchase/save.rs";
const SETTLE: &str = "crates/bauta-wallet/src/purchase/settle.rs";

/// The database's own rules are off: they stand behind many checks.
const RULES_OFF: [Edit; 2] = [
    alone(SQLITE, r#""temp_store""#, r#""ignore_check_constraints""#),
    alone(SQLITE, r#""MEMORY""#, r#""ON""#),
];

/// How money leaves an account.
const TAKE: &str = "\"UPDATE balances SET balance = balance - ?3, entries = entries + 1
         WHERE account = ?1 AND currency = ?2 AND balance >= ?3
           AND EXISTS (SELECT 1 FROM accounts WHERE account = ?1 AND standing = 1)
         RETURNING entries, balance\"";
/// How a coin is spent for the second time and later.
const NEXT_SPEND: &str = "\"UPDATE coins SET remaining = remaining - ?5, locked = locked + ?6, sequence = sequence + 1,
                spend_request = ?7, spend_amount = ?5, spend_signature = ?8
             WHERE key = ?1 AND keyset = ?2 AND exponent = ?3 AND sequence = ?4 AND remaining >= ?5\"";
/// How a witness keeps what it has cosigned, under triggers that let no log shrink and no time go back.
const KEEP: &str = "\"INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (origin) DO UPDATE
             SET size = excluded.size, root = excluded.root, cosigned_at = excluded.cosigned_at, note = excluded.note\"";
/// The same past the triggers.
const KEEP_ANYTHING: &str = "\"INSERT OR REPLACE INTO log VALUES (?1, ?2, ?3, ?4, ?5)\"";
/// How a payee is paid.
const PAY: &str =
    "\"UPDATE locks SET claimed_by = ?2 WHERE lock_tag = ?1 AND state = 2 AND claimed_by IS NULL
         RETURNING currency, amount, payer\"";

/// One line for each mutant: its name, the edits that make it up, the attacks that succeed then.
macro_rules! mutants {
    ($($name:literal: [$($edit:expr),+ $(,)?] => $($script:literal),+;)*) => {
        pub(super) const MUTANTS: &[Mutant] = &[$(
            Mutant { name: $name, edits: &[$($edit),+], scripts: &[$($script),+] },
        )*];
    };
}

/// What is left of a checked signature.
macro_rules! believed {
    ($value:literal) => {
        concat!("Ok::<_, bauta_crypto::sign::SignatureError>(", $value, ")")
    };
}

mutants! {
    // Coins and accounts.
    "a coin does not sign what it pays for": [
        alone(CHECK, "body.verify(&input.key, signature).is_err()", "false"),
    ] => "stranger::coins_of_one_request_taken_apart", "stranger::change_turned_to_a_stranger";
    "a coin needs no bank": [
        alone(CHECK, "!issuer.verify(&input.name().to_bytes(), &input.signature)", "false"),
    ] => "customer::a_coin_of_ones_own_making";
    "a lock may outlive its coins": [
        edit(CHECK, "if settle_until >= record.settle_until =>", "settle_until >= record.settle_until", "false"),
    ] => "customer::a_lock_that_outlives_its_coins";
    "price and change need not be what the coins give": [
        edit(PROTO_LOCK, "if given != taken {", "given != taken", "false"),
        edit(LOCKS, "if !is_balanced(given(inputs), taken) {", "!is_balanced(given(inputs), taken)", "false"),
    ] => "customer::price_and_change_beyond_the_coins";
    "an exchange need not balance": [
        edit(EXCHANGE, "if given == wanted {", "given == wanted", "true"),
        alone(COINS, "!is_balanced(given(inputs), wanted(outputs))", "false"),
        RULES_OFF[0],
        RULES_OFF[1],
    ] => "customer::more_coins_out_of_an_exchange";
    "an account may be overdrawn": [
        edit(WITHDRAW, "can_pay.map_err(check::refusal)?;", "can_pay.map_err(check::refusal)", "Ok::<(), Problem>(())"),
        alone(ACCOUNTS, TAKE, "\"UPDATE balances SET balance = balance - ?3, entries = entries + 1
         WHERE account = ?1 AND currency = ?2 RETURNING entries, balance\""),
        RULES_OFF[0],
        RULES_OFF[1],
    ] => "customer::more_coins_than_the_account_holds";
    "a spent coin is taken again": [
        edit(COINS, "if changed == 0 {", "changed == 0", "false"),
        RULES_OFF[0],
        RULES_OFF[1],
    ] => "customer::one_coin_in_two_locks";
    "a coin's sequence number does not matter": [
        alone(COINS, NEXT_SPEND, "\"UPDATE coins SET remaining = remaining - ?5, locked = locked + ?6, sequence = sequence + 1,
                spend_request = ?7, spend_amount = ?5, spend_signature = ?8
             WHERE key = ?1 AND keyset = ?2 AND exponent = ?3 AND sequence >= ?4 AND remaining >= ?5\""),
    ] => "customer::a_part_of_a_coin_spent_again";
    "a coin gives more than is left on it": [
        alone(COINS, NEXT_SPEND, "\"UPDATE coins SET remaining = remaining - ?5, locked = locked + ?6, sequence = sequence + 1,
                spend_request = ?7, spend_amount = ?5, spend_signature = ?8
             WHERE key = ?1 AND keyset = ?2 AND exponent = ?3 AND sequence = ?4\""),
        RULES_OFF[0],
        RULES_OFF[1],
    ] => "customer::more_than_is_left_on_a_coin";
    "an output may be signed twice": [
        edit(COINS, "if inserted == 0 {", "inserted == 0", "false"),
    ] => "customer::change_outputs_replayed", "stranger::a_withdrawal_replayed";
    "a lock request is done again when it comes again": [
        edit(LOCKS, "if !insert(transaction, lock)? {", "!insert(transaction, lock)?", "{ insert(transaction, lock)?; false }"),
    ] => "stranger::a_lock_request_replayed";
    "an account does not sign its lock": [
        alone(LOCK, "request.verify(&account.key(), one).is_ok()", "true"),
    ] => "stranger::anothers_account_locked";
    "an account does not sign its withdrawal": [
        alone(WITHDRAW, "signed
        .verified(&key)", believed!("&signed.body")),
    ] => "stranger::anothers_account_emptied";
    "a lock's serial is no secret of the bank's": [
        alone(LOCK, "[purpose, request_id.as_bytes()]", "[purpose, &[]]"),
    ] => "stranger::a_second_lock_on_somebodys_hash";

    // Captures, releases and claims.
    "anybody may claim": [
        alone(CLAIM, "claim.payee.bank != bank.bank_id() || payee != lock.payee", "false"),
        edit(LOCKS, "Some(row) if row.payee != claim.payee =>", "row.payee != claim.payee", "false"),
    ] => "stranger::a_claim_by_a_stranger";
    "a lock may be claimed twice": [
        alone(LOCKS, "row.claimed_by.is_some()", "false"),
        alone(LOCKS, PAY, "\"UPDATE locks SET claimed_by = ?2 WHERE lock_tag = ?1 AND state = 2
         RETURNING currency, amount, payer\""),
        RULES_OFF[0],
        RULES_OFF[1],
    ] => "stranger::one_sale_claimed_twice";
    "anybody may release": [
        edit(LOCKS, ".prepare_cached(BY_PAYEE)?", "BY_PAYEE", "\"UPDATE locks SET state = 4, preimage = NULL
         WHERE lock_tag = ?1 AND state IN (1, 3) AND ?2 IS NOT NULL RETURNING currency, amount, payer\""),
    ] => "customer::money_back_after_the_key";
    "a payee may release what it was paid": [
        edit(LOCKS, ".prepare_cached(BY_PAYEE)?", "BY_PAYEE", "\"UPDATE locks SET state = 4, preimage = NULL
         WHERE lock_tag = ?1 AND payee = ?2 RETURNING currency, amount, payer\""),
        RULES_OFF[0],
        RULES_OFF[1],
    ] => "merchant::a_release_of_what_was_sold";
    "the bank takes any secret": [
        alone(CAPTURE, "opens(&request.preimage, &lock.public.hash_lock)", "true"),
        alone(LOCKS, "!opens(preimage, &row.hash_lock)", "false"),
    ] => "stranger::another_secret_brought_to_the_bank";
    "the bank takes a secret after the expiry": [
        alone(LOCKS, "at > lock.commit_until()", "false"),
        alone(LOCKS, "!bank_takes(&lock, outcome, at)", "false"),
    ] => "merchant::a_secret_brought_late_to_the_bank";
    "a receipt need not be of its leaf": [
        alone(RECEIPT, "merkle::check_inclusion(
            &self.path,
            size,
            root,
            self.index,
            leaf.hash(),
        )", "Ok::<(), merkle::MerkleError>(())"),
    ] => "merchant::the_receipt_of_another_lock";
    "the bank believes no receipt": [
        alone(CLAIM, "lock.is_undecided() && !claim.proofs.is_empty()", "false"),
    ] => "archive::one_history_for_the_bank_one_for_the_shop";

    // How the bank follows the log.
    "an early checkpoint may release": [
        alone(DECISION, "checkpoint.map(|checkpoint| age(checkpoint, until))", "checkpoint.map(|_| Age::Late)"),
    ] => "archive::an_early_abort";
    "the bank goes by the log's clock alone": [
        alone(FOLLOW, "self.now().minus(CLOCK_TOLERANCE)", "Timestamp(4_000_000_000)"),
    ] => "archive::a_checkpoint_dated_ahead";
    "a leaf pays whatever secret is in it": [
        alone(PROTO_LOCK, "opens(&leaf.value, &self.hash_of(deed)?)", "true"),
    ] => "archive::a_leaf_with_another_secret";
    "a leaf pays by its own expiry": [
        alone(PROTO_LOCK, "self.expiry == leaf.expiry", "true"),
    ] => "archive::a_leaf_with_another_expiry";
    "a leaf pays whenever it comes": [
        alone(DECISION, "age(checkpoint, lock.expiry) == Age::Early", "true"),
        alone(DECISION, "age(checkpoint, lock.commit_until()) == Age::Early", "true"),
    ] => "archive::a_leaf_written_late";
    "entries are not proved to be the tree's": [
        edit(READER, "match self.prove_prefix(end, frontier.root(), checkpoint).await {", "self.prove_prefix(end, frontier.root(), checkpoint).await", "Ok::<(), ReadError>(())"),
    ] => "archive::a_leaf_hidden_from_the_bank", "archive::two_histories_for_one_bank";
    "a cosignature's time is not signed": [
        alone(NOTE, "verify(cosigner, &cosigned(time_s, text), signature).ok()", "Some(())"),
    ] => "archive::an_old_checkpoint_under_a_later_time";

    // The archive.
    "the log takes what is too late": [
        alone(LEAF, "now > lock.taken_until(submission.deed)", "false"),
    ] => "merchant::a_commit_after_the_expiry";
    "the log takes the expiry on the sender's word": [
        alone(SUBMISSION, "bank.verify(MessageType::Lock as u16, &statement, &self.signature)", believed!("()")),
    ] => "stranger::a_commit_with_another_expiry";
    "the log takes any secret": [
        alone(SUBMISSION, "self.lock.deed_of(&leaf) != Some(self.deed)", "false"),
    ] => "merchant::a_commit_of_another_secret";
    "anybody may record in a bank's name": [
        alone(RECORD, "record
        .verified(&bank.key())", believed!("&record.body")),
    ] => "stranger::a_record_in_the_banks_name";
    "a promise is made anew each time": [
        edit(ARCHIVE, "promised_at: appended.promised_at", "appended.promised_at", "now"),
    ] => "archive::a_commit_promised_twice";
    "the log's times go back with its clock": [
        alone(PUBLISH, "self.clock.now().max(current.cosigned_at)", "self.clock.now()"),
        alone(ARCHIVE_STORE, "new.cosigned_at >= old.cosigned_at", "true"),
    ] => "archive::a_clock_set_back";

    // What the merchant checks before its secret goes.
    "a lock may be for less": [
        alone(MERCHANT, "private.amount == offer.price", "true"),
    ] => "customer::a_lock_for_less_than_the_price";
    "a lock may pay another": [
        alone(MERCHANT, "private.payee == offer.payee", "true"),
    ] => "customer::a_lock_that_pays_somebody_else";
    "a lock may wait for another secret": [
        alone(MERCHANT, "public.hash_lock == offer.hash_lock", "true"),
    ] => "customer::a_lock_under_another_hash";
    "a lock may be any bank's": [
        alone(MERCHANT, "public.bank == offer.bank", "true"),
    ] => "customer::a_lock_of_ones_own_bank";
    "a lock needs no bank's word": [
        alone(MERCHANT, "lock.check_signature()", believed!("()")),
    ] => "customer::a_lock_without_the_banks_word";
    "a lock may go by another log": [
        alone(LOCK, "request.log_policy != bank.policy.policy_id()", "false"),
        alone(MERCHANT, "public.log_policy == offer.log_policy", "true"),
    ] => "customer::a_lock_under_another_log";
    "a lock may be about to expire": [
        alone(MERCHANT, "lock.public.expiry < now.plus(offer.lock_min)", "false"),
        alone(SALE, "expiry < now.plus(self.margins.lock_min())", "false"),
    ] => "customer::a_lock_about_to_expire";
    "anybody may accept": [
        alone(MERCHANT, "request.accept.verified(&offer.pseudonym.key())", believed!("&request.accept.body")),
    ] => "stranger::an_acceptance_by_a_stranger";
    "anybody may ask for a delivery again": [
        alone(ACCEPT, "request.accept.verified(&offer.pseudonym.key())", believed!("&request.accept.body")),
    ] => "stranger::a_delivery_fetched_by_a_stranger";
    "the secret follows from the nonce alone": [
        alone(MERCHANT, "[purpose, &order_id, &time]", "[purpose, &order.nonce, &time]"),
    ] => "customer::one_nonce_for_two_goods";
    "every sale has the same secret": [
        alone(MERCHANT, "[purpose, &order_id, &time]", "[purpose, &[], &[]]"),
    ] => "merchant::one_hash_for_two_sales";
    "a shop takes orders that name another": [
        alone(ORDER, "request.merchant != merchant.merchant_id()", "false"),
    ] => "merchant::an_order_replayed_to_another_shop";

    // Where the merchant's secret goes, and whom it believes.
    "the secret never goes to the bank": [
        edit(MERCHANT, "(false, true, _) => Route::LogAndBank,", "Route::LogAndBank", "Route::Log"),
        alone(SALE, "self.captured(&order, self.capture(&order, &lock).await)", "self.later(&order, None)"),
    ] => "archive::leak_and_deny", "archive::a_contradictory_abort";
    "a promise is as good as its receipt": [
        edit(RECEIPTS, "Route::LogAndBank => true,", "true", "false"),
    ] => "archive::a_promise_that_is_not_kept";
    "any leaf at the promised place will do": [
        alone(READER, "merkle::check_inclusion(&path, size, root, index, leaf.hash())", "Ok::<(), MerkleError>(())"),
    ] => "archive::a_promise_of_anothers_place";
    "a promise may be for another leaf": [
        alone(SALE, "said.log == log.name && said.leaf_hash == submission.leaf().hash()", "said.log == log.name"),
    ] => "archive::a_promise_for_another_leaf";
    "a promise may be of another log": [
        alone(SALE, "said.log == log.name && said.leaf_hash == submission.leaf().hash()", "said.leaf_hash == submission.leaf().hash()"),
    ] => "archive::a_promise_of_another_log";
    "a promise need not be signed": [
        alone(SALE, "promise
            .verified(&log.known.key.key)", believed!("&promise.body")),
    ] => "archive::a_promise_that_is_not_signed";
    "the merchant believes what the bank has not signed": [
        alone(SALE, "status
        .verified(&bank.key())", believed!("&status.body")),
    ] => "bank::released_by_a_word_that_can_be_denied";
    "the merchant keeps no receipt": [
        alone(RECEIPTS, "receipt.to_text().into_bytes()", "Vec::new()"),
    ] => "bank::the_bank_denies_the_lock", "bank::the_bank_releases_what_was_committed";

    // What the customer checks before it pays.
    "another price will do": [
        alone(CUSTOMER, "offer.price != listed || listed.amount.is_zero()", "false"),
    ] => "merchant::a_price_swapped";
    "another's offer will do": [
        alone(CUSTOMER, "!answers(offer, order)", "false"),
    ] => "merchant::the_offer_made_to_another";
    "other terms will do": [
        alone(CUSTOMER, "reply.terms.id() != offer.terms || !reply.terms.is_within_limits()", "false"),
    ] => "merchant::terms_swapped";
    "an offer need not be signed": [
        alone(CUSTOMER, "reply
            .offer
            .verified(&key)", believed!("&reply.offer.body")),
    ] => "merchant::an_offer_that_the_shop_did_not_sign";
    "money may be tied up for months": [
        alone(WALLET_LOCK, "offer.lock_min <= SPAN_UNASKED_MAX", "true"),
    ] => "merchant::money_tied_up_for_months";
    "another ciphertext will do": [
        alone(DOWNLOAD, "self.length == length && self.hasher.finalize() == root", "true"),
    ] => "merchant::another_ciphertext";
    "a lock with another hash will do": [
        alone(CUSTOMER, "public.hash_lock == request.hash_lock", "true"),
    ] => "bank::a_lock_with_another_hash";
    "a lock with another expiry will do": [
        alone(CUSTOMER, "public.expiry == request.expiry", "true"),
        alone(CUSTOMER, "private.dispute_until == request.expiry.plus(request.dispute_window)", "true"),
    ] => "bank::a_lock_with_another_expiry";
    "a lock under another policy will do": [
        alone(CUSTOMER, "public.log_policy == request.log_policy", "true"),
    ] => "bank::a_lock_under_another_policy";
    "a lock with another amount will do": [
        alone(CUSTOMER, "private.amount == request.amount", "true"),
    ] => "bank::a_lock_with_another_amount";
    "a lock with another payee will do": [
        alone(CUSTOMER, "private.payee == request.payee", "true"),
    ] => "bank::a_lock_with_another_payee";
    "a lock with a shorter dispute will do": [
        alone(CUSTOMER, "private.dispute_until == request.expiry.plus(request.dispute_window)", "true"),
    ] => "bank::a_lock_with_a_shorter_dispute";
    "a lock may end before its dispute": [
        alone(CUSTOMER, "private.settle_until >= private.dispute_until", "true"),
    ] => "bank::a_lock_that_ends_before_its_dispute";
    "a lock that is not signed will do": [
        alone(CUSTOMER, "lock.check_signature()", believed!("()")),
    ] => "bank::a_lock_that_is_not_signed";
    "coins are taken unchecked": [
        alone(WALLET_ISSUE, "blind::verify_batch(&items, &mut self.rng)", "true"),
    ] => "bank::change_that_is_no_money", "bank::coins_that_are_no_money";
    "a keyset need not be in the log": [
        alone(WALLET_BANK, "receipt.check(&leaf, policy)", "policy.check(&receipt.checkpoint).map_err(Into::into)"),
    ] => "bank::a_keyset_for_one_customer";
    "a keyset need not be signed": [
        alone(WALLET_BANK, "published.keyset.verified(&bank.key())", believed!("&published.keyset.body")),
    ] => "bank::a_keyset_that_is_not_signed";
    "a bank may change its log for one customer": [
        alone(WALLET_BANK, "bank.bank == published.bank && bank.policy != published.policy.text()", "false"),
    ] => "bank::another_log_for_one_customer";

    // What the customer does after it has paid.
    "any secret from the merchant will do": [
        alone(SETTLE, "opens(accepting, &delivery.preimage)", "true"),
    ] => "merchant::a_wrong_secret_for_delivery";
    "any secret from the bank will do": [
        edit(SETTLE, "if opens(&accepting, &preimage) =>", "opens(&accepting, &preimage)", "true"),
    ] => "bank::captured_with_a_wrong_secret";
    "the customer does not ask the bank": [
        edit(SETTLE, "if opens(&accepting, &preimage) =>", "opens(&accepting, &preimage)", "false"),
    ] => "merchant::the_key_kept_after_the_bank_paid";
    "the customer asks neither bank nor log": [
        edit(SETTLE, "if opens(&accepting, &preimage) =>", "opens(&accepting, &preimage)", "false"),
        alone(SETTLE, "self.leaf_in_logs(&purchase, &accepting).await", "Ok::<Option<[u8; 32]>, WalletError>(None)"),
    ] => "merchant::the_key_kept_after_the_log_paid";
    "the customer believes what the bank has not signed": [
        alone(SETTLE, "status.verified(&bank.bank.key())", believed!("&status.body")),
    ] => "bank::returned_by_a_word_that_can_be_denied";
    "the customer relies on the promise for its receipt": [
        edit(SETTLE, "Err(ReadError::NotYet) if !is_late =>", "!is_late", "true"),
    ] => "merchant::a_promise_of_nothing";
    "any key will do": [
        alone(CONTENT, "!equal_in_constant_time(&expected, commitment)", "false"),
    ] => "merchant::a_key_that_opens_nothing";
    "records are not authenticated": [
        edit(STREAM, "opened.err().map(", "opened.err()", "opened.err().filter(|_| false)"),
    ] => "merchant::a_damaged_record";
    "other contents will do": [
        alone(SAVE, "opened.pt_root != offer.pt_root.0", "false"),
    ] => "merchant::other_contents_than_offered";

    // Mode SAFE.
    "the last of prepare and cancel decides": [
        alone(DECISION, "self.first.is_none()", "true"),
    ] => "safe::a_cancel_after_the_prepare";
    "a cancel cancels nothing": [
        edit(DECISION, "(Some(Deed::Cancel), _) => Word::No,", "Word::No", "Word::Yes"),
    ] => "safe::a_commit_after_the_cancel";
    "a secret may come after the window": [
        alone(LEAF, "now > lock.taken_until(submission.deed)", "false"),
        alone(LOCKS, "at > lock.commit_until()", "false"),
        alone(LOCKS, "!bank_takes(&lock, outcome, at)", "false"),
    ] => "safe::a_reveal_after_the_window";
    "anybody may cancel": [
        alone(SUBMISSION, "self.lock.deed_of(&leaf) != Some(self.deed)", "false"),
    ] => "safe::a_cancel_by_a_stranger";
    "the bank takes the secret of a lock that is not prepared": [
        alone(LOCKS, "!bank_takes(&lock, outcome, at)", "false"),
    ] => "safe::a_secret_past_the_cancel";
    "the key may go behind a cancel": [
        alone(PREPARE, "first_cancel.is_some_and(|cancel| cancel < index)", "false"),
        alone(PREPARE, "word.state == LockState::Prepared", "true"),
        edit(PREPARE, "first_cancel.map_or(Shown::Nothing, |_| Shown::Cancelled)", "first_cancel.map_or(Shown::Nothing, |_| Shown::Cancelled)", "Shown::Nothing"),
    ] => "safe::a_cancel_before_the_key";

    // Witnesses.
    "a witness asks for no proof": [
        alone(WITNESS, "merkle::check_consistency(&request.proof, state.size, state.root, size, root)", "Ok::<(), merkle::MerkleError>(())"),
    ] => "witness::a_second_history_cosigned";
    "a witness cosigns another tree of the same size": [
        alone(WITNESS, "size == state.size && root != state.root", "false"),
        alone(WITNESS, "merkle::check_consistency(&request.proof, state.size, state.root, size, root)", "Ok::<(), merkle::MerkleError>(())"),
        alone(WITNESS_STORE, KEEP, KEEP_ANYTHING),
    ] => "witness::another_tree_of_the_same_size";
    "a witness's times go back with its clock": [
        alone(WITNESS, "now.max(state.cosigned_at)", "now"),
        alone(WITNESS_STORE, "advance.to.cosigned_at.max(stored.cosigned_at)", "advance.to.cosigned_at"),
        alone(WITNESS_STORE, KEEP, KEEP_ANYTHING),
    ] => "witness::a_witness_whose_clock_goes_back";

    // All of them.
    "a signature is for any message": [
        alone(SIGN, "message_type.to_be_bytes()", "[0, 0]"),
    ] => "stranger::one_message_replayed_as_another";
}
