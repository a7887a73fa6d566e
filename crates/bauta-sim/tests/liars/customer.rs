//! A customer that wants goods or money for nothing.

use bauta_crypto::hash;
use bauta_proto::{
    account::PayeeOpening,
    codec::{Message, Signed},
    coin::ExchangeRequest,
    ids::{BankId, HashLock, Serial},
    lock::{Lock, LockPrivate, LockPublic, LockState, Release},
    offer::Offer,
    time::Seconds,
    transport::bank,
};

use crate::{
    net::BANK,
    purse::{FreshCoin, PurseCoin, account, authorized, finish, key, outputs},
    town::{PRICE, Town, foiled, money},
};

/// The attacker's own account.
const MALLORY: u8 = 66;
const SECRET: [u8; 32] = [0x5e; 32];

/// A lock request that pays Mallory himself under a hash of his own.
fn to_myself(town: &Town, cents: u64) -> impl FnOnce(&mut bauta_proto::lock::LockRequest) {
    let payee = town.opening(MALLORY).commitment();
    move |request| {
        request.hash_lock = HashLock(hash::sha256(&[&SECRET]));
        request.amount = money(cents);
        request.payee = payee;
    }
}

/// An offer, any: locks to oneself only borrow its form.
async fn some_offer(town: &Town) -> Offer {
    let good = town.good("song");
    town.offer(&good, 1).await.offer.body
}

#[tokio::test]
async fn one_coin_in_two_locks() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 6).await.remove(0);
    let offer = some_offer(&town).await;
    for hash in [1_u8, 2] {
        let locked = town.lock_changed(&offer, (&coin, 0, 64), |request| {
            request.amount = money(64);
            request.hash_lock = HashLock([hash; 32]);
        });
        let is_first = hash == 1;
        foiled(locked.await.is_ok() == is_first, "one coin holds two locks");
    }
    town.check_books(64);
}

#[tokio::test]
async fn a_part_of_a_coin_spent_again() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 6).await.remove(0);
    let offer = some_offer(&town).await;
    let lock = |sequence, cents, hash| {
        let coin = (&coin, sequence, cents);
        let (town, offer) = (&town, &offer);
        async move {
            let request = town.lock_changed(offer, coin, |request| {
                request.amount = money(cents);
                request.hash_lock = HashLock([hash; 32]);
            });
            request.await.is_ok()
        }
    };
    assert!(lock(0, 30, 1).await, "the first part is honest");
    assert!(lock(1, 10, 2).await, "the second part is honest");
    foiled(!lock(1, 10, 3).await, "a part was spent twice");
    town.check_books(64);
}

#[tokio::test]
async fn more_than_is_left_on_a_coin() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 6).await.remove(0);
    let offer = some_offer(&town).await;
    let first = town.lock_changed(&offer, (&coin, 0, 60), to_myself(&town, 60));
    first.await.expect("there is enough");
    let more = town.lock_changed(&offer, (&coin, 1, 60), to_myself(&town, 60));
    foiled(more.await.is_err(), "a coin gave more than it held");
    town.check_books(64);
}

#[tokio::test]
async fn a_coin_of_ones_own_making() {
    let town = Town::new().await;
    let other = town.coins(1, 10..11, 6).await.remove(0);
    let offer = some_offer(&town).await;
    let forged = PurseCoin {
        signature: other.signature,
        key: key(12),
        name: FreshCoin::new(&town.keyset().await, 12, 6).name,
    };
    let locked = town.lock_changed(&offer, (&forged, 0, 64), to_myself(&town, 64));
    foiled(locked.await.is_err(), "a coin that no bank signed");
    town.check_books(64);
}

#[tokio::test]
async fn price_and_change_beyond_the_coins() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 6).await.remove(0);
    let offer = some_offer(&town).await;
    let fresh = [FreshCoin::new(&town.keyset().await, 20, 6)];
    let locked = town.lock_changed(&offer, (&coin, 0, 64), |request| {
        to_myself(&town, 64)(request);
        request.change = outputs(&fresh);
    });
    foiled(locked.await.is_err(), "change for what was spent");
    town.check_books(64);
}

#[tokio::test]
async fn more_coins_out_of_an_exchange() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 5).await.remove(0);
    let fresh = [FreshCoin::new(&town.keyset().await, 20, 6)];
    let request = authorized(&[(&coin, 0, 32)], |inputs| ExchangeRequest {
        bank: town.bank.bank_id(),
        inputs,
        outputs: outputs(&fresh),
    });
    let exchanged = town.ask::<bank::Exchange>(BANK, &request).await;
    foiled(exchanged.is_err(), "an exchange made money");
    town.check_books(32);
}

#[tokio::test]
async fn more_coins_than_the_account_holds() {
    let town = Town::new().await;
    let fresh = [FreshCoin::new(&town.keyset().await, 20, 6)];
    town.credit(account(1), 63, "too little");
    let request = town.withdrawal(1, &fresh).signed(&key(1));
    let issued = town.ask::<bank::Withdraw>(BANK, &request).await;
    foiled(issued.is_err(), "an account gave more than it held");
    town.check_books(63);
}

/// The same blinded coin as change of two requests: the bank would count it twice, and lose its owner's money.
#[tokio::test]
async fn change_outputs_replayed() {
    let town = Town::new().await;
    let coins = town.coins(1, 10..12, 6).await;
    let keyset = town.keyset().await;
    let offer = some_offer(&town).await;
    let fresh = [FreshCoin::new(&keyset, 20, 5)];
    let mut replies = Vec::new();
    for (coin, hash) in coins.iter().zip([1_u8, 2]) {
        let locked = town.lock_changed(&offer, (coin, 0, 64), |request| {
            request.amount = money(32);
            request.hash_lock = HashLock([hash; 32]);
            request.change = outputs(&fresh);
        });
        replies.push(locked.await);
    }
    let first = replies[0].as_ref().expect("honest");
    assert_eq!(finish(&fresh, &first.change, &keyset).len(), 1);
    foiled(replies[1].is_err(), "one coin was counted twice");
    foiled(
        town.coin_state(&coins[1]).await.sequence == 0,
        "a refusal took a coin",
    );
    town.check_books(128);
}

/// Value that is still locked when its keyset ends is void: neither payee nor payer would get it.
#[tokio::test]
async fn a_lock_that_outlives_its_coins() {
    let town = Town::with(|bank, _| bank.dispute_window_max_s = 180 * 86_400).await;
    let coin = town.coins(1, 10..11, 6).await.remove(0);
    let offer = some_offer(&town).await;
    let keyset = town.keyset().await;
    // The last day on which these coins may pay, for a lock that may be disputed until after they have ended.
    town.set_clock(keyset.spend_until.minus(Seconds(1)));
    let locked = town.lock_changed(&offer, (&coin, 0, 64), |request| {
        request.amount = money(64);
        request.expiry = town.now().plus(Seconds(60));
        request.dispute_window = Seconds::days(180);
    });
    foiled(locked.await.is_err(), "a lock that ends after its money");
}

/// The lock is for less than the offer asks.
#[tokio::test]
async fn a_lock_for_less_than_the_price() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 6).await.remove(0);
    let offer = some_offer(&town).await;
    let locked = town.lock_changed(&offer, (&coin, 0, 1), |request| request.amount = money(1));
    let lock = locked.await.expect("the bank does not know the price").lock;
    no_key_for(&town, &offer, &lock).await;
}

/// Payee swap: the customer pays himself under the merchant's hash.
#[tokio::test]
async fn a_lock_that_pays_somebody_else() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = some_offer(&town).await;
    let payee = town.opening(MALLORY).commitment();
    let locked = town.lock_changed(&offer, (&coin, 0, PRICE), |request| request.payee = payee);
    no_key_for(&town, &offer, &locked.await.expect("locked").lock).await;
}

/// The lock has so little time left that the commit comes too late: the key is out, and the money returns.
#[tokio::test]
async fn a_lock_about_to_expire() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = some_offer(&town).await;
    let locked = town.lock_changed(&offer, (&coin, 0, PRICE), |request| {
        request.expiry = town.now().plus(Seconds(6));
    });
    let lock = locked.await.expect("the bank takes short locks").lock;
    no_key_for(&town, &offer, &lock).await;
}

/// The merchant must not let its secret go for this lock.
async fn no_key_for(town: &Town, offer: &Offer, lock: &Lock) {
    let delivered = town.accept(offer, lock);
    foiled(
        delivered.await.is_err(),
        "the key for a lock that does not pay",
    );
    town.settle().await;
    let state = town.state(lock.lock_tag()).await;
    foiled(state == LockState::Released, "the secret went out");
}

/// Two orders with one nonce, a cheap good and a dear one: the secret that the cheap one pays for must not open both.
#[tokio::test]
async fn one_nonce_for_two_goods() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let cheap = town.offer(&town.good_at("cheap", 1), 1).await.offer.body;
    let dear = town
        .offer(&town.good_at("dear", 100_000), 1)
        .await
        .offer
        .body;
    let lock = town.lock(&cheap, (&coin, 0, 1)).await;
    let delivered = town.accept(&cheap, &lock).await;
    let preimage = delivered.expect("paid").preimage;
    let opens = hash::sha256(&[&preimage]) == dear.hash_lock.0;
    foiled(!opens, "one price for two goods");
}

/// The customer takes the key from the log and asks the bank for the money back, before the bank has read the log.
#[tokio::test]
async fn money_back_after_the_key() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = some_offer(&town).await;
    let lock = town.lock(&offer, (&coin, 0, PRICE)).await;
    let delivered = town.accept(&offer, &lock).await;
    assert!(delivered.is_ok(), "paid");
    let release = |payee: PayeeOpening, signer: u8| -> Signed<Release> {
        let lock_tag = lock.lock_tag();
        Release { lock_tag, payee }.signed(&key(signer))
    };
    let mine = town.opening(MALLORY);
    // Whoever has seen the opening still lacks the key of its account.
    let stolen = town.sale(offer.txid()).expect("on record").account;
    let claimed = PayeeOpening {
        account: stolen,
        ..mine.clone()
    };
    for request in [release(mine, MALLORY), release(claimed, MALLORY)] {
        let released = town.ask::<bank::ReleaseLock>(BANK, &request).await;
        foiled(released.is_err(), "goods, and the money back");
    }
    town.settle().await;
    foiled(town.shop_earned() == PRICE, "goods, and the money back");
}

/// A lock of a bank that the customer runs himself, with everything else right. The archive that lists it is an accomplice:
/// it would pass the secret on.
#[tokio::test]
async fn a_lock_of_ones_own_bank() {
    let town = Town::new().await;
    let offer = some_offer(&town).await;
    let mine = key(MALLORY);
    let lock = made_up(&town, &offer, mine.verifying_key().into(), &mine);
    let archive = leaking_archive(&town);
    no_secret_for(&town, &offer, &lock, &archive).await;
}

/// A lock in the bank's name that the bank never gave. Customer and archive together.
#[tokio::test]
async fn a_lock_without_the_banks_word() {
    let town = Town::new().await;
    let offer = some_offer(&town).await;
    let lock = made_up(&town, &offer, offer.bank, &key(MALLORY));
    let archive = leaking_archive(&town);
    no_secret_for(&town, &offer, &lock, &archive).await;
}

/// A real lock, under a hash to which the customer knows the secret. The archive passes on what the merchant sends for it.
#[tokio::test]
async fn a_lock_under_another_hash() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = some_offer(&town).await;
    let locked = town.lock_changed(&offer, (&coin, 0, PRICE), |request| {
        request.hash_lock = HashLock(hash::sha256(&[&SECRET]));
    });
    let lock = locked.await.expect("locked").lock;
    let archive = leaking_archive(&town);
    no_secret_for(&town, &offer, &lock, &archive).await;
}

/// A real lock that expires by the word of a log of the customer's own.
#[tokio::test]
async fn a_lock_under_another_log() {
    let town = Town::new().await;
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = some_offer(&town).await;
    let locked = town.lock_changed(&offer, (&coin, 0, PRICE), |request| {
        request.log_policy = bauta_proto::ids::PolicyId([MALLORY; 32]);
    });
    let Ok(reply) = locked.await else { return };
    let delivered = town.accept(&offer, &reply.lock);
    foiled(delivered.await.is_err(), "another log decides");
}

/// A lock that looks like one that pays for the offer.
fn made_up(
    town: &Town,
    offer: &Offer,
    bank: BankId,
    signer: &bauta_crypto::sign::SigningKey,
) -> Lock {
    let expiry = town.now().plus(Seconds(80));
    let public = LockPublic {
        bank,
        serial: Serial([1; 16]),
        hash_lock: offer.hash_lock,
        expiry,
        log_policy: offer.log_policy,
        mode: offer.mode.lock_mode(HashLock([0; 32])),
    };
    let private = LockPrivate {
        amount: offer.price,
        payee: offer.payee,
        dispute_until: expiry.plus(offer.dispute_window),
        settle_until: expiry.plus(Seconds::days(30)),
        salt: [1; 16],
    };
    Lock::new(public, private, signer)
}

type Leaked = std::sync::Arc<std::sync::Mutex<Vec<[u8; 32]>>>;

/// An archive that keeps every secret for the customer, and says nothing.
pub(crate) fn leaking_archive(town: &Town) -> Leaked {
    let leaked = Leaked::default();
    let ear = leaked.clone();
    town.ways.lie(move |asked| {
        use bauta_proto::transport::archive::SubmitLeaf;
        if !asked.is::<SubmitLeaf>() {
            return crate::net::Say::Truth;
        }
        let commit = asked.message::<SubmitLeaf>();
        ear.lock().expect("no panic").push(commit.preimage);
        crate::net::Say::Nothing
    });
    leaked
}

async fn no_secret_for(town: &Town, offer: &Offer, lock: &Lock, leaked: &Leaked) {
    let delivered = town.accept(offer, lock).await;
    foiled(delivered.is_err(), "the key for a lock that does not pay");
    town.settle().await;
    let leaked = leaked.lock().expect("no panic").clone();
    let opens = |secret: &[u8; 32]| hash::sha256(&[secret]) == offer.hash_lock.0;
    let is_paid = town.shop_earned() == PRICE;
    foiled(
        is_paid || !leaked.iter().any(opens),
        "the secret for nothing",
    );
}
