//! Who lives in a world: one machine each, with its disk, its clock, its keys, and what it answers at present.

use std::{
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        self,
        header::{CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE},
    },
};
use bauta_proto::transport::{Method, Request};
use bauta_server::keys::RoleSeed;
use futures_util::future::BoxFuture;
use tower::ServiceExt;

use crate::{clock::NodeClock, disk::Disk, net::SimTransport, random::Chance};

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Keeps accounts, coins and locks.
    Bank,
    /// Keeps the log.
    Archive,
    /// Says what the log showed, and when.
    Witness,
    /// Sells.
    Merchant,
    /// Buys.
    Wallet,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Bank,
        Self::Archive,
        Self::Witness,
        Self::Merchant,
        Self::Wallet,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Archive => "archive",
            Self::Witness => "witness",
            Self::Merchant => "merchant",
            Self::Wallet => "wallet",
        }
    }
}

/// A node's name: its kind and a number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// What it is.
    pub kind: Kind,
    /// Which of its kind.
    pub number: u8,
}

impl NodeId {
    /// The bank of this number.
    #[must_use]
    pub const fn bank(number: u8) -> Self {
        Self {
            kind: Kind::Bank,
            number,
        }
    }

    /// The archive of this number.
    #[must_use]
    pub const fn archive(number: u8) -> Self {
        Self {
            kind: Kind::Archive,
            number,
        }
    }

    /// The witness of this number.
    #[must_use]
    pub const fn witness(number: u8) -> Self {
        Self {
            kind: Kind::Witness,
            number,
        }
    }

    /// The merchant of this number.
    #[must_use]
    pub const fn merchant(number: u8) -> Self {
        Self {
            kind: Kind::Merchant,
            number,
        }
    }

    /// The wallet of this number.
    #[must_use]
    pub const fn wallet(number: u8) -> Self {
        Self {
            kind: Kind::Wallet,
            number,
        }
    }

    /// Where others reach it.
    #[must_use]
    pub fn url(self) -> String {
        format!("http://{self}.sim")
    }

    /// The node that an address leads to, and the path there.
    pub(crate) fn of_url(url: &str) -> Option<(Self, &str)> {
        let rest = url.strip_prefix("http://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some((host.strip_suffix(".sim")?.parse().ok()?, path))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.kind.name(), self.number)
    }
}

impl FromStr for NodeId {
    type Err = UnknownNode;

    fn from_str(text: &str) -> Result<Self, UnknownNode> {
        let (name, number) = text.split_once('-').ok_or(UnknownNode)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        Ok(Self {
            kind: kind.ok_or(UnknownNode)?,
            number: number.parse().map_err(|_| UnknownNode)?,
        })
    }
}

/// A text that names no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node is named by its kind and number, as in `bank-0`")]
pub struct UnknownNode;

/// What answers at a node's address: the real role behind its edge, or a liar in its place.
pub trait Service: Send + Sync {
    /// Answers one request. `request.url` holds the path alone.
    fn answer<'a>(&'a self, request: Request, from: NodeId) -> BoxFuture<'a, Reply>;
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// The first byte that the body holds of what was asked for in parts; otherwise 0.
    pub from: u64,
    /// All of the body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A whole answer.
    #[must_use]
    pub const fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            from: 0,
            body,
        }
    }
}

/// What a liar has in its hands: everything that the role has.
#[derive(Clone)]
pub struct Puppet {
    /// Whom it plays.
    pub id: NodeId,
    /// The seed of the role's keys.
    pub keys: RoleSeed,
    /// The way to others, under the role's name.
    pub transport: Arc<SimTransport>,
    /// The role's clock.
    pub clock: Arc<NodeClock>,
    /// The honest role, which runs with its jobs behind the liar: it may be asked, or left alone.
    pub honest: Arc<dyn Service>,
    /// Chance of its own.
    pub chance: Chance,
}

/// Makes the liar that answers in a role's place, each time the role starts.
pub(crate) type Mask = Arc<dyn Fn(Puppet) -> Arc<dyn Service> + Send + Sync>;

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) folder: PathBuf,
    pub(crate) disk: Disk,
    pub(crate) clock: Arc<NodeClock>,
    pub(crate) keys: RoleSeed,
    running: Mutex<Running>,
    mask: Mutex<Option<Mask>>,
    /// Whether it stays down until somebody switches it on.
    is_off: AtomicBool,
    /// How many operations its disk had done when the world began.
    furnished: AtomicU64,
}

#[derive(Default)]
struct Running {
    life: u64,
    service: Option<Arc<dyn Service>>,
}

impl Node {
    pub(crate) fn new(
        id: NodeId,
        folder: PathBuf,
        disk: Disk,
        clock: Arc<NodeClock>,
        keys: RoleSeed,
    ) -> Self {
        Self {
            id,
            folder,
            disk,
            clock,
            keys,
            running: Mutex::default(),
            mask: Mutex::default(),
            is_off: AtomicBool::new(false),
            furnished: AtomicU64::new(0),
        }
    }

    /// Answers with `service` from now on, for as long as this incarnation lives.
    pub(crate) fn serve(&self, service: Arc<dyn Service>) {
        let life = self.disk.life();
        *self.running() = Running {
            life,
            service: Some(service),
        };
    }

    pub(crate) fn stop(&self) {
        self.running().service = None;
    }

    /// What answers now, and in which incarnation.
    pub(crate) fn service(&self) -> Option<(Arc<dyn Service>, u64)> {
        let running = self.running();
        let service = running.service.clone()?;
        self.is_alive(running.life)
            .then_some((service, running.life))
    }

    /// Whether this incarnation can still do something.
    pub(crate) fn is_alive(&self, life: u64) -> bool {
        !self.disk.is_down() && self.disk.life() == life
    }

    /// What its disk holds now was there before the world began.
    pub(crate) fn furnish(&self) {
        let operations = self.disk.operations();
        self.furnished.store(operations, Ordering::Relaxed);
    }

    /// How many operations its disk had done when the world began.
    pub(crate) fn furnished(&self) -> u64 {
        self.furnished.load(Ordering::Relaxed)
    }

    /// Keeps the node down, or lets it come back.
    pub(crate) fn switch_off(&self, is_off: bool) {
        self.is_off.store(is_off, Ordering::Relaxed);
    }

    pub(crate) fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Relaxed)
    }

    pub(crate) fn put_on(&self, mask: Mask) {
        *self.mask.lock().unwrap_or_else(PoisonError::into_inner) = Some(mask);
    }

    pub(crate) fn mask(&self) -> Option<Mask> {
        self.mask
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A real role behind its edge.
pub(crate) struct Honest(pub(crate) Router);

impl Service for Honest {
    fn answer<'a>(&'a self, request: Request, _: NodeId) -> BoxFuture<'a, Reply> {
        Box::pin(exchange(self.0.clone(), request))
    }
}

async fn exchange(router: Router, request: Request) -> Reply {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    };
    let mut builder = http::Request::builder().uri(request.url).method(method);
    if let Some(media_type) = request.media_type {
        builder = builder.header(CONTENT_TYPE, media_type);
    }
    if let Some(resume) = &request.resume {
        builder = builder
            .header(RANGE, format!("bytes={}-", resume.from))
            .header(IF_RANGE, format!("\"{}\"", resume.entity_tag));
    }
    let request = builder.body(Body::from(request.body));
    let Ok(request) = request else {
        return Reply::new(400, Vec::new());
    };
    let response = router.oneshot(request).await;
    let (head, body) = response.unwrap_or_else(|never| match never {}).into_parts();
    let range = head.headers.get(CONTENT_RANGE);
    let from = range.and_then(|range| first_byte(range.to_str().ok()?));
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    Reply {
        status: head.status.as_u16(),
        from: from.unwrap_or(0),
        body: body.to_vec(),
    }
}

/// `bytes 5-9/10`.
fn first_byte(range: &str) -> Option<u64> {
    let (first, _) = range.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}
