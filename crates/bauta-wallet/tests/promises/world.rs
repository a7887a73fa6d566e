//! An honest bank, log and shop in memory behind one transport that loses what it is told to lose.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use bauta_crypto::{
    blind::{BlindSignature, BlindedMessage, IssuerKey},
    content,
    merkle::{self, Frontier, TileSource},
    note::{self, Checkpoint, CosignerSigner, LogSigner},
    secret::Secret,
    sign::SigningKey,
};
use bauta_proto::{
    accept::{AcceptRequest, Delivery},
    account::WithdrawRequest,
    catalogue::{AcceptedBank, Catalogue, Listing},
    codec::{Message, Signed},
    coin::*,
    ids::*,
    lock::*,
    log::{
        leaf::{Deed, Leaf},
        policy::Policy,
        receipt::Receipt,
    },
    merchant::{CheckedAccept, ComposedOffer, Conditions, GoodForSale, Seller, compose_offer},
    money::{Amount, Currency},
    offer::{Mode, OrderRequest, Terms},
    problem::{Problem, ProblemKind},
    submission::{Promise, Record, Submission},
    time::{Clock, Seconds, Timestamp},
    transport::{Body, Endpoint, Request, Response, Transport, TransportError, archive},
};

pub(crate) const BANK: &str = "http://bank.example";
pub(crate) const SHOP: &str = "http://shop.example";
const LOG: &str = "http://log.example";
const ORIGIN: &str = "log.example/bauta";
const DENOMINATIONS: u8 = 12;
pub(crate) const PRICE: u64 = 499;
pub(crate) const START: u64 = 1_800_000_000;

/// A fault of the way between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request does not arrive.
    Lost,
    /// It arrives and is done, but the answer does not.
    Unanswered,
}

/// A coin as the bank knows it.
#[derive(Clone, Copy)]
struct Spent {
    sequence: u32,
    remaining: u64,
    locked: u64,
}

struct HeldLock {
    lock: Lock,
    inputs: Vec<(VerifyingKeyBytes, u64)>,
    state: LockState,
}

type VerifyingKeyBytes = [u8; 32];

/// What the shop does when a lock comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Merchant {
    #[default]
    Honest,
    /// Refuses for good.
    Refuses,
    /// Commits, and then is gone.
    CommitsAndVanishes,
    /// In mode SAFE prepares, and then is gone.
    PreparesAndVanishes,
    /// Delivers with a promise for a place that the log will never reach.
    PromisesNowhere,
}

pub(crate) struct State {
    bank: SigningKey,
    merchant: SigningKey,
    log: LogSigner,
    cosigner: CosignerSigner,
    log_key: SigningKey,
    issuers: Vec<IssuerKey>,
    keyset: Keyset,
    replies: HashMap<[u8; 32], Vec<u8>>,
    signed: HashMap<BlindedMessage, (Output, BlindSignature)>,
    coins: HashMap<VerifyingKeyBytes, Spent>,
    locks: Vec<HeldLock>,
    leaves: Vec<Leaf>,
    good: GoodForSale,
    offers: HashMap<Txid, ComposedOffer>,
    preimages: HashMap<Txid, ([u8; 32], [u8; 32])>,
    pub(crate) plaintext: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    /// The bank says of every lock that its value is back, and that its coins are empty.
    pub(crate) bank_denies: bool,
    pub(crate) merchant_does: Merchant,
    pub(crate) lock_min: Seconds,
    /// Another role answers at the bank's address.
    pub(crate) bank_is_elsewhere: bool,
    pub(crate) log_clock_ahead: i64,
    pub(crate) requests: usize,
    pub(crate) fault: Option<(usize, Fault)>,
    pub(crate) withdrawn: u64,
    pub(crate) sold: u64,
    pub(crate) asked: Vec<String>,
}

pub(crate) struct World {
    state: Mutex<State>,
    pub(crate) now: AtomicU64,
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

pub(crate) fn euro() -> Currency {
    Currency::from_code("EUR").expect("known")
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let bank = key(1);
        let issuers: Vec<_> = (0..DENOMINATIONS)
            .map(|exponent| IssuerKey::from_seed(&Secret::new([100 + exponent; 32])))
            .collect();
        let keyset = Keyset {
            bank: BankId::from(bank.verifying_key()),
            currency: euro(),
            issue_from: Timestamp(START - 1_000),
            issue_until: Timestamp(START + 100_000),
            spend_until: Timestamp(START + 300_000),
            settle_until: Timestamp(START + 900_000),
            keys: issuers.iter().map(IssuerKey::public_key).collect(),
        };
        let plaintext: Vec<u8> = (0..3_000_000_u32)
            .map(|number| (number % 251) as u8)
            .collect();
        let (good, ciphertext) = encrypt(&plaintext);
        let log_key = key(3);
        let leaves = vec![leaf_of(&keyset)];
        let state = State {
            bank,
            merchant: key(2),
            log: LogSigner::new(ORIGIN, &log_key).expect("a name"),
            cosigner: CosignerSigner::new("log.example/bauta/cosigner", &key(4)).expect("a name"),
            log_key,
            issuers,
            keyset,
            replies: HashMap::new(),
            signed: HashMap::new(),
            coins: HashMap::new(),
            locks: Vec::new(),
            leaves,
            good,
            offers: HashMap::new(),
            preimages: HashMap::new(),
            plaintext,
            ciphertext,
            bank_denies: false,
            merchant_does: Merchant::Honest,
            lock_min: Seconds(60),
            bank_is_elsewhere: false,
            log_clock_ahead: 0,
            requests: 0,
            fault: None,
            withdrawn: 0,
            sold: 0,
            asked: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            now: AtomicU64::new(START),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
        let now = self.now();
        self.state().release(now);
    }

    /// Which coins paid for each lock.
    pub(crate) fn coins_of_locks(&self) -> Vec<Vec<VerifyingKeyBytes>> {
        let state = self.state();
        let keys = |held: &HeldLock| held.inputs.iter().map(|(key, _)| *key).collect();
        state.locks.iter().map(keys).collect()
    }

    pub(crate) fn sell_under_another_key(&self) {
        self.state().good.content_key = Secret::new([66; 16]);
    }

    pub(crate) fn sell_something_else(&self) {
        self.state().good.pt_root = PlaintextRoot([66; 32]);
    }

    pub(crate) fn sign_wrongly(&self) {
        self.state().issuers.reverse();
    }

    pub(crate) fn forget_the_record(&self) {
        self.state().leaves[0] =
            Leaf::of_lock(Deed::Commit, LockTag([0; 32]), Timestamp(0), [0; 32]);
    }

    /// Another bank takes over the address.
    pub(crate) fn replace_bank(&self) {
        let mut state = self.state();
        state.bank = key(77);
        state.keyset.bank = BankId::from(state.bank.verifying_key());
        let leaf = leaf_of(&state.keyset);
        state.leaves[0] = leaf;
    }
}

fn leaf_of(keyset: &Keyset) -> Leaf {
    Record {
        bank: keyset.bank,
        valid_until: keyset.settle_until,
        subject: keyset.keyset_id().0,
    }
    .leaf()
}

fn encrypt(plaintext: &[u8]) -> (GoodForSale, Vec<u8>) {
    let content_key = Secret::new([9; 16]);
    let mut ciphertext = Vec::new();
    let mut reader = plaintext;
    let sealed = content::encrypt(
        &mut reader,
        &mut ciphertext,
        &content_key,
        [5; 24],
        bauta_proto::offer::CONTENT_CONTEXT,
        &mut |_| {},
    )
    .expect("in memory");
    let good = GoodForSale {
        price: Amount::new(PRICE).expect("small").of(euro()),
        terms: Terms {
            salt: [0; 32],
            title: "Song".into(),
            file_name: "../song.flac".into(),
            media_type: "audio/flac".into(),
            description: "A song.".into(),
            licence: "CC0".into(),
            refund_rule: "none".into(),
        },
        pt_root: PlaintextRoot(sealed.pt_root),
        pt_len: sealed.pt_len,
        ct_root: CiphertextRoot(sealed.ct_root),
        ct_len: sealed.ct_len,
        content_key,
    };
    (good, ciphertext)
}

type Answer = Result<Vec<u8>, Problem>;

impl State {
    fn bank_id(&self) -> BankId {
        BankId::from(self.bank.verifying_key())
    }

    fn policy(&self) -> Policy {
        Policy::of_one_log(self.log.vkey(), LOG, self.cosigner.vkey()).expect("a policy")
    }

    fn answer(&mut self, request: &Request, now: Timestamp) -> Answer {
        let (host, path) = request
            .url
            .split_at(request.url[7..].find('/').expect("a path") + 7);
        match (host, path) {
            (BANK, _) if self.bank_is_elsewhere => Err(ProblemKind::WrongRecipient.into()),
            (BANK, "/v1/log-policy") => Ok(self.policy().text().as_bytes().to_vec()),
            (BANK, "/v1/keysets") => Ok(self.keysets(now)),
            (BANK, "/v1/withdraw") => self.withdraw(&decode(&request.body)),
            (BANK, "/v1/exchange") => self.exchange(&decode(&request.body)),
            (BANK, "/v1/lock") => self.lock(&decode(&request.body), now),
            (BANK, "/v1/restore") => self.restore(&decode(&request.body)),
            (BANK, "/v1/coin-state") => self.coin_state(&decode(&request.body)),
            (BANK, "/v1/lock-status") => {
                self.release(now);
                self.lock_status(&decode(&request.body))
            }
            (SHOP, "/v1/catalogue") => Ok(self.catalogue()),
            (SHOP, "/v1/order") => self.order(&decode(&request.body), now),
            (SHOP, "/v1/accept") => self.accept(&decode(&request.body), now),
            (SHOP, _) => {
                let from = request.resume.as_ref().map_or(0, |resume| resume.from);
                Ok(self.ciphertext[usize::try_from(from).expect("small")..].to_vec())
            }
            (LOG, archive::SubmitLeaf::PATH) => self.submit(&decode(&request.body), now),
            (LOG, "/checkpoint") => Ok(self.checkpoint(now).into_bytes()),
            (LOG, path) => self.log_file(path).ok_or(ProblemKind::NotFound.into()),
            _ => Err(ProblemKind::NotFound.into()),
        }
    }

    fn keysets(&self, now: Timestamp) -> Vec<u8> {
        let frontier = self.frontier();
        let size = self.leaves.len() as u64;
        let receipt = Receipt {
            index: 0,
            path: merkle::prove_inclusion(size, 0, frontier.root(), self).expect("in the tree"),
            checkpoint: self.checkpoint(now),
        };
        let keyset = self.keyset.clone().signed(&self.bank);
        let receipt = receipt.to_text().into_bytes();
        let keysets = vec![PublishedKeyset { keyset, receipt }];
        KeysetList { keysets }.to_bytes()
    }

    fn issue(&mut self, outputs: &[Output]) -> Vec<BlindSignature> {
        let mut signatures = Vec::new();
        for output in outputs {
            let key = &self.issuers[usize::from(output.exponent)];
            let signature = key.sign(&output.blinded).expect("a point");
            self.signed
                .insert(output.blinded, (output.clone(), signature));
            signatures.push(signature);
        }
        signatures
    }

    fn withdraw(&mut self, request: &Signed<WithdrawRequest>) -> Answer {
        let id = request.body.id();
        if let Some(reply) = self.replies.get(&id) {
            return Ok(reply.clone());
        }
        request
            .verified(&request.body.account.key())
            .expect("signed");
        let value = check_outputs(&request.body.outputs).expect("in order");
        self.withdrawn += value.minor_units();
        let signatures = self.issue(&request.body.outputs);
        Ok(self.keep(id, Issued { signatures }.to_bytes()))
    }

    fn keep(&mut self, id: [u8; 32], reply: Vec<u8>) -> Vec<u8> {
        self.replies.insert(id, reply.clone());
        reply
    }

    fn spend(
        &mut self,
        inputs: &[Input],
        request: RequestId,
        signatures: &[bauta_crypto::sign::Signature],
        lock: bool,
    ) -> Result<(), Problem> {
        for (input, signature) in inputs.iter().zip(signatures) {
            let issuer = &self.issuers[usize::from(input.exponent)];
            assert!(
                issuer.verify(&input.name().to_bytes(), &input.signature),
                "a coin of this bank"
            );
            input
                .spend(request)
                .verify(&input.key, signature)
                .expect("signed by the coin");
            let coin = self.coin(&input.name());
            if coin.sequence != input.sequence || coin.remaining < input.amount.minor_units() {
                return Err(ProblemKind::CoinSpent.into());
            }
        }
        for input in inputs {
            let amount = input.amount.minor_units();
            let mut coin = self.coin(&input.name());
            coin.sequence += 1;
            coin.remaining -= amount;
            coin.locked += if lock { amount } else { 0 };
            self.coins.insert(input.key.0, coin);
        }
        Ok(())
    }

    fn coin(&self, name: &CoinName) -> Spent {
        self.coins.get(&name.key.0).copied().unwrap_or(Spent {
            sequence: 0,
            remaining: 1 << name.exponent,
            locked: 0,
        })
    }

    fn exchange(&mut self, request: &Authorized<ExchangeRequest>) -> Answer {
        let id = request.body.id();
        if let Some(reply) = self.replies.get(&id) {
            return Ok(reply.clone());
        }
        let body = &request.body;
        let given = check_inputs(&body.inputs, request.signatures.len()).expect("in order");
        assert_eq!(check_outputs(&body.outputs).expect("in order"), given);
        self.spend(&body.inputs, RequestId(id), &request.signatures, false)?;
        let signatures = self.issue(&body.outputs);
        Ok(self.keep(id, Issued { signatures }.to_bytes()))
    }

    fn lock(&mut self, request: &Authorized<LockRequest>, now: Timestamp) -> Answer {
        let id = request.body.id();
        if let Some(reply) = self.replies.get(&id) {
            return Ok(reply.clone());
        }
        let body = &request.body;
        body.check_form(request.signatures.len()).expect("in form");
        if body.expiry < now {
            return Err(ProblemKind::ExpiryTooNear.into());
        }
        let mut inputs = Vec::new();
        match &body.payer {
            Payer::Coins(coins) => {
                self.spend(coins, RequestId(id), &request.signatures, true)?;
                inputs.extend(
                    coins
                        .iter()
                        .map(|coin| (coin.key.0, coin.amount.minor_units())),
                );
            }
            Payer::Account { account, .. } => {
                body.verify(&account.key(), &request.signatures[0])
                    .expect("signed");
            }
        }
        // Change is not what comes back: the price is taken from the first coins.
        let mut change = self.value_of(&body.change);
        for (key, amount) in &mut inputs {
            let spent = change.min(*amount);
            *amount -= spent;
            change -= spent;
            self.coins.get_mut(key).expect("spent").locked -= spent;
        }
        let lock = self.new_lock(body);
        let reply = LockReply {
            lock: lock.clone(),
            change: self.issue(&body.change),
        };
        let state = LockState::Held;
        self.locks.push(HeldLock {
            lock,
            inputs,
            state,
        });
        Ok(self.keep(id, reply.to_bytes()))
    }

    fn value_of(&self, outputs: &[Output]) -> u64 {
        check_outputs(outputs).expect("in order").minor_units()
    }

    fn new_lock(&self, body: &LockRequest) -> Lock {
        let public = LockPublic {
            mode: body.mode,
            bank: body.bank,
            serial: Serial([u8::try_from(self.locks.len()).expect("few"); 16]),
            hash_lock: body.hash_lock,
            expiry: body.expiry,
            log_policy: body.log_policy,
        };
        let dispute_until = body.expiry.plus(body.dispute_window);
        let private = LockPrivate {
            amount: body.amount,
            payee: body.payee,
            dispute_until,
            settle_until: dispute_until,
            salt: [6; 16],
        };
        Lock::new(public, private, &self.bank)
    }

    fn restore(&self, request: &RestoreRequest) -> Answer {
        let found = request
            .blinded
            .iter()
            .filter_map(|blinded| self.signed.get(blinded));
        let outputs = found.map(|(output, signature)| RestoredOutput {
            output: output.clone(),
            signature: *signature,
        });
        Ok(Restored {
            outputs: outputs.collect(),
        }
        .to_bytes())
    }

    fn coin_state(&self, request: &CoinStateRequest) -> Answer {
        let coin = self.coin(&request.coin);
        let amount = |units| Amount::new(units).expect("small");
        Ok(CoinState {
            sequence: coin.sequence,
            remaining: amount(coin.remaining),
            locked: amount(coin.locked),
        }
        .to_bytes())
    }

    fn lock_status(&self, request: &LockStatusRequest) -> Answer {
        let state = |tag: &LockTag| {
            let held = self.locks.iter().find(|held| held.lock.lock_tag() == *tag);
            TaggedLockState {
                lock_tag: *tag,
                state: match held {
                    Some(_) if self.bank_denies => LockState::Released,
                    Some(held) => held.state.clone(),
                    None => LockState::Unknown,
                },
            }
        };
        let locks = request.lock_tags.iter().map(state).collect();
        let bank = self.bank_id();
        Ok(LockStatus { bank, locks }.signed(&self.bank).to_bytes())
    }

    /// The log takes whatever may be done to a lock.
    fn submit(&mut self, submission: &Submission, now: Timestamp) -> Answer {
        assert!(
            now <= submission.lock.taken_until(submission.deed),
            "in time"
        );
        let leaf = submission.checked_leaf().expect("proves something");
        Ok(self.promise(&leaf, now).to_bytes())
    }

    /// Writes a leaf down, once.
    fn promise(&mut self, leaf: &Leaf, now: Timestamp) -> Signed<Promise> {
        let known = self.leaves.iter().position(|known| known == leaf);
        let index = known.unwrap_or_else(|| {
            self.leaves.push(leaf.clone());
            self.leaves.len() - 1
        });
        let promise = Promise {
            log: Promise::log_name(ORIGIN),
            leaf_hash: leaf.hash(),
            index: match self.merchant_does {
                Merchant::PromisesNowhere => 1 << 40,
                _ => index as u64,
            },
            promised_at: now,
        };
        promise.signed(&self.log_key)
    }

    /// What was done to a lock, in the order of the log.
    fn deeds(&self, lock: &LockPublic) -> Vec<Deed> {
        let deeds = self.leaves.iter().filter_map(|leaf| lock.deed_of(leaf));
        deeds.collect()
    }

    /// Cancelled locks go back, and expired ones without a leaf.
    fn release(&mut self, now: Timestamp) {
        for place in 0..self.locks.len() {
            let lock = self.locks[place].lock.public.clone();
            let deeds = self.deeds(&lock);
            let is_over = |until: Timestamp| until.plus(Seconds(30)) < now;
            let state = match deeds.first() {
                Some(Deed::Cancel) => LockState::Released,
                None if is_over(lock.expiry) => LockState::Released,
                Some(Deed::Prepare) if deeds.contains(&Deed::Commit) => LockState::Prepared,
                Some(Deed::Prepare) if is_over(lock.commit_until()) => LockState::Released,
                Some(Deed::Prepare) => LockState::Prepared,
                None | Some(Deed::Commit) => LockState::Held,
            };
            let held = &mut self.locks[place];
            if held.state == LockState::Released {
                continue;
            }
            if state == LockState::Released {
                for (key, amount) in &held.inputs {
                    let coin = self.coins.get_mut(key).expect("spent");
                    coin.locked -= amount;
                    coin.remaining += amount;
                }
            }
            held.state = state;
        }
    }

    fn catalogue(&self) -> Vec<u8> {
        let catalogue = Catalogue {
            modes: vec!["fast".into(), "safe".into()],
            merchant: MerchantId::from(self.merchant.verifying_key()).hex(),
            name: "Shop".into(),
            log_policy: self.policy().text().into(),
            banks: vec![AcceptedBank {
                bank: self.bank_id().hex(),
                url: BANK.into(),
            }],
            goods: vec![Listing {
                good: GoodId([1; 16]).hex(),
                version: 1,
                title: self.good.terms.title.clone(),
                description: String::new(),
                file_name: String::new(),
                media_type: String::new(),
                bytes: self.good.pt_len,
                licence: String::new(),
                refund_rule: String::new(),
                price_minor_units: PRICE,
                currency: "EUR".into(),
                price: String::new(),
            }],
        };
        serde_json::to_vec(&catalogue).expect("text")
    }

    fn order(&mut self, order: &OrderRequest, now: Timestamp) -> Answer {
        let secret = Secret::new([8; 32]);
        let seller = Seller {
            key: &self.merchant,
            sale_secret: &secret,
            account: AccountId([4; 32]),
        };
        let conditions = Conditions {
            reveal_window: Seconds(60),
            offer_span: Seconds(3_600),
            lock_min: self.lock_min,
            lock_max: self.lock_min.max(Seconds(3_600)),
            dispute_window: Seconds(86_400),
        };
        let composed = compose_offer(seller, &self.good, order, conditions, now);
        let txid = composed.reply.offer.body.txid();
        let secrets = bauta_proto::merchant::SaleSecrets::derive(&secret, order, now);
        let preimages = (
            *secrets.preimage.expose(),
            *secrets.prepare_preimage.expose(),
        );
        self.preimages.insert(txid, preimages);
        let reply = composed.reply.to_bytes();
        self.offers.insert(txid, composed);
        Ok(reply)
    }

    fn accept(&mut self, request: &AcceptRequest, now: Timestamp) -> Answer {
        let txid = request.accept.body.txid;
        if let Some(reply) = self.replies.get(&txid.0) {
            return Ok(reply.clone());
        }
        if self.merchant_does == Merchant::Refuses {
            return Err(ProblemKind::DeliveryFailed.into());
        }
        let offer = &self.offers[&txid].reply.offer.body.clone();
        if self.deeds(&request.lock.public).is_empty() {
            CheckedAccept::check(request, offer, now).expect("acceptable");
        }
        let public = &request.lock.public;
        let public = public.clone();
        let (preimage, prepare_preimage) = self.preimages[&txid];
        if offer.mode.mode() == Mode::Safe {
            match self.deeds(&public).first() {
                None => {
                    self.promise(&public.leaf(Deed::Prepare, prepare_preimage), now);
                    return Err(ProblemKind::DeliveryPending.into());
                }
                Some(Deed::Cancel) => return Err(ProblemKind::DeliveryFailed.into()),
                Some(Deed::Prepare | Deed::Commit) => {}
            }
            if self.merchant_does == Merchant::PreparesAndVanishes {
                return Err(ProblemKind::Internal.into());
            }
        }
        let leaf = public.leaf(Deed::Commit, preimage);
        if !self.leaves.contains(&leaf) {
            self.sold += PRICE;
        }
        let promise = self.promise(&leaf, now);
        if self.merchant_does == Merchant::CommitsAndVanishes {
            return Err(ProblemKind::Internal.into());
        }
        let delivery = Delivery {
            txid,
            preimage,
            promises: vec![promise],
        };
        Ok(self.keep(txid.0, delivery.to_bytes()))
    }

    fn frontier(&self) -> Frontier {
        let mut frontier = Frontier::new();
        self.leaves
            .iter()
            .for_each(|leaf| frontier.append(leaf.hash()));
        frontier
    }

    fn checkpoint(&self, now: Timestamp) -> String {
        let frontier = self.frontier();
        let checkpoint = Checkpoint {
            origin: ORIGIN.into(),
            size: frontier.size(),
            root: frontier.root(),
        };
        let signed = note::sign_checkpoint(&checkpoint, &self.log).expect("signs");
        let time = now.0.saturating_add_signed(self.log_clock_ahead);
        note::cosign(&signed, &self.cosigner, time).expect("cosigns")
    }

    fn log_file(&self, path: &str) -> Option<Vec<u8>> {
        let size = self.leaves.len() as u64;
        let files: BTreeMap<String, (u8, u64, u16)> = merkle::tiles_to_write(0, size)
            .into_iter()
            .map(|tile| (merkle::tile_path(tile.0, tile.1, Some(tile.2)), tile))
            .collect();
        let path = path.trim_start_matches('/');
        if let Some((level, index, width)) = files.get(path) {
            return self.tile(*level, *index, *width);
        }
        let width = u16::try_from(size).expect("a small log");
        let entries: Vec<_> = self.leaves.iter().map(Leaf::to_bytes).collect();
        (path == merkle::entries_path(0, Some(width)))
            .then(|| merkle::encode_bundle(&entries).expect("short"))
    }
}

impl TileSource for State {
    fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        let leaves = self.leaves.iter().take(usize::from(width));
        (level == 0 && index == 0).then(|| leaves.flat_map(Leaf::hash).collect())
    }
}

fn decode<M: Message>(bytes: &[u8]) -> M {
    M::from_bytes(bytes).expect("the wallet sends what the protocol says")
}

impl Transport for World {
    type Body = Pieces;

    async fn send(&self, request: Request) -> Result<Response<Pieces>, TransportError> {
        let now = self.now();
        let mut state = self.state();
        state.requests += 1;
        let number = state.requests;
        state.asked.push(request.url.clone());
        let fault = state
            .fault
            .filter(|(at, _)| *at == number)
            .map(|(_, fault)| fault);
        if fault == Some(Fault::Lost) {
            return Err(TransportError::Connect);
        }
        let answer = state.answer(&request, now);
        if fault == Some(Fault::Unanswered) {
            // A download breaks in the middle, everything else is not answered at all.
            let is_download = request.url.contains("/v1/ciphertext/");
            return match answer {
                Ok(body) if is_download => Ok(response(200, &request, body, true)),
                _ => Err(TransportError::Broken),
            };
        }
        Ok(match answer {
            Ok(body) => response(200, &request, body, false),
            Err(problem) => response(
                problem.kind.status(),
                &request,
                problem.to_json().into_bytes(),
                false,
            ),
        })
    }
}

fn response(status: u16, request: &Request, body: Vec<u8>, breaks: bool) -> Response<Pieces> {
    let from = request.resume.as_ref().map_or(0, |resume| resume.from);
    let rest = if breaks {
        body[..body.len() / 2].to_vec()
    } else {
        body
    };
    Response {
        status,
        from: if status == 200 { from } else { 0 },
        body: Pieces { rest, breaks },
    }
}

pub(crate) struct Pieces {
    rest: Vec<u8>,
    breaks: bool,
}

impl Body for Pieces {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        let count = self.rest.len().min(100_000);
        if count == 0 {
            return if self.breaks {
                Err(TransportError::Broken)
            } else {
                Ok(None)
            };
        }
        Ok(Some(self.rest.drain(..count).collect()))
    }
}
