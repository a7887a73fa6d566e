//! The ways between the roles of a town, and what liars make of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body as HttpBody, to_bytes},
};
use bauta_proto::{
    codec::Message,
    problem::{Problem, ProblemKind},
    transport::{Body, Endpoint, Method, Request, Response, Transport, TransportError},
};
use http::header::CONTENT_TYPE;
use tower::ServiceExt;

/// Where the bank is reached.
pub(crate) const BANK: &str = "http://bank.example";
/// Where the archive is reached.
pub(crate) const LOG: &str = "http://log.example";
/// Where the shop is reached.
pub(crate) const SHOP: &str = "http://shop.example";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Archive,
    Bank,
    Merchant,
    Customer,
    /// Anybody else, attackers among them.
    Stranger,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A message of the protocol.
    pub(crate) fn of<M: Message>(message: &M) -> Self {
        Self {
            status: 200,
            body: message.to_bytes(),
        }
    }

    /// A refusal.
    pub(crate) fn refusal(kind: ProblemKind) -> Self {
        Self {
            status: kind.status(),
            body: Problem::new(kind).to_json().into_bytes(),
        }
    }
}

/// A request on its way to a role that a liar plays.
pub(crate) struct Asked<'a> {
    pub(crate) caller: Caller,
    pub(crate) request: &'a Request,
}

impl Asked<'_> {
    /// Whether it is for this operation.
    pub(crate) fn is<E: Endpoint>(&self) -> bool {
        self.request.url.ends_with(E::PATH)
    }

    /// The message in it.
    pub(crate) fn message<E: Endpoint>(&self) -> E::Request {
        E::Request::from_bytes(&self.request.body).expect("an honest caller's message")
    }
}

/// What a liar says.
pub(crate) enum Say {
    /// What the honest role says, or has done.
    Truth,
    /// Something else. The honest role never hears of the request.
    Lie(Answer),
    /// Nothing, and the honest role never hears of it.
    Nothing,
}

type Divert = fn(Caller, &mut Request);
type Before = Box<dyn Fn(&Asked<'_>) -> Say + Send + Sync>;
type After = Box<dyn Fn(&Asked<'_>, Answer) -> Answer + Send + Sync>;

/// A statement that went over the wire: its bytes both ways.
#[derive(Clone)]
pub(crate) struct Overheard {
    pub(crate) url: String,
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Answer,
}

/// All ways of a town.
#[derive(Default)]
pub(crate) struct Ways {
    routers: Mutex<HashMap<String, Router>>,
    diverted: Mutex<Option<Divert>>,
    before: Mutex<Vec<Before>>,
    after: Mutex<Vec<After>>,
    heard: Mutex<Vec<Overheard>>,
}

fn locked<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ways {
    /// Puts a role at an address.
    pub(crate) fn place(&self, address: &str, router: Router) {
        locked(&self.routers).insert(address.to_owned(), router);
    }

    /// A liar that answers for the honest role, or lets it answer.
    pub(crate) fn lie(&self, liar: impl Fn(&Asked<'_>) -> Say + Send + Sync + 'static) {
        locked(&self.before).push(Box::new(liar));
    }

    /// A liar that changes what the honest role has answered.
    pub(crate) fn twist(
        &self,
        liar: impl Fn(&Asked<'_>, Answer) -> Answer + Send + Sync + 'static,
    ) {
        locked(&self.after).push(Box::new(liar));
    }

    /// A liar that changes the honest answer to one operation.
    pub(crate) fn twist_reply<E: Endpoint>(
        &self,
        change: impl Fn(&Asked<'_>, E::Reply) -> E::Reply + Send + Sync + 'static,
    ) {
        self.twist(move |asked, answer| {
            if answer.status != 200 || !asked.is::<E>() {
                return answer;
            }
            let reply = E::Reply::from_bytes(&answer.body).expect("an honest answer");
            Answer::of(&change(asked, reply))
        });
    }

    /// Sends requests elsewhere.
    pub(crate) fn divert(&self, divert: Divert) {
        *locked(&self.diverted) = Some(divert);
    }

    /// From now on everybody is honest.
    pub(crate) fn be_honest(&self) {
        locked(&self.before).clear();
        locked(&self.after).clear();
    }

    /// Everything that went over the wire.
    pub(crate) fn heard(&self) -> Vec<Overheard> {
        locked(&self.heard).clone()
    }

    async fn exchange(&self, caller: Caller, mut request: Request) -> Option<Answer> {
        if let Some(divert) = *locked(&self.diverted) {
            divert(caller, &mut request);
        }
        let asked = Asked {
            caller,
            request: &request,
        };
        let said = locked(&self.before)
            .iter()
            .map(|liar| liar(&asked))
            .find(|said| !matches!(said, Say::Truth));
        match said {
            Some(Say::Lie(answer)) => return Some(answer),
            Some(Say::Nothing) => return None,
            Some(Say::Truth) | None => {}
        }
        let truth = self.ask(&request).await?;
        locked(&self.heard).push(Overheard {
            url: request.url.clone(),
            request: request.body.clone(),
            answer: truth.clone(),
        });
        let twisted = locked(&self.after)
            .iter()
            .fold(truth, |answer, liar| liar(&asked, answer));
        Some(twisted)
    }

    /// The honest role's answer.
    pub(crate) async fn ask(&self, request: &Request) -> Option<Answer> {
        let (router, path) = {
            let routers = locked(&self.routers);
            let (address, router) = routers
                .iter()
                .find(|(address, _)| request.url.starts_with(address.as_str()))?;
            (router.clone(), request.url[address.len()..].to_owned())
        };
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
            .body(HttpBody::from(request.body.clone()))
            .expect("a request");
        let response = router.oneshot(request).await.expect("infallible");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await;
        let body = body.expect("a body").to_vec();
        Some(Answer { status, body })
    }
}

/// One party's ways to the others.
#[derive(Clone)]
pub(crate) struct Net {
    pub(crate) ways: Arc<Ways>,
    pub(crate) caller: Caller,
}

/// A body that is there already.
pub(crate) struct Whole(Option<Vec<u8>>);

impl Body for Whole {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.take())
    }
}

impl Transport for Net {
    type Body = Whole;

    async fn send(&self, request: Request) -> Result<Response<Whole>, TransportError> {
        let answer = self.ways.exchange(self.caller, request).await;
        let answer = answer.ok_or(TransportError::Connect)?;
        Ok(Response {
            status: answer.status,
            from: 0,
            body: Whole(Some(answer.body)),
        })
    }
}
