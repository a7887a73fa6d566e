//! A merchant that wants the money and keeps the goods.

use std::sync::{Arc, Mutex};

use bauta_crypto::{content::ContentKey, hash, secret::Secret, wrap};
use bauta_proto::{
    accept::Delivery,
    codec::Message,
    ids::{CiphertextRoot, HashLock, LockTag, PlaintextRoot},
    lock::{Capture, Claim, ClaimOutcome, ClaimRequest, LeafProof, Lock, LockState},
    log::{
        leaf::{Deed, Leaf},
        reader::LogReader,
    },
    merchant::SaleSecrets,
    offer::{Offer, OrderReply},
    problem::ProblemKind,
    submission::Submission,
    time::Seconds,
    transport::{
        archive::SubmitLeaf,
        bank::{self, CaptureLock, ClaimLocks},
        merchant::{self, AcceptOffer, Order},
    },
};
use bauta_wallet::{PurchaseState, purchase::Defect};

use crate::{
    net::{Answer, BANK, Caller, LOG, SHOP, Say},
    purse::key,
    town::{Customer, PRICE, PURSE, Town, contents, foiled},
};

/// What the shop answers to orders, changed and signed again by the shop itself.
fn offers(town: &Town, change: impl Fn(&mut Offer) + Send + Sync + 'static) {
    let merchant = town.merchant_key();
    town.ways.twist_reply::<Order>(move |_, reply| {
        let mut offer = reply.offer.body;
        change(&mut offer);
        OrderReply {
            offer: offer.signed(&merchant),
            ..reply
        }
    });
}

/// The customer must not pay for this.
async fn not_bought(town: &Town) {
    let mut customer = town.customer().await;
    let bought = customer.buy("song").await;
    foiled(bought.is_err(), "the customer took the offer");
    foiled(
        customer.purchase().state == PurchaseState::Refused,
        "the customer paid",
    );
    foiled(customer.available() == PURSE, "the customer paid");
}

#[tokio::test]
async fn a_price_swapped() {
    let town = Town::new().await;
    town.good("song");
    offers(&town, |offer| offer.price = crate::town::money(PRICE + 1));
    not_bought(&town).await;
}

/// Offer swap: every customer gets the offer that was made to the first. One secret, let go once, would be paid by all.
#[tokio::test]
async fn the_offer_made_to_another() {
    let town = Town::new().await;
    let good = town.good("song");
    let others = town.offer(&good, 1).await;
    town.ways.twist_reply::<Order>(move |_, _| others.clone());
    not_bought(&town).await;
}

/// The terms that come with the offer are not the ones that it binds: nobody could be held to them.
#[tokio::test]
async fn terms_swapped() {
    let town = Town::new().await;
    town.good("song");
    town.ways.twist_reply::<Order>(|_, mut reply| {
        reply.terms.refund_rule = "Everything back, always".into();
        reply
    });
    not_bought(&town).await;
}

/// Somebody on the way puts his own account where the shop's should be.
#[tokio::test]
async fn an_offer_that_the_shop_did_not_sign() {
    let town = Town::new().await;
    town.good("song");
    let payee = town.opening(66).commitment();
    town.ways.twist_reply::<Order>(move |_, mut reply| {
        reply.offer.body.payee = payee;
        reply
    });
    not_bought(&town).await;
}

/// Stuck lock: the offer wants the money held for months.
#[tokio::test]
async fn money_tied_up_for_months() {
    let town = Town::with(|bank, _| bank.lock_span_max_s = 80 * 86_400).await;
    town.good("song");
    offers(&town, |offer| {
        offer.lock_min = Seconds::days(60);
        offer.lock_max = Seconds::days(70);
    });
    not_bought(&town).await;
}

/// The file that can be fetched is not the one that the offer names.
#[tokio::test]
async fn another_ciphertext() {
    let town = Town::new().await;
    town.good("song");
    town.ways.twist(|asked, mut answer| {
        if asked.request.url.contains(merchant::CIPHERTEXT_PATH) {
            answer.body[100] ^= 1;
        }
        answer
    });
    not_bought(&town).await;
}

/// The secret that pays unwraps a key that opens nothing. It is found out at once, and provable in a few bytes: the
/// ciphertext commits to its key.
#[tokio::test]
async fn a_key_that_opens_nothing() {
    let town = Town::new().await;
    town.good("song");
    offers(&town, |offer| offer.wrapped_key[0] ^= 1);
    sold_with(&town, Defect::WrongKey).await;
}

/// What opens is not what was offered.
#[tokio::test]
async fn other_contents_than_offered() {
    let town = Town::new().await;
    town.good("song");
    offers(&town, |offer| {
        offer.pt_root = PlaintextRoot(hash::content(&contents("another")));
    });
    sold_with(&town, Defect::Content).await;
}

/// A record of the file is damaged, and the offer made to fit.
#[tokio::test]
async fn a_damaged_record() {
    let town = Town::new().await;
    let good = town.good("song");
    let (mut file, original) = (ciphertext(&town, good.ct_root).await, good.ct_root);
    let middle = file.len() / 2;
    file[middle] ^= 1;
    let damaged = CiphertextRoot(hash::content(&file));
    town.ways.lie(move |asked| {
        if asked.request.url.contains(merchant::CIPHERTEXT_PATH) {
            Say::Lie(Answer {
                status: 200,
                body: file.clone(),
            })
        } else {
            Say::Truth
        }
    });
    let sale_secret = town.seed("merchant").secret("sale");
    let (now, merchant) = (town.now(), town.merchant_key());
    town.ways.twist_reply::<Order>(move |asked, mut reply| {
        let order = asked.message::<Order>();
        let u = SaleSecrets::derive(&sale_secret, &order, now).preimage;
        let mut offer = reply.offer.body;
        let content_key = opened(&offer, &u, original);
        offer.ct_root = damaged;
        offer.wrapped_key = wrap::wrap(&content_key, &u, &offer.hash_lock.0, &damaged.0);
        reply.offer = offer.signed(&merchant);
        reply
    });
    sold_with(&town, Defect::Record).await;
}

fn opened(offer: &Offer, u: &Secret<32>, ct_root: CiphertextRoot) -> ContentKey {
    wrap::unwrap(&offer.wrapped_key, u, &offer.hash_lock.0, &ct_root.0)
}

async fn ciphertext(town: &Town, root: CiphertextRoot) -> Vec<u8> {
    let path = format!("{SHOP}{}{}", merchant::CIPHERTEXT_PATH, root.hex());
    let request = bauta_proto::transport::Request::get(path);
    town.ways.ask(&request).await.expect("served").body
}

/// The customer pays, gets bad goods, and knows just what is wrong: a proof against the merchant's signature.
async fn sold_with(town: &Town, defect: Defect) {
    let mut customer = town.customer().await;
    let taken = selling_shop(town);
    customer
        .buy("song")
        .await
        .expect("looks good until it is opened");
    let commit = taken.lock().expect("no panic").take().expect("paid");
    town.ask::<SubmitLeaf>(LOG, &commit).await.expect("in time");
    town.settle().await;
    customer.resume().await;
    foiled(
        customer.opened().await.is_none(),
        "bad goods taken for good ones",
    );
    foiled(
        customer.purchase().defect == Some(defect),
        "no proof of what is wrong",
    );
}

/// The shop answers for the changed offer itself, with the secret, and keeps what to take to the log.
fn selling_shop(town: &Town) -> Arc<Mutex<Option<Submission>>> {
    let commit = Arc::new(Mutex::new(None));
    let (kept, sale_secret, now) = (
        commit.clone(),
        town.seed("merchant").secret("sale"),
        town.now(),
    );
    let order = Arc::new(Mutex::new(None));
    let heard = order.clone();
    town.ways.twist_reply::<Order>(move |asked, reply| {
        *heard.lock().expect("no panic") = Some(asked.message::<Order>());
        reply
    });
    town.ways.lie(move |asked| {
        if !asked.is::<AcceptOffer>() {
            return Say::Truth;
        }
        let accepted = asked.message::<AcceptOffer>();
        let order = order.lock().expect("no panic").clone().expect("ordered");
        let u = SaleSecrets::derive(&sale_secret, &order, now).preimage;
        *kept.lock().expect("no panic") =
            Some(Submission::new(&accepted.lock, Deed::Commit, *u.expose()));
        Say::Lie(Answer::of(&Delivery {
            txid: accepted.accept.body.txid,
            preimage: *u.expose(),
            promises: Vec::new(),
        }))
    });
    commit
}

/// The merchant answers with another secret than the lock waits for, and is never seen again.
#[tokio::test]
async fn a_wrong_secret_for_delivery() {
    let town = Town::new().await;
    town.good("song");
    let mut customer = town.customer().await;
    town.ways.lie(|asked| {
        if !asked.is::<AcceptOffer>() {
            return Say::Truth;
        }
        let txid = asked.message::<AcceptOffer>().accept.body.txid;
        Say::Lie(Answer::of(&Delivery {
            txid,
            preimage: [0x66; 32],
            promises: Vec::new(),
        }))
    });
    customer.buy("song").await.expect("waits");
    foiled(
        customer.purchase().state == PurchaseState::Locked,
        "a wrong key taken",
    );
    town.settle().await;
    customer.ended_in_goods_or_money(&town, "song").await;
}

/// The merchant takes the money through the log and answers the customer nothing.
#[tokio::test]
async fn the_key_kept_after_the_log_paid() {
    let town = Town::new().await;
    town.good("song");
    let mut customer = town.customer().await;
    silent_shop(&town);
    customer.buy("song").await.expect("waits");
    paid_means_goods(&town, &mut customer).await;
}

/// The merchant takes the money at the bank, past the log, and answers the customer nothing.
#[tokio::test]
async fn the_key_kept_after_the_bank_paid() {
    let town = Town::new().await;
    town.good("song");
    let mut customer = town.customer().await;
    silent_shop(&town);
    town.ways.lie(|asked| match asked.is::<SubmitLeaf>() {
        true => Say::Nothing,
        false => Say::Truth,
    });
    customer.buy("song").await.expect("waits");
    paid_means_goods(&town, &mut customer).await;
}

/// The shop does everything but deliver.
fn silent_shop(town: &Town) {
    town.ways
        .twist(|asked, answer| match asked.is::<AcceptOffer>() {
            true => Answer::refusal(ProblemKind::DeliveryFailed),
            false => answer,
        });
}

async fn paid_means_goods(town: &Town, customer: &mut Customer) {
    town.settle().await;
    assert_eq!(town.shop_earned(), PRICE, "the shop is paid");
    customer.ended_in_goods_or_money(town, "song").await;
    foiled(customer.goods("song").await, "paid, and nothing delivered");
    town.check_books(PURSE);
}

/// The merchant delivers with a promise for a place that the log will never reach: the customer would have no proof.
#[tokio::test]
async fn a_promise_of_nothing() {
    let town = Town::new().await;
    town.good("song");
    let mut customer = town.customer().await;
    let merchant = town.merchant_key();
    town.ways
        .twist_reply::<AcceptOffer>(move |_, mut delivery| {
            for promise in &mut delivery.promises {
                let mut body = promise.body.clone();
                body.index = 1 << 40;
                *promise = body.signed(&merchant);
            }
            delivery
        });
    customer.buy("song").await.expect("bought");
    town.settle().await;
    customer.resume().await;
    foiled(
        customer.purchase().receipt_verified,
        "goods without a receipt",
    );
}

/// A sale between a purse and the shop up to the lock; the shop's secret is known to the script, the shop is a liar.
struct Sale {
    offer: Offer,
    lock: Lock,
    secrets: SaleSecrets,
}

impl Sale {
    async fn new(town: &Town, title: &str, nonce: u8) -> Self {
        let coin = town.coins(nonce, nonce..nonce + 1, 9).await.remove(0);
        let good = town.good(title);
        let offer = town.offer(&good, nonce).await.offer.body;
        let lock = town.lock(&offer, (&coin, 0, PRICE)).await;
        let sale_secret = town.seed("merchant").secret("sale");
        let order = town.order_of(&good, nonce);
        let secrets = SaleSecrets::derive(&sale_secret, &order, town.now());
        Self {
            offer,
            lock,
            secrets,
        }
    }

    fn tag(&self) -> LockTag {
        self.lock.lock_tag()
    }

    fn commit(&self) -> Submission {
        Submission::new(&self.lock, Deed::Commit, *self.secrets.preimage.expose())
    }

    fn leaf(&self) -> Leaf {
        let u = *self.secrets.preimage.expose();
        Leaf::of_lock(Deed::Commit, self.tag(), self.lock.public.expiry, u)
    }

    async fn capture(&self, town: &Town) -> bool {
        let capture = Capture {
            lock_tag: self.tag(),
            preimage: *self.secrets.preimage.expose(),
        };
        town.ask::<CaptureLock>(BANK, &capture).await.is_ok()
    }

    async fn claim(&self, town: &Town, proofs: Vec<LeafProof>) -> ClaimOutcome {
        let account = town.payee_key().verifying_key().into();
        let claim = Claim {
            lock_tag: self.tag(),
            payee: self.secrets.payee(self.offer.bank, account),
            proofs,
        };
        let request = ClaimRequest {
            bank: self.offer.bank,
            claims: vec![claim],
        };
        let reply = town.ask::<ClaimLocks>(BANK, &request).await;
        reply.expect("answers").outcomes[0]
    }

    fn expiry(&self) -> bauta_proto::time::Timestamp {
        self.lock.public.expiry
    }
}

/// The receipt of a leaf in the log's present checkpoint.
async fn receipt(town: &Town, index: u64, leaf: &Leaf) -> Vec<u8> {
    let net = Arc::new(town.net(Caller::Merchant));
    let log = &town.policy().logs()[0];
    let reader = LogReader::new(net, log, town.policy().clone()).expect("an address");
    let checkpoint = reader.checkpoint().await.expect("published");
    let receipt = reader.receipt(index, leaf, &checkpoint).await;
    receipt.expect("in the log").to_text().into_bytes()
}

/// Late commit: the merchant waits until the money is about to be back, and publishes the secret after all.
#[tokio::test]
async fn a_commit_after_the_expiry() {
    let town = Town::new().await;
    let sale = Sale::new(&town, "song", 10).await;
    town.set_clock(sale.expiry().plus(Seconds(1)));
    let promised = town.ask::<SubmitLeaf>(LOG, &sale.commit()).await;
    foiled(promised.is_err(), "the log took a commit after the expiry");
}

/// The same at the bank.
#[tokio::test]
async fn a_secret_brought_late_to_the_bank() {
    let town = Town::new().await;
    let sale = Sale::new(&town, "song", 10).await;
    town.set_clock(sale.expiry().plus(Seconds(1)));
    foiled(
        !sale.capture(&town).await,
        "the bank took a secret after the expiry",
    );
    town.settle().await;
    foiled(
        town.state(sale.tag()).await == LockState::Released,
        "the money did not return",
    );
}

/// Two sales, one of them committed: its receipt must not pay for the other, whose secret nobody has seen.
#[tokio::test]
async fn the_receipt_of_another_lock() {
    let town = Town::new().await;
    let sold = Sale::new(&town, "song", 10).await;
    let kept = Sale::new(&town, "poem", 11).await;
    let promise = town.ask::<SubmitLeaf>(LOG, &sold.commit()).await;
    let index = promise.expect("in time").body.index;
    town.archive.publish_once().await.expect("published");
    let proof = LeafProof {
        deed: Deed::Commit,
        preimage: *kept.secrets.preimage.expose(),
        receipt: receipt(&town, index, &sold.leaf()).await,
    };
    let outcome = kept.claim(&town, vec![proof]).await;
    foiled(
        outcome != ClaimOutcome::Credited,
        "paid for a secret that stays secret",
    );
    foiled(
        town.shop_earned() == 0,
        "paid for a secret that stays secret",
    );
}

/// Paid for another secret: the merchant commits a secret that opens nothing.
#[tokio::test]
async fn a_commit_of_another_secret() {
    let town = Town::new().await;
    let sale = Sale::new(&town, "song", 10).await;
    let commit = Submission {
        preimage: [0x66; 32],
        ..sale.commit()
    };
    let promised = town.ask::<SubmitLeaf>(LOG, &commit).await;
    foiled(
        promised.is_err(),
        "the log took a secret that opens nothing",
    );
    town.settle().await;
    foiled(
        town.state(sale.tag()).await == LockState::Released,
        "paid for nothing",
    );
}

/// One hash for two sales: whoever bought once could take the second for nothing, and whoever pays the second time pays for
/// what is public.
#[tokio::test]
async fn one_hash_for_two_sales() {
    let town = Town::new().await;
    let good = town.good("song");
    let hashes: Vec<HashLock> = vec![
        town.offer(&good, 1).await.offer.body.hash_lock,
        town.offer(&good, 2).await.offer.body.hash_lock,
    ];
    foiled(hashes[0] != hashes[1], "one secret for two sales");
}

/// An offer in the merchant's name for an order that names another merchant.
#[tokio::test]
async fn an_order_replayed_to_another_shop() {
    let town = Town::new().await;
    let good = town.good("song");
    let mut order = town.order_of(&good, 1);
    order.merchant = key(7).verifying_key().into();
    let offered = town.ask::<Order>(SHOP, &order).await;
    foiled(
        offered.is_err(),
        "an order taken that was meant for another",
    );
}

/// The merchant gives money back that it has been paid: one lock would end both ways.
#[tokio::test]
async fn a_release_of_what_was_sold() {
    let town = Town::new().await;
    let sale = Sale::new(&town, "song", 10).await;
    assert!(sale.capture(&town).await, "in time");
    let account = town.payee_key().verifying_key().into();
    let release = bauta_proto::lock::Release {
        lock_tag: sale.tag(),
        payee: sale.secrets.payee(sale.offer.bank, account),
    };
    let request = release.signed(&town.payee_key());
    let released = town.ask::<bank::ReleaseLock>(BANK, &request).await;
    foiled(released.is_err(), "captured and released");
    town.settle().await;
    let state = town.state(sale.tag()).await;
    foiled(
        matches!(state, LockState::Captured { .. }),
        "captured and released",
    );
}
