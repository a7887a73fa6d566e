//! The load: connections that each have one request under way, from prepared requests, with every answer checked.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bauta_proto::{
    codec::Message,
    transport::{Endpoint, refusal},
};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Uri,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use super::{process::Process, row::ProcessUse};
use crate::failure::{Failure, Outcome};

/// Latencies are kept from a microsecond to ten minutes with three digits.
const LATENCY_US_MAX: u64 = 600_000_000;

/// A request ready to be sent.
#[derive(Clone)]
pub struct Prepared {
    path: &'static str,
    media_type: &'static str,
    body: Bytes,
}

impl Prepared {
    /// The request of one operation.
    pub fn new<E: Endpoint>(message: &E::Request) -> Self {
        Self {
            path: E::PATH,
            media_type: E::Request::MEDIA_TYPE,
            body: message.to_bytes().into(),
        }
    }
}

/// One connection to a role, kept open.
pub struct Connection {
    host: HeaderValue,
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::from_error(&error))?;
        // A connection that breaks is seen by the request under way.
        tokio::spawn(async move { drop(connection.await) });
        let host = HeaderValue::try_from(address.to_string());
        let host = host.expect("an address is a valid header");
        Ok(Self { host, sender })
    }

    /// Sends one request and returns the answer's body; anything but success is a failure of the measurement.
    pub async fn post(&mut self, prepared: &Prepared) -> Outcome<Bytes> {
        let media_type = HeaderValue::from_static(prepared.media_type);
        let request = Request::post(Uri::from_static(prepared.path))
            .header(CONTENT_TYPE, media_type)
            .body(Full::new(prepared.body.clone()));
        self.send(request.expect("the parts of the request are valid"))
            .await
    }

    /// Fetches what is at a path.
    pub async fn get(&mut self, path: &'static str) -> Outcome<Bytes> {
        let request = Request::get(Uri::from_static(path)).body(Full::default());
        self.send(request.expect("the parts of the request are valid"))
            .await
    }

    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Outcome<Bytes> {
        request.headers_mut().insert(HOST, self.host.clone());
        let broken = |error: hyper::Error| Failure::from_error(&error);
        self.sender.ready().await.map_err(broken)?;
        let answer = self.sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(broken)?;
        let body = body.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(refusal(status.as_u16(), &body).into())
        }
    }

    /// Calls one operation and reads its answer.
    pub async fn call<E: Endpoint>(&mut self, message: &E::Request) -> Outcome<E::Reply> {
        let body = self.post(&Prepared::new::<E>(message)).await?;
        E::Reply::from_bytes(&body).map_err(|error| Failure::from_error(&error))
    }
}

/// What a load showed.
pub struct Measured {
    done: u64,
    elapsed: Duration,
    latency_us: Histogram<u64>,
    /// What each process took, in the order in which they were given.
    pub processes: Vec<ProcessUse>,
}

impl Measured {
    /// Operations a second.
    pub fn per_second(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }

    /// With other waiting times than those of the operations themselves.
    #[must_use]
    pub fn with_waits(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.latency_us = new_histogram();
        for wait in waits {
            let wait_us = u64::try_from(wait.as_micros()).unwrap_or(LATENCY_US_MAX);
            self.latency_us.saturating_record(wait_us);
        }
        self
    }

    /// The latency that this part of all operations kept, in milliseconds.
    pub fn quantile_ms(&self, part: f64) -> f64 {
        self.latency_us.value_at_quantile(part) as f64 / 1_000.0
    }
}

/// Sends prepared requests over `connections` to one role until they are used up or `limit` has passed.
pub async fn drive_requests(
    address: SocketAddr,
    connections: usize,
    requests: Vec<Prepared>,
    limit: Duration,
    processes: &[&Process],
) -> Outcome<Measured> {
    let mut workers = Vec::with_capacity(connections);
    for _ in 0..connections {
        workers.push(Connection::open(address).await?);
    }
    let requests: Arc<[Prepared]> = requests.into();
    let count = requests.len();
    let step = move |mut connection: Connection, index: usize| {
        let requests = Arc::clone(&requests);
        async move {
            connection.post(&requests[index]).await?;
            Ok(connection)
        }
    };
    drive(workers, count, limit, processes, step).await
}

/// Has every worker do one step after the other, `count` in all, until they are used up or `limit` has passed.
///
/// A step takes the worker and its number and gives the worker back.
pub async fn drive<W, F, R>(
    workers: Vec<W>,
    count: usize,
    limit: Duration,
    processes: &[&Process],
    step: F,
) -> Outcome<Measured>
where
    W: Send + 'static,
    F: Fn(W, usize) -> R + Clone + Send + 'static,
    R: Future<Output = Outcome<W>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let before = processes.iter().map(|process| process.usage());
    let before = before.collect::<Outcome<Vec<_>>>()?;
    let started = Instant::now();
    let end = started + limit;
    let mut running = JoinSet::new();
    for worker in workers {
        running.spawn(work(worker, Arc::clone(&next), count, end, step.clone()));
    }
    let mut latency_us = new_histogram();
    while let Some(joined) = running.join_next().await {
        let worker = joined.map_err(|error| Failure::from_error(&error))??;
        latency_us.add(worker).expect("both have the same bounds");
    }
    let elapsed = started.elapsed();
    let done = latency_us.len();
    if done == 0 {
        return Err(Failure::local("nothing was done in the time"));
    }
    let mut used = Vec::with_capacity(processes.len());
    for (process, before) in processes.iter().zip(before) {
        used.push(process.use_since(&before, done as f64)?);
    }
    Ok(Measured {
        done,
        elapsed,
        latency_us,
        processes: used,
    })
}

async fn work<W, F, R>(
    mut worker: W,
    next: Arc<AtomicUsize>,
    count: usize,
    end: Instant,
    step: F,
) -> Outcome<Histogram<u64>>
where
    F: Fn(W, usize) -> R,
    R: Future<Output = Outcome<W>>,
{
    let mut latency_us = new_histogram();
    let mut now = Instant::now();
    while now < end {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= count {
            break;
        }
        worker = step(worker, index).await?;
        let after = Instant::now();
        let waited_us = (after - now).as_micros();
        latency_us.saturating_record(u64::try_from(waited_us).unwrap_or(LATENCY_US_MAX));
        now = after;
    }
    Ok(latency_us)
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are in order")
}
