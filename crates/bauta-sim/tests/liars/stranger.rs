//! Somebody who is not part of a purchase, but sees what goes over the wire or knows a public key.

use bauta_proto::{
    codec::{Message, MessageType, Signed},
    coin::Authorized,
    ids::{HashLock, LockTag},
    lock::{Capture, Claim, ClaimOutcome, ClaimRequest, LockReply, LockRequest, LockState, Payer},
    log::leaf::Deed,
    submission::{Promise, Record, Submission},
    transport::{
        archive::{self, SubmitRecord},
        bank, merchant,
    },
};

use crate::{
    net::{BANK, LOG, SHOP},
    purse::{FreshCoin, acceptance_by, account, authorized, key, outputs},
    town::{PRICE, PURSE, Town, foiled, money},
};

/// The attacker's own account and keys.
const MALLORY: u8 = 66;

#[tokio::test]
async fn anothers_account_locked() {
    let town = Town::new().await;
    town.credit(account(1), PRICE, "hers");
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let payer = Payer::Account {
        account: account(1),
        nonce: [0; 16],
    };
    let body = town.lock_body(&offer, payer);
    let signatures = vec![body.sign(&key(MALLORY))];
    let request = Authorized { body, signatures };
    let locked = town.ask::<bank::LockValue>(BANK, &request).await;
    foiled(locked.is_err(), "goods on another's account");
    foiled(town.account_holds(account(1)) == PRICE, "another's money");
}

#[tokio::test]
async fn anothers_account_emptied() {
    let town = Town::new().await;
    town.credit(account(1), 64, "hers");
    let fresh = [FreshCoin::new(&town.keyset().await, 20, 6)];
    let request = town.withdrawal(1, &fresh).signed(&key(MALLORY));
    let issued = town.ask::<bank::Withdraw>(BANK, &request).await;
    foiled(issued.is_err(), "another's money");
}

/// A withdrawal sent again: its owner would pay twice for the same coins.
#[tokio::test]
async fn a_withdrawal_replayed() {
    let town = Town::new().await;
    town.credit(account(1), 128, "hers");
    let fresh = [FreshCoin::new(&town.keyset().await, 20, 6)];
    let request = town.withdrawal(1, &fresh).signed(&key(1));
    let first = town.ask::<bank::Withdraw>(BANK, &request).await;
    let again = town.ask::<bank::Withdraw>(BANK, &request).await;
    foiled(again == first, "the same request, another answer");
    foiled(town.account_holds(account(1)) == 64, "paid twice");
    town.check_books(128);
}

/// A lock request sent again: its coins would pay twice.
#[tokio::test]
async fn a_lock_request_replayed() {
    let town = Town::new().await;
    town.credit(account(1), 2 * PRICE, "hers");
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let payer = Payer::Account {
        account: account(1),
        nonce: [0; 16],
    };
    let body = town.lock_body(&offer, payer);
    let signatures = vec![body.sign(&key(1))];
    let request = Authorized { body, signatures };
    let first = town.ask::<bank::LockValue>(BANK, &request).await;
    let again = town.ask::<bank::LockValue>(BANK, &request).await;
    foiled(again == first, "the same request, another answer");
    foiled(town.account_holds(account(1)) == PRICE, "paid twice");
}

/// Partial list of coins: of two coins that pay together, one is made to pay alone, for something else.
#[tokio::test]
async fn coins_of_one_request_taken_apart() {
    let town = Town::new().await;
    let coins = town.coins(1, 10..12, 8).await;
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let honest = authorized(&[(&coins[0], 0, 256), (&coins[1], 0, 256)], |inputs| {
        LockRequest {
            amount: money(512),
            ..town.lock_body(&offer, Payer::Coins(inputs))
        }
    });
    let Payer::Coins(inputs) = &honest.body.payer else {
        panic!("coins pay");
    };
    let request = Authorized {
        body: LockRequest {
            amount: money(256),
            payee: town.opening(MALLORY).commitment(),
            payer: Payer::Coins(vec![inputs[0].clone()]),
            ..honest.body.clone()
        },
        signatures: vec![honest.signatures[0]],
    };
    let locked = town.ask::<bank::LockValue>(BANK, &request).await;
    foiled(locked.is_err(), "a coin paid for what it did not sign");
}

/// The wire's owner puts his own outputs where the payer's change should be.
#[tokio::test]
async fn change_turned_to_a_stranger() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let keyset = town.keyset().await;
    let change = |number| {
        outputs(&[8, 1].map(|exponent| FreshCoin::new(&keyset, number + exponent, exponent)))
    };
    let price = 512 - 256 - 2;
    let mut request = authorized(&[(&coin, 0, 512)], |inputs| LockRequest {
        amount: money(price),
        change: change(20),
        ..town.lock_body(&offer, Payer::Coins(inputs))
    });
    request.body.change = change(40);
    let locked = town.ask::<bank::LockValue>(BANK, &request).await;
    foiled(locked.is_err(), "another's change");
    foiled(town.coin_state(&coin).await.sequence == 0, "another's coin");
}

/// A stranger claims what the log has paid to the shop.
#[tokio::test]
async fn a_claim_by_a_stranger() {
    let town = Town::new().await;
    let lock_tag = captured(&town).await;
    let claim = Claim {
        lock_tag,
        payee: town.opening(MALLORY),
        proofs: Vec::new(),
    };
    let outcome = claimed(&town, claim).await;
    foiled(outcome != ClaimOutcome::Credited, "another's money");
    foiled(town.account_holds(account(MALLORY)) == 0, "another's money");
}

/// The shop claims its money again.
#[tokio::test]
async fn one_sale_claimed_twice() {
    let town = Town::new().await;
    let lock_tag = captured(&town).await;
    let order = town.sales().remove(0);
    let secrets = bauta_proto::merchant::SaleSecrets::derive(
        &town.seed("merchant").secret("sale"),
        &order.request(),
        order.answered_at,
    );
    let claim = Claim {
        lock_tag,
        payee: secrets.payee(town.bank.bank_id(), order.account),
        proofs: Vec::new(),
    };
    for _ in 0..2 {
        let outcome = claimed(&town, claim.clone()).await;
        assert_eq!(
            outcome,
            ClaimOutcome::Credited,
            "a repeat gets the same answer"
        );
    }
    foiled(town.shop_earned() == PRICE, "paid twice");
    town.check_books(512);
}

/// A sale of one good that is in the log and that the bank has captured, but not paid yet.
async fn captured(town: &Town) -> LockTag {
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let lock = town.lock(&offer, (&coin, 0, PRICE)).await;
    let preimage = town.accept(&offer, &lock).await.expect("paid").preimage;
    let capture = Capture {
        lock_tag: lock.lock_tag(),
        preimage,
    };
    let captured = town.ask::<bank::CaptureLock>(BANK, &capture).await;
    captured.expect("in time");
    lock.lock_tag()
}

async fn claimed(town: &Town, claim: Claim) -> ClaimOutcome {
    let request = ClaimRequest {
        bank: town.bank.bank_id(),
        claims: vec![claim],
    };
    let reply = town.ask::<bank::ClaimLocks>(BANK, &request).await;
    reply.expect("answers").outcomes[0]
}

/// The bank, or whoever else saw lock and offer, accepts in the customer's stead: the merchant would deliver without
/// the customer's word that the ciphertext is there.
#[tokio::test]
async fn an_acceptance_by_a_stranger() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let lock = town.lock(&offer, (&coin, 0, PRICE)).await;
    let forged = acceptance_by(&key(MALLORY), &offer, &lock);
    let delivered = town.ask::<merchant::AcceptOffer>(SHOP, &forged).await;
    foiled(delivered.is_err(), "a delivery that nobody asked for");
    town.settle().await;
    foiled(town.shop_earned() == 0, "a sale without proof");
}

/// Whoever saw a delivery in the making asks for it again, under another name.
#[tokio::test]
async fn a_delivery_fetched_by_a_stranger() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let lock = town.lock(&offer, (&coin, 0, PRICE)).await;
    town.accept(&offer, &lock).await.expect("paid");
    let forged = acceptance_by(&key(MALLORY), &offer, &lock);
    let delivered = town.ask::<merchant::AcceptOffer>(SHOP, &forged).await;
    foiled(delivered.is_err(), "another's delivery");
}

/// Id squatting, and a second lock on somebody's hash: Mallory, who has seen a hash, locks a cent under it first. The
/// customer's lock must be another one, and what becomes of Mallory's must not touch it.
#[tokio::test]
async fn a_second_lock_on_somebodys_hash() {
    let town = Town::new().await;
    let cent = town.coins(MALLORY, 30..31, 0).await.remove(0);
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let payee = town.opening(MALLORY).commitment();
    let squatted = town.lock_changed(&offer, (&cent, 0, 1), |request| {
        request.amount = money(1);
        request.payee = payee;
    });
    let squatted = squatted.await.expect("a lock like any other").lock;
    let locked = town.lock_changed(&offer, (&coin, 0, PRICE), |_| ()).await;
    let is_mine = |reply: &LockReply| {
        reply.lock.private.payee == offer.payee && reply.lock.lock_tag() != squatted.lock_tag()
    };
    foiled(
        locked.as_ref().is_ok_and(is_mine),
        "another's lock in the way",
    );
    let lock = locked.expect("locked").lock;
    let preimage = town.accept(&offer, &lock).await.expect("paid").preimage;
    // The secret is out; Mallory takes his own cent with it, and then the price.
    let capture = Capture {
        lock_tag: squatted.lock_tag(),
        preimage,
    };
    town.ask::<bank::CaptureLock>(BANK, &capture)
        .await
        .expect("his");
    let claim = |lock_tag| Claim {
        lock_tag,
        payee: town.opening(MALLORY),
        proofs: Vec::new(),
    };
    claimed(&town, claim(squatted.lock_tag())).await;
    claimed(&town, claim(lock.lock_tag())).await;
    town.settle().await;
    foiled(town.account_holds(account(MALLORY)) == 1, "another's money");
    foiled(town.shop_earned() == PRICE, "the shop's money");
    town.check_books(513);
}

/// A record in the bank's name: keys that the bank never made would stand in the log as its own.
#[tokio::test]
async fn a_record_in_the_banks_name() {
    let town = Town::new().await;
    let record = Record {
        bank: town.bank.bank_id(),
        valid_until: town.now().plus(bauta_proto::time::Seconds(3_600)),
        subject: [MALLORY; 32],
    };
    let request: Signed<Record> = record.signed(&key(MALLORY));
    let promised = town.ask::<SubmitRecord>(LOG, &request).await;
    foiled(promised.is_err(), "a record of what the bank never said");
}

/// A lock that is committed with an expiry that its bank never gave it: in the source, the log acts on the sender's word.
#[tokio::test]
async fn a_commit_with_another_expiry() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let preimage = [0x5e; 32];
    let locked = town.lock_changed(&offer, (&coin, 0, PRICE), |request| {
        request.hash_lock = HashLock(bauta_crypto::hash::sha256(&[&preimage]));
    });
    let lock = locked.await.expect("locked").lock;
    town.settle().await;
    let mut commit = Submission::new(&lock, Deed::Commit, preimage);
    commit.lock.expiry = town.now().plus(bauta_proto::time::Seconds(60));
    let promised = town.ask::<archive::SubmitLeaf>(LOG, &commit).await;
    foiled(
        promised.is_err(),
        "the log takes an expiry on the sender's word",
    );
}

/// Cross-message replay: every signature that goes over the wire in a purchase is tried as a signature of every other
/// message with the same bytes.
#[tokio::test]
async fn one_message_replayed_as_another() {
    let town = Town::new().await;
    town.good("song");
    let mut customer = town.customer().await;
    customer.buy("song").await.expect("bought");
    town.settle().await;
    customer.resume().await;
    let heard = signed_statements(&town);
    assert!(
        heard.len() > 5,
        "statements of several kinds: {}",
        heard.len()
    );
    for (kind, body, signature, key) in heard {
        key.verify(kind as u16, &body, &signature).expect("its own");
        let others = (0..200_u16).filter(|other| *other != kind as u16);
        let replays = others.filter(|other| key.verify(*other, &body, &signature).is_ok());
        foiled(replays.count() == 0, "one message replayed as another");
    }
    foiled(customer.available() == PURSE - PRICE, "another price");
}

type Statement = (
    MessageType,
    Vec<u8>,
    bauta_crypto::sign::Signature,
    bauta_crypto::sign::VerifyingKey,
);

fn signed<M: Message + tls_codec::Serialize + tls_codec::Deserialize + tls_codec::Size>(
    signed: &Signed<M>,
    key: bauta_crypto::sign::VerifyingKey,
) -> Statement {
    (M::TYPE, signed.body.to_bytes(), signed.signature, key)
}

/// What was signed on the wire: type, body, signature and key.
fn signed_statements(town: &Town) -> Vec<Statement> {
    use bauta_proto::{
        accept::AcceptRequest, account::WithdrawRequest, offer::OrderReply, transport::Endpoint,
    };
    let mut statements = Vec::new();
    for heard in town.ways.heard() {
        let (asked, told) = (&heard.request, &heard.answer.body);
        if heard.answer.status != 200 {
            continue;
        }
        let is = |path: &str| heard.url.ends_with(path);
        if is(merchant::Order::PATH) {
            let reply = OrderReply::from_bytes(told).expect("an offer");
            let key = reply.offer.body.merchant.key();
            statements.push(signed(&reply.offer, key));
        } else if is(merchant::AcceptOffer::PATH) {
            let request = AcceptRequest::from_bytes(asked).expect("an acceptance");
            let order = town.sale(request.accept.body.txid).expect("on record");
            let key = order.offer.body.pseudonym.key();
            statements.push(signed(&request.accept, key));
        } else if is(bank::Withdraw::PATH) {
            let request = Signed::<WithdrawRequest>::from_bytes(asked).expect("a request");
            let key = request.body.account.key();
            statements.push(signed(&request, key));
        } else if is(bank::LockValue::PATH) {
            let request = Authorized::<LockRequest>::from_bytes(asked).expect("a request");
            let id = request.request_id();
            if let Payer::Coins(inputs) = &request.body.payer {
                let spends = inputs.iter().zip(&request.signatures);
                statements.extend(spends.map(|(input, signature)| {
                    let body = input.spend(id);
                    signed(
                        &Signed {
                            body,
                            signature: *signature,
                        },
                        input.key,
                    )
                }));
            }
            let lock = LockReply::from_bytes(told).expect("a lock").lock;
            let statement = bauta_proto::lock::lock_statement(lock.lock_tag(), &lock.private.id());
            let key = lock.public.bank.key();
            statements.push((MessageType::Lock, statement, lock.signature, key));
        } else if is(SubmitRecord::PATH) {
            let record = Signed::<Record>::from_bytes(asked).expect("a record");
            statements.push(signed(&record, record.body.bank.key()));
            let promise = Signed::<Promise>::from_bytes(told).expect("a promise");
            statements.push(signed(&promise, town.log_key().verifying_key()));
        }
    }
    statements
}

/// Whoever has the secret of one lock must not capture another with it.
#[tokio::test]
async fn another_secret_brought_to_the_bank() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let lock = town.lock(&offer, (&coin, 0, PRICE)).await;
    let capture = Capture {
        lock_tag: lock.lock_tag(),
        preimage: [MALLORY; 32],
    };
    let captured = town.ask::<bank::CaptureLock>(BANK, &capture).await;
    foiled(captured.is_err(), "paid for a secret that opens nothing");
    let state = town.state(lock.lock_tag()).await;
    foiled(
        state == LockState::Held,
        "paid for a secret that opens nothing",
    );
}
