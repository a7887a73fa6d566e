//! An order's record, and what it says about who has to act next.

use bauta_proto::{
    accept::AcceptRequest,
    codec::{Message, Signed},
    ids::{AccountId, GoodId, Txid},
    lock::LockStatus,
    log::leaf::Deed,
    offer::{Offer, OrderRequest},
    submission::Promise,
    time::Timestamp,
};

use super::sale_leaf::SaleLeaf;

/// How far an order has come. Each state has one owner, who alone leads on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum OrderState {
    /// The offer was made; the customer has to pay, or it lapses.
    Offered = 1,
    /// A lock that pays for it is on record; the preimage has not left.
    Accepted = 2,
    /// The preimage may have left for the logs or the bank; neither has confirmed it.
    Sent = 3,
    /// The last moment passed without an answer, or too many logs broke their promises: logs and bank are asked what became
    /// of it.
    Unknown = 4,
    /// Enough logs have promised the commit.
    Promised = 5,
    /// The bank has taken the preimage.
    Captured = 6,
    /// The receipts of enough logs are on record.
    Logged = 7,
    /// The bank has credited the account. An end.
    Claimed = 8,
    /// There is no sale and no money. An end; the reason stands beside it.
    Failed = 9,
    /// Mode SAFE: what prepares may have left for the logs; the preimage has not. Comes between `Accepted` and `Sent`.
    Preparing = 10,
}

impl OrderState {
    /// All states.
    pub const ALL: [Self; 10] = [
        Self::Offered,
        Self::Accepted,
        Self::Sent,
        Self::Unknown,
        Self::Promised,
        Self::Captured,
        Self::Logged,
        Self::Claimed,
        Self::Failed,
        Self::Preparing,
    ];

    /// Those in which a sale is paid and the logs' words still matter to it.
    pub const LOGS_DECIDE: [Self; 5] = [
        Self::Accepted,
        Self::Preparing,
        Self::Sent,
        Self::Unknown,
        Self::Promised,
    ];

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }
}

/// What hinders an order or ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Too little time was left when the preimage could first have gone; it never left.
    TooLate = 1,
    /// The bank gave the money back.
    Released = 2,
    /// Too many logs have another leaf where they promised this one.
    BrokenPromise = 3,
    /// The bank has not seen the commit yet.
    Undecided = 4,
    /// The bank does not take the receipt as proof of a commit in time.
    BadReceipt = 5,
    /// The account is frozen.
    Frozen = 6,
    /// The bank says that the claim opens another lock's commitment.
    WrongPayee = 7,
    /// The bank denies a lock that it signed.
    LockDenied = 8,
    /// Neither log nor bank answers.
    OutOfReach = 9,
    /// The customer took the lock back before it was prepared.
    Cancelled = 10,
}

impl Reason {
    const ALL: [Self; 10] = [
        Self::TooLate,
        Self::Released,
        Self::BrokenPromise,
        Self::Undecided,
        Self::BadReceipt,
        Self::Frozen,
        Self::WrongPayee,
        Self::LockDenied,
        Self::OutOfReach,
        Self::Cancelled,
    ];

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    /// The reason in a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooLate => "it became too late to log the sale safely; the key never left",
            Self::Released => "the bank gave the money back: the key was not in the log in time",
            Self::BrokenPromise => {
                "the log promised this sale and has something else in its place; its promise and the proof are kept"
            }
            Self::Undecided => "the bank has not seen the sale in the log yet",
            Self::BadReceipt => {
                "the bank does not take the receipt as proof that the sale was logged in time"
            }
            Self::Frozen => "the shop's account is frozen",
            Self::WrongPayee => "the bank says that this lock pays somebody else",
            Self::LockDenied => "the bank denies a lock that it signed; the lock is kept as proof",
            Self::OutOfReach => "neither log nor bank has answered",
            Self::Cancelled => {
                "the customer cancelled before the sale was prepared; the key never left"
            }
        }
    }
}

/// Who has to act for an order to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The customer.
    Customer,
    /// This shop, by itself; nobody has to do anything.
    Shop,
    /// Whoever operates this shop.
    Operator,
    /// The log.
    Log,
    /// The bank.
    Bank,
    /// Nobody: it has ended.
    Nobody,
}

/// What an order's state means, in a sentence, and who has to act next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The meaning.
    pub text: &'static str,
    /// Who acts next.
    pub next: Actor,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Counts orders; one that was answered later has a larger number.
    pub number: u64,
    /// The purchase's name.
    pub txid: Txid,
    /// The good.
    pub good: GoodId,
    /// Its version.
    pub version: u32,
    /// When the order was answered; the sale's secrets follow from it.
    pub answered_at: Timestamp,
    /// The account that is paid.
    pub account: AccountId,
    /// The offer that was made.
    pub offer: Signed<Offer>,
    /// How far it has come.
    pub state: OrderState,
    /// When the state's owner looks at it again.
    pub due_at: Timestamp,
    /// The lock and the customer's acceptance; there in every state behind `Offered`.
    pub accept: Option<AcceptRequest>,
    /// When the lock came.
    pub accepted_at: Option<Timestamp>,
    /// When the preimage may have left first.
    pub sent_at: Option<Timestamp>,
    /// Since when the preimage may be handed to the customer: enough logs or the bank confirmed that they have it.
    pub confirmed_at: Option<Timestamp>,
    /// What logs said about the sale's leaves.
    pub leaves: Vec<SaleLeaf>,
    /// When the bank confirmed that it has the preimage.
    pub captured_at: Option<Timestamp>,
    /// The bank's signed word for that.
    pub capture: Option<Signed<LockStatus>>,
    /// What hinders it or ended it.
    pub reason: Option<Reason>,
    /// How often the state's owner has tried without success.
    pub attempts: u32,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Order {
    /// The order as the customer sent it.
    #[must_use]
    pub fn request(&self) -> OrderRequest {
        let offer = &self.offer.body;
        OrderRequest {
            merchant: offer.merchant,
            good: self.good,
            version: self.version,
            bank: offer.bank,
            log_policy: offer.log_policy,
            mode: offer.mode.mode(),
            pseudonym: offer.pseudonym,
            nonce: offer.nonce,
        }
    }

    /// The order's name, by which a repeat is recognised.
    #[must_use]
    pub fn order_id(&self) -> [u8; 32] {
        self.request().id()
    }

    /// When the lock expires; none before there is one.
    #[must_use]
    pub fn expiry(&self) -> Option<Timestamp> {
        self.accept.as_ref().map(|accept| accept.lock.public.expiry)
    }

    /// When the preimage must have been published; none before there is a lock.
    #[must_use]
    pub fn commit_until(&self) -> Option<Timestamp> {
        let accept = self.accept.as_ref();
        accept.map(|accept| accept.lock.public.commit_until())
    }

    /// Whether the preimage may be handed to the customer: logs or bank have confirmed that they have it.
    #[must_use]
    pub const fn is_deliverable(&self) -> bool {
        self.confirmed_at.is_some()
    }

    /// What a log said about the sale's leaf for this deed.
    #[must_use]
    pub fn leaf(&self, log: &[u8; 32], deed: Deed) -> Option<&SaleLeaf> {
        let is_meant = |leaf: &&SaleLeaf| leaf.log == *log && leaf.deed == deed;
        self.leaves.iter().find(is_meant)
    }

    /// The promises that went to the customer with the preimage.
    pub fn told_promises(&self) -> impl Iterator<Item = &Signed<Promise>> {
        let told = self.leaves.iter().filter(|leaf| leaf.is_told);
        told.map(|leaf| &leaf.promise)
    }

    /// What the state means at `now`, and who acts next.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        let (text, next) = match (self.state, self.reason) {
            (OrderState::Offered, _) if self.offer.body.offer_until < now => {
                ("the offer lapsed unpaid", Actor::Nobody)
            }
            (OrderState::Offered, _) => ("offered; not paid yet", Actor::Customer),
            (OrderState::Accepted, _) => ("paid; waits to be logged", Actor::Shop),
            (OrderState::Preparing, _) => ("paid; waits to be prepared in the log", Actor::Log),
            (OrderState::Sent, _) => ("paid; the log has not confirmed yet", Actor::Log),
            (OrderState::Unknown, Some(Reason::BrokenPromise)) => {
                (Reason::BrokenPromise.text(), Actor::Operator)
            }
            (OrderState::Unknown, _) => (
                "paid; log and bank are asked what became of it",
                Actor::Bank,
            ),
            (OrderState::Promised, _) => ("sold; waits for the log's receipt", Actor::Log),
            (OrderState::Captured, None) => ("sold; the money will be claimed", Actor::Shop),
            (OrderState::Logged, None) => {
                ("sold and logged; the money will be claimed", Actor::Shop)
            }
            (OrderState::Captured | OrderState::Logged, Some(reason)) => {
                (reason.text(), hindered_by(reason))
            }
            (OrderState::Claimed, _) => ("sold; the money is in the account", Actor::Nobody),
            (OrderState::Failed, reason) => {
                (reason.unwrap_or(Reason::Released).text(), Actor::Nobody)
            }
        };
        Standing { text, next }
    }
}

/// Who can remove what keeps the money from being claimed.
const fn hindered_by(reason: Reason) -> Actor {
    match reason {
        Reason::Undecided
        | Reason::OutOfReach
        | Reason::Released
        | Reason::TooLate
        | Reason::Cancelled => Actor::Bank,
        Reason::BadReceipt
        | Reason::Frozen
        | Reason::WrongPayee
        | Reason::LockDenied
        | Reason::BrokenPromise => Actor::Operator,
    }
}
