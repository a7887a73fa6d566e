//! A shop, a real archive, a bank that does as it is told, a clock that is set by hand, and ways between them that break.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::{Body as HttpBody, to_bytes},
    http::{self, StatusCode, header::CONTENT_TYPE},
};
use bauta_crypto::{hash, secret::Secret, sign::SigningKey};
use bauta_io::{HttpOptions, HttpTransport, SystemRng};
use bauta_proto::{
    accept::{Accept, AcceptRequest, Delivery},
    codec::{Message, Signed},
    ids::{BankId, HashLock, LockTag, Pseudonym, Serial},
    limits::RECEIPT_BYTES_MAX,
    lock::{
        Capture, Claim, ClaimOutcome, ClaimReply, ClaimRequest, Lock, LockMode, LockPrivate,
        LockPublic, LockState, LockStatus, LockStatusRequest, TaggedLockState,
    },
    log::{
        leaf::{Deed, Leaf},
        receipt::Receipt,
    },
    offer::{Mode, OrderReply, OrderRequest},
    problem::{Problem, ProblemKind},
    submission::{Promise, Submission},
    time::{Clock, Seconds, Timestamp},
    transport::{
        Body, Endpoint, Method, Request, Response, Transport, TransportError, archive, bank,
        merchant as shop,
    },
};
use bauta_server::{
    config::{HttpConfig, PolicySource},
    keys::RoleSeed,
    roles::{
        archive::{Archive, ArchiveConfig},
        merchant::{
            Merchant, MerchantConfig, MerchantStartError, PayeeAccount, PayingBank,
            goods::{AddedGood, GoodInput, Shop},
            merchant_id,
        },
    },
    work::World,
};
use bauta_store::merchant::{MerchantReader, Order, OrderState};
use tower::ServiceExt;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);
const LOG: &str = "http://log.example";
/// What cancels every lock in mode SAFE.
pub(crate) const CANCEL: [u8; 32] = [77; 32];
const BANK: &str = "http://bank.example";

/// What a way does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Nothing arrives.
    Cut,
    /// It is done, but the answer is lost.
    Unacknowledged,
    /// The log's answer names another index, under its true signature.
    Lying,
    /// The log's answer is for another leaf, under its true signature.
    OtherLeaf,
    /// The answer is under another key than the log's or the bank's.
    Forged,
    /// The log shows its checkpoint, and answers nothing else.
    Stalling,
}

pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// A bank that signs whatever locks it is asked for and decides as it is told.
pub(crate) struct TestBank {
    pub(crate) key: SigningKey,
    pub(crate) states: Mutex<HashMap<LockTag, LockState>>,
    /// Claims that came, with whether they had a proof.
    pub(crate) claims: Mutex<Vec<(LockTag, bool)>>,
    /// What every claim is answered with instead of the truth.
    pub(crate) answer: Mutex<Option<ClaimOutcome>>,
    credited: Mutex<Vec<Claim>>,
}

pub(crate) struct Net {
    log: Router,
    log_key: SigningKey,
    pub(crate) bank: TestBank,
    pub(crate) way_to_log: Mutex<Way>,
    pub(crate) way_to_bank: Mutex<Way>,
    /// Requests that were never answered.
    pub(crate) stalled: AtomicU64,
}

pub(crate) struct Town {
    _folder: tempfile::TempDir,
    pub(crate) config: MerchantConfig,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) net: Arc<Net>,
    pub(crate) merchant: Arc<Merchant<Net>>,
    /// What orders ask for.
    pub(crate) mode: Mode,
}

pub(crate) struct Whole(Option<Vec<u8>>);

impl Body for Whole {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.take())
    }
}

impl Transport for Net {
    type Body = Whole;

    async fn send(&self, request: Request) -> Result<Response<Whole>, TransportError> {
        let is_log = request.url.starts_with(LOG);
        let way = if is_log {
            &self.way_to_log
        } else {
            &self.way_to_bank
        };
        let way = *way.lock().expect("no panic");
        if way == Way::Cut {
            return Err(TransportError::Connect);
        }
        if way == Way::Stalling && !request.url.ends_with("/checkpoint") {
            self.stalled.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        let (status, body) = if is_log {
            self.log(request, way).await
        } else {
            self.bank.answer(&request, way)
        };
        if way == Way::Unacknowledged {
            return Err(TransportError::Broken);
        }
        Ok(Response {
            status,
            from: 0,
            body: Whole(Some(body)),
        })
    }
}

impl Net {
    async fn log(&self, request: Request, way: Way) -> (u16, Vec<u8>) {
        let path = request.url[LOG.len()..].to_owned();
        let is_commit = path == archive::SubmitLeaf::PATH;
        let (status, body) = exchange(&self.log, request, &path).await;
        match Signed::<Promise>::from_bytes(&body) {
            Ok(promise) if is_commit => (status, self.told(promise, way).to_bytes()),
            _ => (status, body),
        }
    }

    /// The log's promise as it comes through.
    fn told(&self, promise: Signed<Promise>, way: Way) -> Signed<Promise> {
        let mut body = promise.body.clone();
        match way {
            Way::Lying => body.index ^= 1,
            Way::OtherLeaf => body.leaf_hash[0] ^= 1,
            Way::Forged => return body.signed(&key(9)),
            Way::Open | Way::Cut | Way::Unacknowledged | Way::Stalling => return promise,
        }
        body.signed(&self.log_key)
    }
}

async fn exchange(router: &Router, request: Request, path: &str) -> (u16, Vec<u8>) {
    let mut builder = http::Request::builder()
        .uri(path)
        .method(match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
        });
    if let Some(media_type) = request.media_type {
        builder = builder.header(CONTENT_TYPE, media_type);
    }
    let request = builder
        .body(HttpBody::from(request.body))
        .expect("a request");
    let response = router.clone().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    (status, body.to_vec())
}

impl TestBank {
    fn answer(&self, request: &Request, way: Way) -> (u16, Vec<u8>) {
        let signer = if way == Way::Forged {
            &key(9)
        } else {
            &self.key
        };
        let path = &request.url[BANK.len()..];
        if path == bank::CaptureLock::PATH {
            let capture = Capture::from_bytes(&request.body).expect("a capture");
            self.capture(&capture, signer)
        } else if path == bank::Status::PATH {
            let asked = LockStatusRequest::from_bytes(&request.body).expect("a question");
            (200, self.status(asked.lock_tags[0], signer).to_bytes())
        } else {
            let claims = ClaimRequest::from_bytes(&request.body).expect("claims");
            let outcomes = claims.claims.iter().map(|claim| self.claim(claim));
            let outcomes = outcomes.collect();
            (200, ClaimReply { outcomes }.to_bytes())
        }
    }

    fn capture(&self, capture: &Capture, signer: &SigningKey) -> (u16, Vec<u8>) {
        let mut states = self.states.lock().expect("no panic");
        let preimage = capture.preimage;
        match states.get_mut(&capture.lock_tag) {
            None => problem(ProblemKind::UnknownLock),
            Some(LockState::Released) => problem(ProblemKind::LockDecided),
            Some(state) => {
                *state = LockState::Captured { preimage };
                drop(states);
                (200, self.status(capture.lock_tag, signer).to_bytes())
            }
        }
    }

    fn status(&self, lock_tag: LockTag, signer: &SigningKey) -> Signed<LockStatus> {
        let states = self.states.lock().expect("no panic");
        let state = states.get(&lock_tag).cloned();
        let state = state.unwrap_or(LockState::Unknown);
        let status = LockStatus {
            bank: BankId::from(self.key.verifying_key()),
            locks: vec![TaggedLockState { lock_tag, state }],
        };
        status.signed(signer)
    }

    fn claim(&self, claim: &Claim) -> ClaimOutcome {
        let has_proof = !claim.proofs.is_empty();
        let mut claims = self.claims.lock().expect("no panic");
        claims.push((claim.lock_tag, has_proof));
        if let Some(outcome) = *self.answer.lock().expect("no panic") {
            return outcome;
        }
        let states = self.states.lock().expect("no panic");
        match states.get(&claim.lock_tag) {
            None | Some(LockState::Unknown) => ClaimOutcome::Unknown,
            Some(LockState::Released) => ClaimOutcome::Released,
            Some(LockState::Held | LockState::Prepared) if !has_proof => ClaimOutcome::Undecided,
            Some(LockState::Held | LockState::Prepared | LockState::Captured { .. }) => {
                let mut credited = self.credited.lock().expect("no panic");
                credited.push(claim.clone());
                ClaimOutcome::Credited
            }
        }
    }

    pub(crate) fn decide(&self, lock_tag: LockTag, state: LockState) {
        self.states
            .lock()
            .expect("no panic")
            .insert(lock_tag, state);
    }

    pub(crate) fn credited(&self) -> Vec<Claim> {
        self.credited.lock().expect("no panic").clone()
    }
}

fn problem(kind: ProblemKind) -> (u16, Vec<u8>) {
    (kind.status(), Problem::new(kind).to_json().into_bytes())
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

/// The seed in a file of this name, made when it is not there.
pub(crate) fn seed(config: &MerchantConfig, name: &str) -> RoleSeed {
    let path = config.key_file.with_file_name(name);
    if !path.exists() {
        let seed = RoleSeed::generate(&mut SystemRng::new());
        seed.store(&path).expect("written");
    }
    RoleSeed::load(&path).expect("read")
}

impl Town {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(TestClock(AtomicU64::new(NOW.0)));
        let bank_key = key(2);
        let bank_id = BankId::from(bank_key.verifying_key());
        let mut config = config(folder.path().to_path_buf(), bank_id);
        let archive = Archive::open(
            &archive_config(folder.path().join("archive"), bank_id),
            seed(&config, "archive.key"),
            &World {
                clock: clock.clone(),
                transport: Arc::new(HttpTransport::new(HttpOptions::default()).expect("a client")),
            },
        )
        .expect("the archive opens");
        archive.publish_once().await.expect("published");
        config.log_policy = PolicySource(archive.policy().text().to_owned());
        let net = Arc::new(Net {
            log: archive.router(),
            log_key: seed(&config, "archive.key").signing_key("log"),
            bank: TestBank {
                key: bank_key,
                states: Mutex::default(),
                claims: Mutex::default(),
                answer: Mutex::default(),
                credited: Mutex::default(),
            },
            way_to_log: Mutex::new(Way::Open),
            way_to_bank: Mutex::new(Way::Open),
            stalled: AtomicU64::new(0),
        });
        let merchant = open(&config, &clock, &net).expect("the shop opens");
        Self {
            _folder: folder,
            config,
            clock,
            archive,
            net,
            merchant,
            mode: Mode::Fast,
        }
    }

    /// The shop dies and comes back with what is on disk.
    pub(crate) fn crash(&mut self) {
        let opened = open(&self.config, &self.clock, &self.net);
        self.merchant = opened.expect("the shop opens");
    }

    /// The shop comes back with a log policy that lists the same log in other words, or says why not.
    pub(crate) fn change_policy(&mut self) -> Result<(), MerchantStartError> {
        let mut config = self.config.clone();
        let text = self.archive.policy().text();
        config.log_policy = PolicySource(format!("# another\n{text}"));
        self.merchant = open(&config, &self.clock, &self.net)?;
        Ok(())
    }

    pub(crate) fn set_clock(&self, seconds_later: u32) {
        let time = NOW.plus(Seconds(seconds_later));
        self.clock.0.store(time.0, Ordering::Relaxed);
    }

    pub(crate) fn ways(&self, to_log: Way, to_bank: Way) {
        *self.net.way_to_log.lock().expect("no panic") = to_log;
        *self.net.way_to_bank.lock().expect("no panic") = to_bank;
    }

    pub(crate) fn shop(&self) -> Shop {
        Shop::open(&self.config.data, self.clock.clone()).expect("opens")
    }

    pub(crate) fn add_good(&self, contents: &[u8]) -> AddedGood {
        let path = self.config.data.with_file_name("good.txt");
        std::fs::write(&path, contents).expect("written");
        let mut rng = SystemRng::new();
        let added = self.shop().add_good(&path, &input(), &mut rng, &mut |_| ());
        added.expect("added")
    }

    pub(crate) fn order_of(&self, good: &AddedGood, nonce: u8) -> OrderRequest {
        OrderRequest {
            merchant: merchant_id(&seed(&self.config, "merchant.key")),
            good: good.good,
            version: good.version,
            bank: BankId::from(self.net.bank.key.verifying_key()),
            log_policy: self.archive.policy().policy_id(),
            mode: self.mode,
            pseudonym: Pseudonym::from(key(3).verifying_key()),
            nonce: [nonce; 32],
        }
    }

    /// The payer's cancel goes to the log.
    pub(crate) async fn cancel(&self, lock: &Lock) {
        let submission = Submission::new(lock, Deed::Cancel, CANCEL);
        let request = Request::post(archive::SubmitLeaf::PATH.to_owned(), &submission);
        let (status, _) = exchange(&self.net.log, request, archive::SubmitLeaf::PATH).await;
        assert_eq!(status, 200);
    }

    /// The log shows what it has, and the shop reads it.
    pub(crate) async fn follow(&self) {
        self.archive.publish_once().await.expect("published");
        self.merchant.follow_logs().await.expect("followed");
    }

    /// The offer for a new good.
    pub(crate) async fn offered(&self, nonce: u8) -> OrderReply {
        let good = self.add_good(&[nonce; 1_000]);
        let order = self.order_of(&good, nonce);
        self.order(&order).await.expect("offered")
    }

    pub(crate) async fn order(&self, request: &OrderRequest) -> Result<OrderReply, Problem> {
        self.call::<shop::Order>(request).await
    }

    pub(crate) async fn accept(&self, request: &AcceptRequest) -> Result<Delivery, Problem> {
        self.call::<shop::AcceptOffer>(request).await
    }

    async fn call<E: Endpoint>(&self, message: &E::Request) -> Result<E::Reply, Problem> {
        let request = Request::post(E::PATH.to_owned(), message);
        let (status, body) = exchange(&self.merchant.router(), request, E::PATH).await;
        if status == 200 {
            Ok(E::Reply::from_bytes(&body).expect("a reply"))
        } else {
            Err(Problem::from_json(&body).expect("a problem"))
        }
    }

    pub(crate) async fn get(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::Response<Vec<u8>> {
        self.request(http::Method::GET, path, headers).await
    }

    pub(crate) async fn request(
        &self,
        method: http::Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::Response<Vec<u8>> {
        let mut builder = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let request = builder.body(HttpBody::empty()).expect("a request");
        let response = self.merchant.router().oneshot(request).await;
        let (parts, body) = response.expect("infallible").into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        http::Response::from_parts(parts, body.to_vec())
    }

    /// A lock of the bank that pays for the offer and expires in 80 seconds, with the customer's word.
    pub(crate) fn pay(&self, reply: &OrderReply, serial: u8) -> AcceptRequest {
        let offer = &reply.offer.body;
        let expiry = self.clock.now().plus(Seconds(80));
        let public = LockPublic {
            mode: offer.mode.lock_mode(HashLock(hash::sha256(&[&CANCEL]))),
            bank: offer.bank,
            serial: Serial([serial; 16]),
            hash_lock: offer.hash_lock,
            expiry,
            log_policy: offer.log_policy,
        };
        let private = LockPrivate {
            amount: offer.price,
            payee: offer.payee,
            dispute_until: expiry.plus(offer.dispute_window),
            settle_until: expiry.plus(Seconds::days(30)),
            salt: [serial; 16],
        };
        let lock = Lock::new(public, private, &self.net.bank.key);
        let seen = match lock.public.mode {
            LockMode::Fast => LockState::Held,
            LockMode::Safe { .. } => LockState::Prepared,
        };
        self.net.bank.decide(lock.lock_tag(), seen);
        let accept = Accept {
            txid: offer.txid(),
            lock_tag: lock.lock_tag(),
        };
        let accept = accept.signed(&key(3));
        AcceptRequest { lock, accept }
    }

    pub(crate) fn record(&self, reply: &OrderReply) -> Order {
        let reader = MerchantReader::open(&self.config.store_path()).expect("opens");
        let sale = reader.sale(reply.offer.body.txid()).expect("reads");
        sale.expect("on record")
    }

    pub(crate) fn state(&self, reply: &OrderReply) -> OrderState {
        self.record(reply).state
    }

    /// The receipt on record proves the commit of this lock.
    pub(crate) fn check_receipt(&self, order: &Order, delivery: &Delivery) {
        let receipt = order.leaves[0].receipt.as_ref().expect("a receipt");
        assert!(receipt.len() <= RECEIPT_BYTES_MAX);
        let lock = &order.accept.as_ref().expect("a lock").lock;
        let leaf = Leaf::of_lock(
            Deed::Commit,
            lock.lock_tag(),
            lock.public.expiry,
            delivery.preimage,
        );
        let receipt = Receipt::from_text(receipt).expect("a receipt");
        receipt.check(&leaf, self.archive.policy()).expect("proves");
    }
}

fn open(
    config: &MerchantConfig,
    clock: &Arc<TestClock>,
    net: &Arc<Net>,
) -> Result<Arc<Merchant<Net>>, MerchantStartError> {
    let world = World {
        clock: clock.clone(),
        transport: Arc::clone(net),
    };
    Merchant::open(config, seed(config, "merchant.key"), world)
}

fn config(folder: PathBuf, bank: BankId) -> MerchantConfig {
    MerchantConfig {
        http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
        data: folder.join("merchant"),
        key_file: folder.join("merchant.key"),
        name: "Shop".into(),
        log_policy: PolicySource(String::new()),
        banks: vec![PayingBank {
            bank,
            url: BANK.into(),
            account: PayeeAccount::Own,
        }],
        offer_minutes: 15,
        lock_min_s: None,
        lock_max_s: None,
        modes: Mode::ALL.to_vec(),
        reveal_window_s: 60,
        dispute_window_s: 600,
        checkpoint_interval_s: 2,
        bank_round_trip_s: 10,
        claim_interval_ms: 1_000,
        offers_max: 100,
        batch_max: 16,
    }
}

fn archive_config(data: PathBuf, bank: BankId) -> ArchiveConfig {
    ArchiveConfig {
        http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
        key_file: data.with_extension("key"),
        data,
        origin: "log.example/bauta".into(),
        url: Some(LOG.into()),
        log_policy: None,
        disbelieved_witnesses: Vec::new(),
        witness_timeout_ms: 1_000,
        witness_grace_ms: 100,
        policies: Vec::new(),
        shard_days: 0,
        shards_ahead: None,
        retention_days: None,
        claim_days: 30,
        banks: vec![bank],
        checkpoint_interval_ms: 1_000,
        commit_span_max_s: 86_400,
        batch_max: 64,
    }
}

pub(crate) fn input() -> GoodInput {
    GoodInput {
        title: "Title".into(),
        price: "4.99EUR".parse().expect("an amount"),
        description: "Description".into(),
        licence: "Licence".into(),
        refund_rule: "Rule".into(),
        media_type: None,
    }
}

pub(crate) fn kind<R: std::fmt::Debug>(refused: Result<R, Problem>) -> ProblemKind {
    refused.expect_err("must be refused").kind
}

pub(crate) fn status(response: &http::Response<Vec<u8>>) -> StatusCode {
    response.status()
}
