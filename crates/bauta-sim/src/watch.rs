//! What must never happen, looked for at every message.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use bauta_proto::{
    codec::{Message, Signed},
    ids::LockTag,
    lock::{LockState, LockStatus},
    offer::OrderReply,
    time::Timestamp,
    transport::{Endpoint, Method, Request, archive, bank, merchant},
};

use crate::{
    node::{Kind, NodeId, Reply},
    trace::digest,
};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, by its name in docs/protocol/purchase.md, or in a few words.
    pub promise: &'static str,
    /// When, since the beginning of the world.
    pub at: Duration,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.as_secs_f64();
        write!(
            formatter,
            "{} is broken at {seconds:.3} s: {}",
            self.promise, self.what
        )
    }
}

/// Requests that are answered with the same bytes for ever, once they were answered well; an order for as long as its offer
/// stands, after which the shop forgets both.
const FOR_EVER: [&str; 7] = [
    bank::Withdraw::PATH,
    bank::Exchange::PATH,
    bank::LockValue::PATH,
    archive::SubmitLeaf::PATH,
    archive::SubmitRecord::PATH,
    merchant::Order::PATH,
    merchant::AcceptOffer::PATH,
];
/// Answers that say what became of locks.
const STATUSES: [&str; 3] = [
    bank::Status::PATH,
    bank::CaptureLock::PATH,
    bank::ReleaseLock::PATH,
];

/// What a request was answered with.
#[derive(Clone, Copy)]
struct Answer {
    digest: u64,
    /// Until when it binds, by the clock of whoever gave it; for ever if there is none.
    until: Option<Timestamp>,
}

/// Looks at every message.
#[derive(Default)]
pub(crate) struct Watch {
    /// What requests were answered with.
    replies: BTreeMap<(NodeId, u64), Answer>,
    /// What banks said of locks.
    decided: BTreeMap<LockTag, LockState>,
    /// What must not be seen by bank or archive before the payee claims, with what it is.
    secrets: Vec<(&'static str, Vec<u8>)>,
    /// Whose word counts for nothing.
    liars: BTreeSet<NodeId>,
    found: Vec<(&'static str, String)>,
}

impl Watch {
    /// Bank and archive must not see this.
    pub(crate) fn hide(&mut self, what: &'static str, bytes: &[u8]) {
        self.secrets.push((what, bytes.to_vec()));
    }

    /// Nothing is expected of this node any more.
    pub(crate) fn is_liar(&mut self, node: NodeId) {
        self.liars.insert(node);
    }

    pub(crate) fn is_honest(&self, node: NodeId) -> bool {
        !self.liars.contains(&node)
    }

    /// What was found since the last call.
    pub(crate) fn take(&mut self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.found)
    }

    pub(crate) fn find(&mut self, promise: &'static str, what: String) {
        self.found.push((promise, what));
    }

    /// What this node answered before binds it no longer.
    pub(crate) fn forget_replies_of(&mut self, node: NodeId) {
        self.replies.retain(|(by, _), _| *by != node);
    }

    /// A request arrives.
    pub(crate) fn request(&mut self, from: NodeId, to: NodeId, request: &Request) {
        let is_party = matches!(to.kind, Kind::Bank | Kind::Archive) && self.is_honest(from);
        if !is_party {
            return;
        }
        let shows = |secret: &[u8]| contains(&request.body, secret);
        let shown = self.secrets.iter().find(|(_, secret)| shows(secret));
        if let Some((what, _)) = shown {
            let path = &request.url;
            self.find("V8", format!("{from} shows {to} {what} at {path}"));
        }
    }

    /// A request was answered by whoever it was sent to, whose clock says `now`.
    pub(crate) fn reply(&mut self, by: NodeId, request: &Request, reply: &Reply, now: Timestamp) {
        if request.method != Method::Post || !self.is_honest(by) {
            return;
        }
        let path = request.url.as_str();
        if reply.status >= 500 && reply.status != 503 && reply.status != 507 {
            self.find(
                "nothing fails",
                format!("{by} answers {path} with status {}", reply.status),
            );
        }
        if reply.status != 200 {
            return;
        }
        if FOR_EVER.contains(&path) {
            self.same_bytes(by, request, reply, now);
        }
        if STATUSES.contains(&path)
            && let Ok(status) = Signed::<LockStatus>::from_bytes(&reply.body)
        {
            self.status(by, status.body);
        }
    }

    fn same_bytes(&mut self, by: NodeId, request: &Request, reply: &Reply, now: Timestamp) {
        let question = digest(&[request.url.as_bytes(), &request.body].concat());
        let answer = Answer {
            digest: digest(&reply.body),
            until: stands_until(request, reply),
        };
        let before = self.replies.entry((by, question)).or_insert(answer);
        if before.until.is_some_and(|until| until < now) {
            *before = answer;
        } else if before.digest != answer.digest {
            let path = &request.url;
            self.find(
                "the same request gives the same bytes",
                format!("{by} answers {path} in two ways"),
            );
        }
    }

    fn status(&mut self, by: NodeId, status: LockStatus) {
        for said in status.locks {
            if !matches!(said.state, LockState::Captured { .. } | LockState::Released) {
                continue;
            }
            let before = self
                .decided
                .entry(said.lock_tag)
                .or_insert(said.state.clone());
            if *before != said.state {
                self.found.push((
                    "V4",
                    format!("{by} says of one lock that it is captured and that it is released"),
                ));
            }
        }
    }
}

/// The end of an offer.
fn stands_until(request: &Request, reply: &Reply) -> Option<Timestamp> {
    if request.url != merchant::Order::PATH {
        return None;
    }
    let answer = OrderReply::from_bytes(&reply.body).ok()?;
    Some(answer.offer.body.offer_until)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
