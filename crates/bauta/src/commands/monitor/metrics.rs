//! What a monitor counts, in the text format of Prometheus: logs, witnesses and findings, nothing about a user.

use std::{
    convert::Infallible,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bauta_proto::log::policy::Policy;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, header::CONTENT_TYPE, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::finding::{LogSeen, Round};
use crate::failure::{Failure, Outcome};

const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text that the next caller gets.
pub type Shown = Arc<Mutex<String>>;

/// Answers every request at this address with the text.
pub async fn serve(address: SocketAddr, shown: Shown) -> Outcome {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| Failure::local(format!("{address}: {error}")))?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Too many open files, mostly: it passes.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let shown = Arc::clone(&shown);
            tokio::spawn(async move {
                let answer = service_fn(|_| std::future::ready(answer(&shown)));
                let connection = http1::Builder::new();
                // A caller that goes away is no trouble of ours.
                let _gone = connection
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
    Ok(())
}

fn answer(shown: &Shown) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let media_type = hyper::header::HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

/// The text of one round.
pub fn render(round: &Round, policy: &Policy) -> String {
    let mut out = String::new();
    let seen = |value: fn(&LogSeen) -> Option<u64>| {
        let rows = round.logs.iter();
        rows.filter_map(move |log| Some((labels(&[("log", &log.origin)]), value(log)?)))
    };
    family(
        &mut out,
        "log_size_leaves",
        "Leaves in the log's checkpoint",
        seen(|log| Some(log.size)),
    );
    let time = round.time;
    let ages = round.logs.iter().filter_map(|log| {
        let age = time.saturating_sub(log.cosigned_at?);
        Some((labels(&[("log", &log.origin)]), age))
    });
    family(
        &mut out,
        "checkpoint_age_seconds",
        "Since when a quorum has cosigned",
        ages,
    );
    let up = policy.logs().iter().map(|log| {
        let name = &log.key.name;
        let is_read = round.logs.iter().any(|seen| seen.origin == *name);
        (labels(&[("log", name)]), u64::from(is_read))
    });
    family(
        &mut out,
        "log_read",
        "Whether the log was read in the last round",
        up,
    );
    let cosignatures = round.logs.iter().flat_map(|log| {
        policy.witnesses().iter().map(|witness| {
            let is_there = log.cosigned_by.contains(&witness.name);
            let labels = labels(&[("log", &log.origin), ("witness", &witness.name)]);
            (labels, u64::from(is_there))
        })
    });
    family(
        &mut out,
        "cosignature",
        "Whether the witness cosigned the checkpoint",
        cosignatures,
    );
    let mut kinds: Vec<&str> = round.findings.iter().map(|f| f.kind.as_str()).collect();
    kinds.sort_unstable();
    let kinds = kinds.chunk_by(|a, b| a == b);
    let counted = kinds.map(|kind| (labels(&[("kind", kind[0])]), kind.len() as u64));
    family(
        &mut out,
        "findings",
        "What is out of order or was proved",
        counted,
    );
    let rows = [(String::new(), time)].into_iter();
    family(
        &mut out,
        "round_timestamp_seconds",
        "When the last round was",
        rows,
    );
    out
}

fn family(out: &mut String, name: &str, help: &str, rows: impl Iterator<Item = (String, u64)>) {
    let written = write!(
        out,
        "# HELP bauta_monitor_{name} {help}\n# TYPE bauta_monitor_{name} gauge\n"
    );
    written.expect("writing to a string does not fail");
    for (labels, value) in rows {
        writeln!(out, "bauta_monitor_{name}{labels} {value}").expect("a string");
    }
}

fn labels(labels: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let labels = labels.iter();
    let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    format!("{{{}}}", labels.collect::<Vec<_>>().join(","))
}
