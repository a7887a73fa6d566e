//! The ways between nodes, and everything that can happen on them.

use std::{sync::Arc, time::Duration};

use bauta_proto::{
    time::Clock,
    transport::{Body, Method, Request, Response, Transport, TransportError},
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    node::{NodeId, Reply},
    random::Chance,
    trace::digest,
    trouble,
    world::Core,
};

/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pieces in which a body arrives.
const PIECE_BYTES: usize = 16 * 1_024;

/// A node's way to all others.
pub struct SimTransport {
    core: Arc<Core>,
    node: NodeId,
    /// The incarnation of the node to which this belongs. Later ones have their own.
    life: u64,
}

/// What happens to one request and its answer.
struct Fate {
    way_there: Duration,
    way_back: Duration,
    request_lost: bool,
    answer_lost: bool,
    doubled_after: Option<Duration>,
    is_broken_off: bool,
    is_cut_short: bool,
}

/// A way that is cut: nothing gets through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) until: Duration,
}

impl SimTransport {
    pub(crate) const fn new(core: Arc<Core>, node: NodeId, life: u64) -> Self {
        Self { core, node, life }
    }

    /// Whoever is dead hears nothing any more.
    async fn if_alive<R>(&self, outcome: R) -> R {
        if !self.core.node(self.node).is_alive(self.life) {
            std::future::pending::<()>().await;
        }
        outcome
    }

    async fn carry(&self, request: Request) -> Result<Reply, TransportError> {
        let (to, path) = NodeId::of_url(&request.url).ok_or(TransportError::Address)?;
        let path = path.to_owned();
        let request = Request {
            url: path,
            ..request
        };
        let fate = self.core.fate();
        let name = name(&request, self.node, to);
        self.core.tell(format_args!("{name}"));
        sleep(fate.way_there).await;
        if fate.request_lost || self.core.is_cut(self.node, to) {
            self.core.tell(format_args!("{name}: lost on the way"));
            return self.core.no_answer().await;
        }
        if let Some(pause) = fate.doubled_after {
            let again = deliver(Arc::clone(&self.core), self.node, to, request.clone());
            tokio::spawn(async move {
                sleep(pause).await;
                let _unheard = again.await;
            });
        }
        let handling = deliver(Arc::clone(&self.core), self.node, to, request);
        let mut handling = Handling {
            task: tokio::spawn(handling),
            is_broken_off: fate.is_broken_off,
        };
        let reply = timeout(PATIENCE, &mut handling.task).await;
        let reply = reply.map_err(|_| TransportError::Timeout)?;
        let mut reply = reply.unwrap_or(Err(TransportError::Broken))?;
        sleep(fate.way_back).await;
        if fate.answer_lost || self.core.is_cut(to, self.node) {
            self.core.tell(format_args!("{name}: answer lost"));
            return self.core.no_answer().await;
        }
        if fate.is_cut_short && !reply.body.is_empty() {
            self.core.tell(format_args!("{name}: answer cut short"));
            let half = reply.body.len() / 2;
            reply.body.truncate(half);
            reply.status |= CUT_SHORT;
        }
        Ok(reply)
    }
}

/// Marks a reply whose body breaks at its end.
const CUT_SHORT: u16 = 0x8000;

impl Transport for SimTransport {
    type Body = SimBody;

    async fn send(&self, request: Request) -> Result<Response<SimBody>, TransportError> {
        self.if_alive(()).await;
        let outcome = self.carry(request).await;
        let reply = self.if_alive(outcome).await?;
        Ok(Response {
            status: reply.status & !CUT_SHORT,
            from: reply.from,
            body: SimBody {
                breaks: reply.status & CUT_SHORT != 0,
                rest: reply.body,
            },
        })
    }
}

/// A request that is being handled; some handlers end with their callers, as at an HTTP server.
struct Handling {
    task: JoinHandle<Result<Reply, TransportError>>,
    is_broken_off: bool,
}

impl Drop for Handling {
    fn drop(&mut self) {
        if self.is_broken_off {
            self.task.abort();
        }
    }
}

/// Has a request answered by whoever lives at its address now.
async fn deliver(
    core: Arc<Core>,
    from: NodeId,
    to: NodeId,
    request: Request,
) -> Result<Reply, TransportError> {
    let node = core.node(to);
    let Some((service, life)) = node.service() else {
        core.tell(format_args!("{}: nobody there", name(&request, from, to)));
        return Err(TransportError::Connect);
    };
    core.watch().request(from, to, &request);
    let asked = request.clone();
    let reply = service.answer(request, from).await;
    if !node.is_alive(life) {
        core.tell(format_args!(
            "{}: it crashed before it answered",
            name(&asked, from, to)
        ));
        return Err(TransportError::Broken);
    }
    core.tell(format_args!(
        "{} answered {} {:016x}",
        name(&asked, from, to),
        reply.status,
        digest(&reply.body)
    ));
    core.watch().reply(to, &asked, &reply, node.clock.now());
    let is_ambushed = asked.method == Method::Post && core.chance.happens(core.faults().ambushes);
    if is_ambushed {
        trouble::ambush(&core, from, to);
    }
    Ok(reply)
}

/// A request in a story.
fn name(request: &Request, from: NodeId, to: NodeId) -> String {
    let path = &request.url;
    match request.method {
        Method::Get => format!("{from} -> {to} GET {path}"),
        Method::Post => format!("{from} -> {to} {path} {:016x}", digest(&request.body)),
    }
}

impl Core {
    fn fate(&self) -> Fate {
        let (faults, chance) = (self.faults(), &self.chance);
        let way = |chance: &Chance| {
            if chance.happens(faults.slow) {
                chance.milliseconds(1_000..12_000)
            } else {
                chance.milliseconds(1..faults.delay_ms + 2)
            }
        };
        let doubled = chance.happens(faults.doubled);
        Fate {
            way_there: way(chance),
            way_back: way(chance),
            request_lost: chance.happens(faults.request_lost),
            answer_lost: chance.happens(faults.answer_lost),
            doubled_after: doubled.then(|| {
                let longest = *chance.one_of(&[5, 500, 60_000]);
                chance.milliseconds(0..longest)
            }),
            is_broken_off: chance.happens(faults.broken_off),
            is_cut_short: chance.happens(faults.cut_short),
        }
    }

    /// Nothing comes back: the caller learns it soon or late.
    async fn no_answer(&self) -> Result<Reply, TransportError> {
        if self.chance.happens(700) {
            sleep(self.chance.milliseconds(1..2_000)).await;
            Err(TransportError::Broken)
        } else {
            sleep(PATIENCE).await;
            Err(TransportError::Timeout)
        }
    }
}

/// A body on its way.
pub struct SimBody {
    rest: Vec<u8>,
    breaks: bool,
}

impl Body for SimBody {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        let count = self.rest.len().min(PIECE_BYTES);
        if count > 0 {
            return Ok(Some(self.rest.drain(..count).collect()));
        }
        if self.breaks {
            return Err(TransportError::Broken);
        }
        Ok(None)
    }
}
