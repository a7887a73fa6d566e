//! Problem documents (RFC 9457) and their numbered registry. docs/errors.md lists the same rows; a test compares them.

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// Who has to act for the same request to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Whoever sent the request.
    Caller,
    /// The role that answers.
    Role,
    /// A role that the answering one depends on.
    Elsewhere,
    /// Nobody: the state of things has moved on.
    Nobody,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $fault:ident, $title:literal, $remedy:literal;)*) => {
        /// The registry's rows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ProblemKind { $(#[doc = $title] $name = $code,)* }

        impl ProblemKind {
            /// All rows, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// HTTP status code.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }
            /// Who has to act.
            #[must_use]
            pub const fn fault(self) -> Fault { match self { $(Self::$name => Fault::$fault,)* } }
            /// What is wrong, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title,)* } }
            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str { match self { $(Self::$name => $remedy,)* } }
        }
    };
}

problems! {
    Malformed = 1001, 400, Caller, "the request is not understood", "Send the message that this path takes, in its canonical encoding.";
    MediaType = 1002, 415, Caller, "the body has another media type", "Set Content-Type to the media type of the message.";
    TooLarge = 1003, 413, Caller, "the body is too large", "Send less in one request.";
    NotFound = 1004, 404, Caller, "there is nothing at this address", "Check the address.";
    Method = 1005, 405, Caller, "this address does not take this method", "Use the method that the documentation names.";
    Overloaded = 1006, 503, Role, "too much to do at the moment", "Repeat the same request in a few seconds.";
    Internal = 1007, 500, Role, "the service failed", "Repeat the same request later; its operator finds the reason in the log.";
    StorageFull = 1008, 507, Role, "the service cannot write to its storage", "Repeat the same request later; the operator has to make room.";
    WrongRecipient = 1009, 421, Caller, "the request is meant for another role", "Check the address against the identity that is expected there.";
    StaleRequest = 1010, 400, Caller, "the request was signed too long ago or in the future", "Set the clock right and sign again.";
    BadSignature = 1011, 403, Caller, "a signature does not verify", "Sign exactly the body that is sent, with the key that it names.";
    Timeout = 1012, 408, Nobody, "the request took too long", "Repeat the same request.";

    UnknownKeyset = 2001, 404, Caller, "the bank has no such keyset", "Fetch the bank's keysets again.";
    KeysetNotIssuing = 2002, 409, Caller, "the keyset does not issue coins at this time", "Ask for coins of a current keyset; check the clock.";
    KeysetExpired = 2003, 409, Caller, "the coin's keyset has passed its time", "Exchange coins before their keyset ends.";
    BadCoin = 2004, 400, Caller, "the bank did not sign this coin", "Drop the coin; whoever gave it cheated or damaged it.";
    CoinSpent = 2005, 409, Caller, "the coin was spent in another request", "Look at the proof, then ask for the coin's state and go on from there.";
    Form = 2006, 400, Caller, "lists or sums of the request are wrong", "Compose the request anew.";
    MixedCurrency = 2007, 400, Caller, "coins of another currency", "Use coins and amounts of one currency in one request.";
    ExpiryTooNear = 2008, 400, Caller, "the expiry is too near or past", "Choose a later expiry; check the clock.";
    ExpiryTooFar = 2009, 400, Caller, "the expiry is too far ahead", "Choose an earlier expiry, or coins of a newer keyset; check the clock.";
    UnknownAccount = 2010, 404, Caller, "the bank has no such account", "The operator opens an account with its first credit.";
    InsufficientFunds = 2011, 409, Caller, "the account does not hold that much", "Ask for less, or have the account credited.";
    AccountFrozen = 2012, 403, Caller, "the account is frozen", "Talk to the bank's operator.";
    UnknownPolicy = 2013, 400, Caller, "the bank does not go by this log policy", "Use the log policy that the bank publishes.";
    OutputReused = 2014, 409, Caller, "a blinded output was signed in another request", "Restore the coin that it was signed for, and use fresh outputs.";
    UnknownLock = 2015, 404, Caller, "the bank has no such lock", "Check the lock tag.";
    LockDecided = 2016, 409, Nobody, "the lock is decided already", "Ask for the lock's status.";
    WrongPreimage = 2017, 400, Caller, "the preimage does not open the lock", "Send the preimage of the lock's hash.";
    LockExpired = 2018, 409, Nobody, "the lock has expired", "The log decides now: show the receipt of a commit, or wait.";
    WrongPayee = 2019, 403, Caller, "the opening does not match the lock's payee commitment", "Open the commitment that the lock carries.";
    DisputeWindow = 2020, 400, Caller, "the dispute window is longer than the bank agrees to", "Choose a shorter one.";
    BadOutput = 2021, 400, Caller, "a blinded output is not a point of the group", "Blind the coin again.";
    LockMode = 2022, 400, Caller, "the lock's mode cannot be decided", "Choose a reveal window within the limits, and three different hashes.";
    NotDecidable = 2023, 400, Caller, "the log policy cannot decide a lock of this expiry", "Choose another expiry; the operator adds logs to the policy.";
    LogsUnreached = 2024, 503, Elsewhere, "the bank has not reached enough of the logs that would decide", "Repeat the same request in a few seconds.";
    NotPrepared = 2025, 409, Caller, "the lock is not prepared", "Bring the prepare preimage to the logs first.";

    UnknownBank = 3001, 403, Caller, "the log does not take locks of this bank", "Use a log that lists the bank.";
    BadCommit = 3002, 400, Caller, "the commit proves nothing", "Send the lock as its bank signed it, and the preimage of its hash.";
    CommitExpired = 3003, 409, Nobody, "the lock has expired; the log admits no commit", "The money returns to the payer.";
    CommitTooFar = 3004, 400, Caller, "the lock's expiry is too far ahead", "Check the bank's clock and this log's.";
    LogHalted = 3005, 503, Role, "the log takes no entries until its witnesses have confirmed its store", "Repeat the same request in a few seconds, or bring the preimage to the bank; the log's operator finds the reason in its log.";
    OtherShard = 3006, 400, Caller, "leaves of this expiry belong into another shard of the log", "Send it to the log that the policy lists for this expiry.";
    PolicyNotServed = 3007, 403, Caller, "the log does not serve the lock's log policy", "Send it to a log that the lock's policy lists; check the bank's log policy.";

    UnknownGood = 4001, 404, Caller, "the shop has no such good", "Fetch the catalogue again.";
    VersionChanged = 4002, 409, Nobody, "the good has a newer version", "Fetch the catalogue again and order the current version.";
    NotForSale = 4003, 410, Nobody, "the good is no longer for sale", "Choose something else.";
    BankNotAccepted = 4004, 400, Caller, "the shop does not take money of this bank", "Pay from one of the banks that the catalogue lists.";
    PolicyNotAccepted = 4005, 400, Caller, "the shop does not go by this log policy", "Use the log policy that the catalogue lists.";
    UnknownOffer = 4006, 404, Caller, "the shop made no such offer", "Order again; if money is locked it returns at the lock's expiry.";
    OfferExpired = 4007, 409, Nobody, "the offer has expired", "Order again; if money is locked it returns at the lock's expiry.";
    LockMismatch = 4008, 400, Caller, "the lock does not match the offer", "The money returns at the lock's expiry.";
    LockTooShort = 4009, 409, Caller, "the lock expires too soon to deliver safely", "The money returns at the lock's expiry; order again and check the clock.";
    LockTooLong = 4010, 400, Caller, "the lock expires later than the offer allows", "The money returns at the lock's expiry; order again and check the clock.";
    OtherLock = 4011, 409, Caller, "another lock pays for this offer already", "The second lock's money returns at its expiry.";
    DeliveryPending = 4012, 503, Elsewhere, "the sale is not in the log yet", "Repeat the same request in a few seconds.";
    DeliveryFailed = 4013, 409, Nobody, "the sale could not be logged in time", "The money returns at the lock's expiry; order again.";
    ModeNotOffered = 4014, 400, Caller, "the shop does not sell in this mode", "Use one of the modes that the catalogue lists.";

    UnknownLog = 5001, 404, Caller, "the witness does not know a log with this origin", "Ask the witness's operator to list the log's key.";
    UnsignedCheckpoint = 5002, 403, Caller, "the checkpoint is not one that the log signed", "Send the note as the log signed it.";
    InconsistentCheckpoint = 5003, 422, Caller, "the proof does not show that the log only appended", "Prove the step from the tree that the witness cosigned last; if that cannot be proved, the log shows two histories.";
}

/// One problem, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The registry's row.
    pub kind: ProblemKind,
    /// What is particular to this case; never anything about a user.
    pub detail: Option<String>,
    /// Bytes that prove the refusal right, for conflicts.
    pub proof: Option<Vec<u8>>,
}

/// Longest detail that is kept of a document, in characters.
const DETAIL_CHARACTERS_MAX: usize = 500;

/// RFC 9457 members, and ours.
#[derive(Serialize, Deserialize)]
struct Document {
    r#type: String,
    title: String,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    detail: Option<String>,
    code: u16,
    fault: Fault,
    remedy: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    proof: Option<String>,
}

impl Problem {
    /// Media type of a problem document (RFC 9457).
    pub const MEDIA_TYPE: &'static str = "application/problem+json";
    /// The longest problem document that is read.
    pub const BYTES_MAX: usize = 65_536;

    /// A row of the registry without particulars.
    #[must_use]
    pub const fn new(kind: ProblemKind) -> Self {
        Self {
            kind,
            detail: None,
            proof: None,
        }
    }

    /// With what is particular to this case.
    #[must_use]
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// With bytes that prove the refusal right.
    #[must_use]
    pub fn proof(mut self, proof: Vec<u8>) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Whether repeating the same request later may help.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self.kind.status(), 408 | 429 | 500..)
    }

    /// The JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            r#type: format!("urn:bauta:problem:{}", self.kind as u16),
            title: self.kind.title().to_owned(),
            status: self.kind.status(),
            detail: self.detail.clone(),
            code: self.kind as u16,
            fault: self.kind.fault(),
            remedy: self.kind.remedy().to_owned(),
            proof: self.proof.as_ref().map(|proof| BASE64.encode(proof)),
        };
        serde_json::to_string(&document).expect("strings and numbers only")
    }

    /// Reads a document; none if it is not one, or its code is not in the registry.
    #[must_use]
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(json).ok()?;
        let kind = ProblemKind::ALL
            .iter()
            .find(|kind| **kind as u16 == document.code)?;
        let proof = match document.proof {
            Some(text) => Some(BASE64.decode(text.as_bytes()).ok()?),
            None => None,
        };
        Some(Self {
            kind: *kind,
            detail: document.detail.as_deref().map(printable),
            proof,
        })
    }
}

/// Somebody else's words, without what could steer a terminal or fill a screen.
fn printable(detail: &str) -> String {
    let visible = detail.chars().filter(|c| !c.is_control());
    visible.take(DETAIL_CHARACTERS_MAX).collect()
}

impl From<ProblemKind> for Problem {
    fn from(kind: ProblemKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.title())?;
        if let Some(detail) = &self.detail {
            write!(formatter, " ({detail})")?;
        }
        write!(formatter, " [{}]", self.kind as u16)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_ascending() {
        assert!(ProblemKind::ALL.is_sorted_by(|a, b| (*a as u16) < (*b as u16)));
    }

    #[test]
    fn a_document_reads_back_and_an_unknown_code_does_not() {
        let problem = Problem::new(ProblemKind::CoinSpent)
            .detail("sequence 3")
            .proof(vec![1, 2]);
        assert_eq!(
            Problem::from_json(problem.to_json().as_bytes()),
            Some(problem.clone())
        );
        assert_eq!(
            Problem::from_json(problem.to_json().replace("2005", "9999").as_bytes()),
            None
        );
        assert_eq!(Problem::from_json(b"{}"), None);
    }

    #[test]
    fn a_detail_cannot_steer_a_terminal() {
        let problem = Problem::new(ProblemKind::Internal).detail("a\u{1b}[2Jb\n");
        let read = Problem::from_json(problem.to_json().as_bytes()).expect("a document");
        assert_eq!(read.detail.as_deref(), Some("a[2Jb"));
    }

    #[test]
    fn only_refusals_that_may_pass_are_temporary() {
        assert!(Problem::new(ProblemKind::Overloaded).is_temporary());
        assert!(Problem::new(ProblemKind::DeliveryPending).is_temporary());
        assert!(!Problem::new(ProblemKind::CoinSpent).is_temporary());
    }
}
