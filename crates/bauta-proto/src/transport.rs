//! The seam to the network: one HTTP exchange as data, the table of endpoints, and a typed call over both.
//!
//! The protocol names paths and bodies; who carries them (the real client of `bauta-io`, or a simulated world)
//! implements [`Transport`].

use std::future::Future;

use crate::{
    codec::{DecodeError, Message},
    problem::Problem,
};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whether it has a body.
    pub method: Method,
    /// Absolute address.
    pub url: String,
    /// Media type of the body.
    pub media_type: Option<&'static str>,
    /// The body; empty for GET.
    pub body: Vec<u8>,
    /// First byte wanted of a resource that is fetched in parts, with the entity tag that it must still have.
    pub resume: Option<Resume>,
}

/// The rest of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// How many bytes are there already.
    pub from: u64,
    /// The entity tag of what they are part of.
    pub entity_tag: String,
}

/// The methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read; safe to repeat.
    Get,
    /// Do; safe to repeat with the same bytes, as every request of the protocol is.
    Post,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn get(url: String) -> Self {
        Self {
            method: Method::Get,
            url,
            media_type: None,
            body: Vec::new(),
            resume: None,
        }
    }

    /// A request with a message as its body.
    #[must_use]
    pub fn post<M: Message>(url: String, message: &M) -> Self {
        let body = message.to_bytes();
        Self {
            method: Method::Post,
            url,
            media_type: Some(M::MEDIA_TYPE),
            body,
            resume: None,
        }
    }
}

/// What came back: the status, and a body still to be read.
#[derive(Debug)]
pub struct Response<B> {
    /// HTTP status code.
    pub status: u16,
    /// The first byte that the body holds, for 206; otherwise 0.
    pub from: u64,
    /// The body.
    pub body: B,
}

/// No answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nobody listens there, or the way is cut.
    #[error("no connection to the other side")]
    Connect,
    /// Somebody answers there, but cannot prove to be the one that the address names.
    #[error("the other side's certificate is not trusted")]
    Certificate,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke in the middle.
    #[error("the connection broke")]
    Broken,
    /// The address is not one.
    #[error("the address is not a valid http or https URL")]
    Address,
    /// The answer is larger than it may be.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// A part was asked for, and another part came. The other side is at fault.
    #[error("the answer holds another part than was asked for")]
    Part,
}

/// Carries requests. Implementations may be used from many tasks at once and keep no state that matters.
pub trait Transport: Send + Sync {
    /// A body that is read piece by piece.
    type Body: Body;

    /// Sends one request. An error leaves it open whether the other side acted on it: repeat it, with the same bytes.
    fn send(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response<Self::Body>, TransportError>> + Send;
}

/// A body on its way.
pub trait Body: Send {
    /// The next piece, none at the end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, TransportError>> + Send;
}

/// One operation of a role: its path and the messages of both directions.
pub trait Endpoint {
    /// What is sent.
    type Request: Message;
    /// What comes back on success.
    type Reply: Message;
    /// The path, beginning with `/v1/`.
    const PATH: &'static str;
}

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident: $path:literal, $request:ty => $reply:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Endpoint for $name {
            type Request = $request;
            type Reply = $reply;
            const PATH: &'static str = $path;
        }
    )*};
}

/// The operations of a bank.
pub mod bank {
    use super::Endpoint;
    use crate::{
        account::{Statement, StatementRequest, WithdrawRequest},
        codec::Signed,
        coin::{
            Authorized, CoinState, CoinStateRequest, ExchangeRequest, Issued, RestoreRequest,
            Restored,
        },
        lock::{
            Capture, ClaimReply, ClaimRequest, LockReply, LockRequest, LockStatus,
            LockStatusRequest, Release,
        },
    };

    /// GET: the bank's [`KeysetList`](crate::coin::KeysetList).
    pub const KEYSETS_PATH: &str = "/v1/keysets";
    /// GET: the text of the log policy that the bank goes by.
    pub const POLICY_PATH: &str = "/v1/log-policy";

    endpoints! {
        /// Account money for coins.
        Withdraw: "/v1/withdraw", Signed<WithdrawRequest> => Issued;
        /// Old coins for new.
        Exchange: "/v1/exchange", Authorized<ExchangeRequest> => Issued;
        /// Which outputs were signed.
        Restore: "/v1/restore", RestoreRequest => Restored;
        /// What is left on a coin.
        State: "/v1/coin-state", CoinStateRequest => CoinState;
        /// Value under a hash and an expiry.
        LockValue: "/v1/lock", Authorized<LockRequest> => LockReply;
        /// The preimage brought to the bank.
        CaptureLock: "/v1/capture", Capture => Signed<LockStatus>;
        /// The payee gives the money back.
        ReleaseLock: "/v1/release", Signed<Release> => Signed<LockStatus>;
        /// The payee takes the money.
        ClaimLocks: "/v1/claim", ClaimRequest => ClaimReply;
        /// What became of locks.
        Status: "/v1/lock-status", LockStatusRequest => Signed<LockStatus>;
        /// An account's entries.
        AccountStatement: "/v1/statement", Signed<StatementRequest> => Statement;
    }
}

/// The operations of an archive; everything else about it is static files.
pub mod archive {
    use super::Endpoint;
    use crate::{
        codec::Signed,
        submission::{Promise, Record, Submission},
    };

    /// GET: the latest checkpoint with cosignatures.
    pub const CHECKPOINT_PATH: &str = "/checkpoint";
    /// GET: the text of the policy of this log alone.
    pub const POLICY_PATH: &str = "/v1/log-policy";

    endpoints! {
        /// A preimage for the log: prepares, commits or cancels.
        SubmitLeaf: "/v1/leaf", Submission => Signed<Promise>;
        /// A bank's public parameter for the log.
        SubmitRecord: "/v1/record", Signed<Record> => Signed<Promise>;
    }
}

/// The operations of a merchant.
pub mod merchant {
    use super::Endpoint;
    use crate::{
        accept::{AcceptRequest, Delivery},
        offer::{OrderReply, OrderRequest},
    };

    /// GET: the shop's [`Catalogue`](crate::catalogue::Catalogue) as JSON.
    pub const CATALOGUE_PATH: &str = "/v1/catalogue";
    /// GET with ranges: ciphertext by its root in hexadecimal.
    pub const CIPHERTEXT_PATH: &str = "/v1/ciphertext/";

    endpoints! {
        /// A binding offer for one good.
        Order: "/v1/order", OrderRequest => OrderReply;
        /// A lock for the key.
        AcceptOffer: "/v1/accept", AcceptRequest => Delivery;
    }
}

/// Why a call had no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side refused, and says why.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// No answer came; it is open whether the other side acted.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer is not what the protocol says.
    #[error("the other side's answer is not understood")]
    Answer(#[from] DecodeError),
    /// The answer is an error without a problem document.
    #[error("the other side answered with HTTP status {0} and no explanation")]
    Status(u16),
}

impl CallError {
    /// Whether repeating the same bytes later may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Refused(problem) => problem.is_temporary(),
            Self::Transport(error) => {
                use TransportError::{Address, Certificate, Part, TooLarge};
                !matches!(error, Address | Certificate | TooLarge(_) | Part)
            }
            Self::Answer(_) => false,
            Self::Status(status) => *status >= 500 || *status == 429,
        }
    }
}

/// Calls one operation of the role at `base` (an address without a trailing slash).
///
/// # Errors
/// [`CallError`]; after a transport error it is open whether the other side acted, so repeat the same bytes.
pub async fn call<E: Endpoint, T: Transport>(
    transport: &T,
    base: &str,
    request: &E::Request,
) -> Result<E::Reply, CallError> {
    let request = Request::post(address(base, E::PATH), request);
    let body = fetch(transport, request, E::Reply::BYTES_MAX).await?;
    Ok(E::Reply::from_bytes(&body)?)
}

/// Sends one request and reads the whole answer.
///
/// # Errors
/// [`CallError`], also when the answer has more than `bytes_max` bytes.
pub async fn fetch<T: Transport>(
    transport: &T,
    request: Request,
    bytes_max: usize,
) -> Result<Vec<u8>, CallError> {
    let mut response = transport.send(request).await?;
    let limit = if response.status < 300 {
        bytes_max
    } else {
        Problem::BYTES_MAX
    };
    let body = collect(&mut response.body, limit).await?;
    if response.status < 300 {
        Ok(body)
    } else {
        Err(refusal(response.status, &body))
    }
}

/// Reads a body to its end.
///
/// # Errors
/// [`TransportError`], also when it has more than `bytes_max` bytes.
pub async fn collect(body: &mut impl Body, bytes_max: usize) -> Result<Vec<u8>, TransportError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(TransportError::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What an error status and its body mean.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> CallError {
    match Problem::from_json(body) {
        Some(problem) => CallError::Refused(Box::new(problem)),
        None => CallError::Status(status),
    }
}

/// The address of `path` at the role whose base address is `base`.
#[must_use]
pub fn address(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}
