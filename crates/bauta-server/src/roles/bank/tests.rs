//! A bank's promises, kept over its own router, with a clock and a log that do as they are told.

mod accounts;
mod coins;
mod keysets;
mod locks;
mod log;
mod several;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, body::to_bytes};
use bauta_crypto::{
    blind::{BlindSignature, BlindingFactor, CoinSignature, blind, unblind},
    secret::Secret,
    sign::SigningKey,
};
use bauta_proto::{
    account::WithdrawRequest,
    codec::{Message, Signed},
    coin::{
        Authorized, CoinName, CoinState, CoinStateRequest, ExchangeRequest, Input, Keyset,
        KeysetList, Output, authorize,
    },
    ids::{AccountId, BankId},
    money::{Amount, Currency, Money},
    problem::{Problem, ProblemKind},
    time::{Clock, Timestamp},
    transport::{
        Body, CallError, Endpoint, Method, Request, Response, Transport, TransportError, bank,
        call, fetch,
    },
};
use tower::ServiceExt;

use self::log::{FakeLog, FakeNet};
use super::*;
use crate::config::PolicySource;

const START: u64 = 1_800_000_000;

struct FakeClock(AtomicU64);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A body that is there already.
struct Whole(Option<Vec<u8>>);

impl Body for Whole {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.take())
    }
}

fn answer(status: u16, body: Vec<u8>) -> Response<Whole> {
    Response {
        status,
        from: 0,
        body: Whole(Some(body)),
    }
}

/// Calls a router as the network would.
struct Direct(Router);

impl Transport for Direct {
    type Body = Whole;

    async fn send(&self, request: Request) -> Result<Response<Whole>, TransportError> {
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
        };
        let mut builder = http::Request::builder().method(method).uri(request.url);
        if let Some(media_type) = request.media_type {
            builder = builder.header(http::header::CONTENT_TYPE, media_type);
        }
        let request = builder
            .body(axum::body::Body::from(request.body))
            .expect("a request");
        let response = self.0.clone().oneshot(request).await.expect("answers");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 24).await;
        Ok(answer(status, body.expect("a whole body").to_vec()))
    }
}

struct TestBank {
    bank: Arc<Bank<FakeNet>>,
    net: Arc<FakeNet>,
    /// The first on the net.
    log: Arc<FakeLog>,
    clock: Arc<FakeClock>,
    config: BankConfig,
    way: Direct,
    folder: tempfile::TempDir,
}

fn seed(folder: &tempfile::TempDir) -> RoleSeed {
    let path = folder.path().join("bank.key");
    if !path.exists() {
        std::fs::write(&path, "07".repeat(32)).expect("writes");
        use std::os::unix::fs::PermissionsExt;
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, owner_only).expect("changes");
    }
    RoleSeed::load(&path).expect("a key file")
}

fn config(folder: &tempfile::TempDir, log: &FakeLog) -> BankConfig {
    BankConfig {
        http: toml::from_str("listen = '127.0.0.1:0'").expect("a configuration"),
        data: folder.path().join("data"),
        key_file: folder.path().join("bank.key"),
        name: "Test bank".to_owned(),
        currencies: vec![euro()],
        log_policy: PolicySource(log.policy().text().to_owned()),
        exponent_max: 6,
        issue_days: 30,
        spend_days: 90,
        settle_days: 180,
        announce_days: 7,
        lock_span_max_s: 86_400,
        claim_days: 7,
        dispute_window_max_s: 86_400,
        follow_interval_ms: 1_000,
        batch_max: 64,
    }
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("a currency")
}

fn cents(amount: u64) -> Money {
    Amount::new(amount).expect("small").of(euro())
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

impl TestBank {
    /// A bank whose first keyset is in the log, and account 1 with 1,000 cents.
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// The same with other settings.
    async fn with(change: impl FnOnce(&mut BankConfig)) -> Self {
        Self::unlogged_with(change).funded().await
    }

    async fn funded(self) -> Self {
        let test = self;
        test.log.publish(START);
        test.round()
            .await
            .expect_err("no checkpoint has the record");
        test.log.publish(START + 1);
        test.round().await.expect("the record is in the log");
        let account = key(1).verifying_key().into();
        operator::credit(
            &test.config,
            account,
            cents(1_000),
            "start",
            Timestamp(START),
        )
        .expect("credits");
        test
    }

    /// A bank that has done nothing yet.
    fn unlogged() -> Self {
        Self::unlogged_with(|_| ())
    }

    fn unlogged_with(change: impl FnOnce(&mut BankConfig)) -> Self {
        let net = FakeNet {
            logs: vec![Arc::new(FakeLog::default())],
            routers: Vec::new(),
        };
        let clock = Arc::new(FakeClock(AtomicU64::new(START)));
        Self::unlogged_on(net, clock, change)
    }

    fn unlogged_on(
        net: FakeNet,
        clock: Arc<FakeClock>,
        change: impl FnOnce(&mut BankConfig),
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = config(&folder, &net.logs[0]);
        change(&mut config);
        Self::open(folder, Arc::new(net), clock, config)
    }

    fn open(
        folder: tempfile::TempDir,
        net: Arc<FakeNet>,
        clock: Arc<FakeClock>,
        config: BankConfig,
    ) -> Self {
        let world = World {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            transport: Arc::clone(&net),
        };
        let log = Arc::clone(&net.logs[0]);
        let bank = Bank::open(&config, seed(&folder), world).expect("opens");
        let way = Direct(bank.router());
        Self {
            bank,
            net,
            log,
            clock,
            config,
            way,
            folder,
        }
    }

    /// The same bank after a restart.
    fn reopened(self) -> Self {
        Self::open(self.folder, self.net, self.clock, self.config)
    }

    async fn round(&self) -> Result<(), JobError> {
        self.bank.tick().await
    }

    fn id(&self) -> BankId {
        self.bank.bank_id()
    }

    fn set_time(&self, seconds_after_start: u64) {
        self.clock
            .0
            .store(START + seconds_after_start, Ordering::SeqCst);
    }

    async fn ask<E: Endpoint>(&self, request: &E::Request) -> Result<E::Reply, Problem> {
        match call::<E, _>(&self.way, "http://bank", request).await {
            Ok(reply) => Ok(reply),
            Err(CallError::Refused(problem)) => Err(*problem),
            Err(other) => panic!("neither an answer nor a refusal: {other}"),
        }
    }

    /// Asks what must be refused, and checks that the books stand as before.
    async fn refused<E: Endpoint>(&self, request: &E::Request) -> Problem
    where
        E::Reply: std::fmt::Debug,
    {
        let before = self.audit();
        let problem = self.ask::<E>(request).await.expect_err("must be refused");
        assert_eq!(self.audit(), before, "a refusal moves nothing");
        problem
    }

    fn audit(&self) -> bauta_store::bank::Audit {
        let audit = operator::audit(&self.config).expect("reads");
        assert_eq!(audit.defects, []);
        audit
    }

    async fn keyset_list(&self) -> KeysetList {
        let request = Request::get(format!("http://bank{}", bank::KEYSETS_PATH));
        let list = fetch(&self.way, request, KeysetList::BYTES_MAX).await;
        KeysetList::from_bytes(&list.expect("answers")).expect("a list")
    }

    /// The keyset that was published last.
    async fn keyset(&self) -> Keyset {
        let list = self.keyset_list().await;
        list.keysets.last().expect("published").keyset.body.clone()
    }

    /// Coins from account 1, made from these numbers.
    async fn coins(&self, numbers: std::ops::Range<u8>, exponent: u8) -> Vec<TestCoin> {
        let keyset = self.keyset().await;
        let mut fresh: Vec<_> = numbers
            .map(|number| FreshCoin::new(&keyset, number, exponent))
            .collect();
        fresh.sort_by_key(|coin| coin.output.blinded);
        let request = self.withdrawal(&fresh).signed(&key(1));
        let issued = self.ask::<bank::Withdraw>(&request).await.expect("issued");
        finish(fresh, &issued.signatures, &keyset)
    }

    fn withdrawal(&self, coins: &[FreshCoin]) -> WithdrawRequest {
        WithdrawRequest {
            bank: self.id(),
            account: AccountId::from(key(1).verifying_key()),
            outputs: outputs(coins),
        }
    }

    fn exchange(
        &self,
        coins: &[(&TestCoin, u32, u64)],
        outputs: Vec<Output>,
    ) -> Authorized<ExchangeRequest> {
        let (inputs, keys) = inputs(coins);
        let body = ExchangeRequest {
            bank: self.id(),
            inputs: inputs.clone(),
            outputs,
        };
        authorize(body, &inputs, &keys.iter().collect::<Vec<_>>())
    }

    async fn state(&self, coin: &TestCoin) -> CoinState {
        let request = CoinStateRequest {
            bank: self.id(),
            coin: coin.name.clone(),
        };
        self.ask::<bank::State>(&request).await.expect("answers")
    }
}

/// A coin before it is signed.
struct FreshCoin {
    key: SigningKey,
    name: CoinName,
    factor: BlindingFactor,
    output: Output,
}

/// A coin that the bank has signed.
#[derive(Debug)]
struct TestCoin {
    key: SigningKey,
    name: CoinName,
    signature: CoinSignature,
}

impl FreshCoin {
    fn new(keyset: &Keyset, number: u8, exponent: u8) -> Self {
        let key = SigningKey::from_seed(&Secret::new([number; 32]));
        let name = CoinName {
            keyset: keyset.keyset_id(),
            exponent,
            key: key.verifying_key(),
        };
        let factor = BlindingFactor::from_seed(&Secret::new([number; 32]));
        let output = Output {
            keyset: name.keyset,
            exponent,
            blinded: blind(&name.to_bytes(), &factor),
        };
        Self {
            key,
            name,
            factor,
            output,
        }
    }

    fn finish(self, signature: &BlindSignature, keyset: &Keyset) -> TestCoin {
        let public = keyset.key(self.name.exponent).expect("a denomination");
        let signature = unblind(&self.name.to_bytes(), &self.factor, signature, public);
        TestCoin {
            key: self.key,
            name: self.name,
            signature: signature.expect("the bank's signature"),
        }
    }
}

fn outputs(coins: &[FreshCoin]) -> Vec<Output> {
    coins.iter().map(|coin| coin.output.clone()).collect()
}

fn finish(fresh: Vec<FreshCoin>, signatures: &[BlindSignature], keyset: &Keyset) -> Vec<TestCoin> {
    let coins = fresh.into_iter().zip(signatures);
    coins
        .map(|(coin, signature)| coin.finish(signature, keyset))
        .collect()
}

/// Inputs in the protocol's order, each with its sequence number and amount, and the keys that sign them.
fn inputs(coins: &[(&TestCoin, u32, u64)]) -> (Vec<Input>, Vec<SigningKey>) {
    let mut coins = coins.to_vec();
    coins.sort_by_key(|(coin, ..)| coin.name.key);
    let input = |(coin, sequence, amount): &(&TestCoin, u32, u64)| Input {
        keyset: coin.name.keyset,
        exponent: coin.name.exponent,
        key: coin.name.key,
        signature: coin.signature,
        sequence: *sequence,
        amount: cents(*amount).amount,
    };
    let keys = coins.iter().map(|(coin, ..)| coin.key.clone()).collect();
    (coins.iter().map(input).collect(), keys)
}

/// The proof in a refusal for a coin that was spent.
fn proof(problem: &Problem) -> Signed<bauta_proto::coin::Spend> {
    assert_eq!(problem.kind, ProblemKind::CoinSpent);
    Signed::from_bytes(problem.proof.as_ref().expect("a proof")).expect("a signed spend")
}
