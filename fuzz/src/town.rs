//! A whole town in one process: the real bank, archive and merchant on real stores in memory, and a wallet with an account.
//!
//! It is made once and copied for each input, so that an input leads to the same end whatever came before it.

use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body as HttpBody, to_bytes},
    http::{
        self,
        header::{CONTENT_TYPE, IF_RANGE, RANGE},
    },
};
use bauta_io::threads;
use bauta_proto::{
    ids::BankId,
    money::{Amount, Currency, Money},
    time::{Clock, Timestamp},
    transport::{Body, Method, Request, Response, Transport, TransportError, merchant as shop},
};
use bauta_server::{
    config::PolicySource,
    keys::RoleSeed,
    roles::{
        archive::Archive,
        bank::{Bank, bank_id, operator},
        merchant::{
            Merchant, MerchantConfig,
            goods::{GoodInput, Shop},
            payee_account,
        },
    },
    work::World,
};
use bauta_wallet::{Environment, Protection, Wallet, observer::Unobserved};
use rand_core::{TryCryptoRng, TryRng};
use tower::ServiceExt;

use crate::config;

/// When a town begins, in seconds since 1970.
pub(crate) const START: u64 = 1_800_000_000;
/// What the wallet's account has at the beginning, in cents.
pub(crate) const CREDIT: u64 = 5_000;
/// What the good costs, in cents.
pub(crate) const PRICE: u64 = 499;

/// The roles, by the addresses under which they reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Bank,
    Archive,
    Merchant,
}

impl Role {
    const ALL: [Self; 3] = [Self::Bank, Self::Archive, Self::Merchant];

    pub(crate) const fn url(self) -> &'static str {
        match self {
            Self::Bank => "http://bank.example",
            Self::Archive => "http://log.example",
            Self::Merchant => "http://shop.example",
        }
    }

    fn of(url: &str) -> Option<(Self, &str)> {
        let mut roles = Self::ALL.into_iter();
        roles.find_map(|role| Some((role, url.strip_prefix(role.url())?)))
    }
}

/// A clock that is set by hand and never goes back.
pub(crate) struct FuzzClock(AtomicU64);

impl FuzzClock {
    pub(crate) const fn new(now: u64) -> Self {
        Self(AtomicU64::new(now))
    }

    pub(crate) fn reach(&self, time: Timestamp) {
        self.0.fetch_max(time.0, Ordering::SeqCst);
    }
}

impl Clock for FuzzClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Randomness of which nothing is secret, the same in every run.
pub(crate) struct FuzzRng(u64);

impl FuzzRng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl TryRng for FuzzRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    /// SplitMix64.
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let number = self.try_next_u64()?.to_be_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for FuzzRng {}

/// A body that is there already.
pub(crate) struct Whole(Option<Vec<u8>>);

impl Whole {
    pub(crate) const fn new(body: Vec<u8>) -> Self {
        Self(Some(body))
    }

    pub(crate) const fn answer(status: u16, body: Vec<u8>) -> Response<Self> {
        Response {
            status,
            from: 0,
            body: Self::new(body),
        }
    }
}

impl Body for Whole {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.take())
    }
}

/// A request as a role sees it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) role: Role,
    pub(crate) is_post: bool,
    pub(crate) path: String,
    pub(crate) media_type: Option<&'static str>,
    pub(crate) headers: Vec<(http::HeaderName, String)>,
    pub(crate) body: Vec<u8>,
    /// When it was sent.
    pub(crate) at: Timestamp,
}

/// What a role answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The ways between all roles, which lead straight into their routers.
pub(crate) struct Net {
    routers: Mutex<Vec<(Role, Router)>>,
    /// Every request so far, while it is wanted.
    record: Mutex<Option<Vec<Asked>>>,
    /// What is not reached.
    cut: Mutex<Option<&'static str>>,
    clock: Arc<FuzzClock>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net {
    fn asked(&self, request: Request) -> Option<Asked> {
        let (role, path) = Role::of(&request.url)?;
        let resume = request.resume.map(|resume| {
            let range = (RANGE, format!("bytes={}-", resume.from));
            vec![range, (IF_RANGE, format!("\"{}\"", resume.entity_tag))]
        });
        Some(Asked {
            role,
            is_post: request.method == Method::Post,
            path: path.to_owned(),
            media_type: request.media_type,
            headers: resume.unwrap_or_default(),
            body: request.body,
            at: self.clock.now(),
        })
    }

    /// Brings a request to its role.
    pub(crate) async fn ask(&self, asked: &Asked) -> Result<Answered, TransportError> {
        let routers = locked(&self.routers).clone();
        let router = routers.into_iter().find(|(role, _)| *role == asked.role);
        let (_, router) = router.ok_or(TransportError::Connect)?;
        if let Some(record) = locked(&self.record).as_mut() {
            record.push(asked.clone());
        }
        if locked(&self.cut).is_some_and(|cut| asked.path.starts_with(cut)) {
            return Err(TransportError::Connect);
        }
        let mut builder = http::Request::builder()
            .uri(&asked.path)
            .method(if asked.is_post { "POST" } else { "GET" });
        if let Some(media_type) = asked.media_type {
            builder = builder.header(CONTENT_TYPE, media_type);
        }
        for (name, value) in &asked.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(HttpBody::from(asked.body.clone()));
        let request = request.map_err(|_| TransportError::Address)?;
        let response = router
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {});
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await;
        let body = body.map_err(|_| TransportError::Broken)?.to_vec();
        Ok(Answered { status, body })
    }
}

impl Transport for Net {
    type Body = Whole;

    async fn send(&self, request: Request) -> Result<Response<Whole>, TransportError> {
        let from = request.resume.as_ref().map_or(0, |resume| resume.from);
        let asked = self.asked(request).ok_or(TransportError::Address)?;
        let Answered { status, body } = self.ask(&asked).await?;
        Ok(Response {
            status,
            from: if status == 206 { from } else { 0 },
            body: Whole::new(body),
        })
    }
}

/// All roles and a wallet's folder.
pub(crate) struct Town {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<FuzzClock>,
    pub(crate) net: Arc<Net>,
    /// None only while they begin again.
    roles: Option<Roles>,
}

/// The roles as they run.
struct Roles {
    archive: Arc<Archive>,
    bank: Arc<Bank<Net>>,
    merchant: Arc<Merchant<Net>>,
}

impl Roles {
    async fn open(path: &Path, clock: &Arc<FuzzClock>, net: &Arc<Net>) -> Self {
        let bank_name = bank_id(&seed(path, Role::Bank));
        let archive = config::archive(path, bank_name);
        let world = || World {
            clock: clock.clone(),
            transport: Arc::clone(net),
        };
        let archive = Archive::open(&archive, seed(path, Role::Archive), &world());
        let archive = archive.expect("an archive opens");
        archive.publish_once().await.expect("published");
        let policy = PolicySource(archive.policy().text().to_owned());
        let bank = config::bank(path, policy.clone());
        let bank = Bank::open(&bank, seed(path, Role::Bank), world()).expect("a bank opens");
        let merchant = config::merchant(path, bank_name, policy);
        let merchant = Merchant::open(&merchant, seed(path, Role::Merchant), world());
        let merchant = merchant.expect("a shop opens");
        *locked(&net.routers) = vec![
            (Role::Archive, archive.router()),
            (Role::Bank, bank.router()),
            (Role::Merchant, merchant.router()),
        ];
        Self {
            archive,
            bank,
            merchant,
        }
    }
}

/// A town with keysets in the log, a good on the shelf, and a wallet that knows the bank and has money in its account.
static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    // A thread of its own: it may be wanted in the middle of somebody's runtime.
    let made = std::thread::spawn(Template::new).join();
    made.expect("the template is made")
});

struct Template {
    folder: tempfile::TempDir,
    catalogue: Vec<u8>,
    /// What was asked for until it was ready.
    asked: Vec<Asked>,
    now: Timestamp,
}

impl Template {
    fn new() -> Self {
        block_on(Self::made())
    }

    async fn made() -> Self {
        let town = Town::open(folder(), Timestamp(START)).await;
        town.begin_record();
        town.furnish().await;
        let asked = town.end_record();
        let catalogue = town.get(Role::Merchant, shop::CATALOGUE_PATH).await.body;
        let now = town.clock.now();
        let folder = folder();
        copy(town.folder.path(), folder.path()).expect("a folder in memory");
        Self {
            folder,
            catalogue,
            asked,
            now,
        }
    }
}

/// What the shared template is asked for without a town of one's own.
pub(crate) struct Shared;

impl Shared {
    pub(crate) fn catalogue(&self) -> Vec<u8> {
        TEMPLATE.catalogue.clone()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        TEMPLATE.asked.clone()
    }
}

impl Town {
    pub(crate) const fn shared() -> Shared {
        Shared
    }

    /// A copy of the template.
    pub(crate) async fn new() -> Self {
        let folder = folder();
        copy(TEMPLATE.folder.path(), folder.path()).expect("a folder in memory");
        Self::open(folder, TEMPLATE.now).await
    }

    async fn open(folder: tempfile::TempDir, now: Timestamp) -> Self {
        let clock = Arc::new(FuzzClock::new(now.0));
        let net = Arc::new(Net {
            routers: Mutex::default(),
            record: Mutex::default(),
            cut: Mutex::default(),
            clock: Arc::clone(&clock),
        });
        let roles = Some(Roles::open(folder.path(), &clock, &net).await);
        Self {
            folder,
            clock,
            net,
            roles,
        }
    }

    fn roles(&self) -> &Roles {
        self.roles.as_ref().expect("they run")
    }

    /// Brings the bank's keysets into the log, a good onto the shelf, money into the account, and the bank into the
    /// wallet.
    async fn furnish(&self) {
        for _ in 0..3 {
            let _not_in_the_log_yet = self.roles().bank.tick().await;
            self.clock.reach(Timestamp(self.clock.now().0 + 2));
            self.roles()
                .archive
                .publish_once()
                .await
                .expect("published");
        }
        self.roles()
            .bank
            .tick()
            .await
            .expect("the keyset is in the log");
        let mut wallet = self.new_wallet();
        let report = wallet
            .add_bank(Role::Bank.url(), None)
            .await
            .expect("a bank");
        let bank: BankId = report.bank.parse().expect("an id");
        let config = self.bank_config();
        let credited = operator::credit(
            &config,
            wallet.account(bank),
            cents(CREDIT),
            "start",
            self.clock.now(),
        );
        credited.expect("credited");
        self.add_good();
        self.round().await;
    }

    fn add_good(&self) {
        let path = self.folder.path().join("song.flac");
        fs::write(&path, b"la".repeat(10_000)).expect("written");
        let input = GoodInput {
            title: "Song".into(),
            price: cents(PRICE),
            description: "A song.".into(),
            licence: "CC0".into(),
            refund_rule: "none".into(),
            media_type: None,
        };
        let config: MerchantConfig = self.merchant_config();
        let mut shop = Shop::open(&config.data, self.clock.clone()).expect("opens");
        shop.add_good(&path, &input, &mut FuzzRng(2), &mut |_| ())
            .expect("added");
    }

    fn policy(&self) -> PolicySource {
        PolicySource(self.roles().archive.policy().text().to_owned())
    }

    fn merchant_config(&self) -> MerchantConfig {
        config::merchant(
            self.folder.path(),
            self.roles().bank.bank_id(),
            self.policy(),
        )
    }

    pub(crate) fn bank_config(&self) -> bauta_server::roles::bank::BankConfig {
        config::bank(self.folder.path(), self.policy())
    }

    pub(crate) fn seed(&self, role: Role) -> RoleSeed {
        seed(self.folder.path(), role)
    }

    pub(crate) async fn get(&self, role: Role, path: &str) -> Answered {
        let asked = self
            .net
            .asked(Request::get(format!("{}{path}", role.url())));
        let answered = self.net.ask(&asked.expect("an address")).await;
        answered.expect("answered")
    }

    /// Waits for `future` while nothing under this path is reached.
    pub(crate) async fn without<F: Future>(&self, path: &'static str, future: F) -> F::Output {
        *locked(&self.net.cut) = Some(path);
        let output = future.await;
        *locked(&self.net.cut) = None;
        output
    }

    /// All roles end and begin again with what is on record.
    pub(crate) async fn restart(&mut self) {
        locked(&self.net.routers).clear();
        let folder = self.folder.path().to_owned();
        self.roles = None;
        // What was begun comes to its end before.
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.roles = Some(Roles::open(&folder, &self.clock, &self.net).await);
    }

    pub(crate) fn wallet_folder(&self) -> PathBuf {
        self.folder.path().join("wallet")
    }

    fn environment<T>(&self, transport: Arc<T>) -> Environment<T> {
        Environment {
            transport,
            clock: self.clock.clone(),
            rng: Box::new(FuzzRng(1)),
            observer: Box::new(Unobserved),
        }
    }

    fn new_wallet(&self) -> Wallet<Net> {
        let environment = self.environment(Arc::clone(&self.net));
        Wallet::init(&self.wallet_folder(), &Protection::Unprotected, environment).expect("made")
    }

    /// The template's wallet, whose requests go this way.
    pub(crate) fn wallet<T: Transport>(&self, way: Arc<T>) -> Wallet<T> {
        let environment = self.environment(way);
        let protection = Protection::Unprotected;
        Wallet::open(
            &self.wallet_folder(),
            &protection,
            Duration::ZERO,
            environment,
        )
        .expect("a wallet opens")
    }

    /// A second wallet from the words of the first.
    pub(crate) fn restored(&self, words: &str) -> Wallet<Net> {
        let environment = self.environment(Arc::clone(&self.net));
        let folder = self.folder.path().join("restored");
        Wallet::restore(&folder, &Protection::Unprotected, words, environment).expect("made")
    }

    pub(crate) fn begin_record(&self) {
        *locked(&self.net.record) = Some(Vec::new());
    }

    pub(crate) fn end_record(&self) -> Vec<Asked> {
        locked(&self.net.record).take().unwrap_or_default()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock
            .reach(Timestamp(self.clock.now().0.saturating_add(seconds)));
    }

    /// What roles do by themselves: the log publishes, the bank reads it, the shop sends, collects and claims.
    pub(crate) async fn round(&self) {
        let published = self.roles().archive.publish_once().await;
        published.expect("published");
        let _later = self.roles().bank.tick().await;
        let _later = self.roles().merchant.follow_logs().await;
        let _later = self.roles().merchant.push_commits().await;
        let _later = self.roles().merchant.collect_receipts().await;
        let _later = self.roles().merchant.claim().await;
        let _later = self.roles().merchant.expire().await;
    }

    /// What the shop's account has, in cents.
    pub(crate) fn merchant_balance(&self) -> u64 {
        let account = payee_account(&self.seed(Role::Merchant), self.roles().bank.bank_id());
        let mut balance = 0;
        let read = operator::accounts(&self.bank_config(), |row| {
            if row.account == account {
                balance += row.balance.amount.minor_units();
            }
        });
        read.expect("the accounts can be read");
        balance
    }

    /// The books of the bank, which must balance and hold what came in.
    pub(crate) fn check_books(&self) -> bauta_store::bank::Audit {
        let audit = operator::audit(&self.bank_config()).expect("the books can be read");
        assert_eq!(audit.defects, [], "rows and totals agree");
        let totals = audit.currencies.first().expect("one currency");
        assert_eq!(
            totals.reserve.minor_units(),
            CREDIT,
            "money comes from nowhere else"
        );
        audit
    }
}

impl Drop for Town {
    /// The roles hold the ways, and the ways the roles.
    fn drop(&mut self) {
        locked(&self.net.routers).clear();
    }
}

pub(crate) fn euro() -> Currency {
    Currency::from_code("EUR").expect("a currency")
}

pub(crate) fn cents(amount: u64) -> Money {
    Amount::new(amount).expect("small").of(euro())
}

/// A fresh folder that never reaches a disk, where there is such a place.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    folder.expect("a temporary folder")
}

/// The seed of a role, the same in every run.
fn seed(folder: &Path, role: Role) -> RoleSeed {
    let path = folder.join(format!("{role:?}.key"));
    if !path.exists() {
        RoleSeed::generate(&mut FuzzRng(role as u64 + 10))
            .store(&path)
            .expect("written");
    }
    RoleSeed::load(&path).expect("read")
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Runs to the end on this thread alone: what takes time takes none, so that an input always leads to the same end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    threads::simulate(|| Duration::ZERO);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(future)
}
