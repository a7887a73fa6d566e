//! What a role counts: requests by path template and status class, nothing about who sent them or what they hold.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::{batch, peers};

/// Media type of the text that [`EdgeMetrics::render`] gives.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The numbers of one role's edge.
pub(super) struct EdgeMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<PathLabel, Histogram>,
    in_flight: Gauge,
}

/// `path` is the route's template, never the address that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    path: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathLabel {
    path: String,
}

/// A request under way; it counts until this is dropped.
pub(super) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl EdgeMetrics {
    pub(super) fn new(role_name: &'static str) -> Self {
        let labels = [("role".into(), role_name.into())];
        let mut registry = Registry::with_prefix_and_labels("bauta", labels.into_iter());
        let requests = Family::default();
        let seconds = Family::new_with_constructor(latency_histogram as fn() -> Histogram);
        let in_flight = Gauge::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "http_request",
            "Time from a request's head to its answer's head",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests under way",
            in_flight.clone(),
        );
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program that runs", version);
        batch::register(&mut registry);
        peers::register(&mut registry);
        Self {
            registry,
            requests,
            seconds,
            in_flight,
        }
    }

    /// Counts one more request under way, unless there are `requests_max` already.
    pub(super) fn enter(&self, requests_max: usize) -> Option<InFlight> {
        let before = self.in_flight.inc();
        let place = InFlight(self.in_flight.clone());
        usize::try_from(before)
            .is_ok_and(|before| before < requests_max)
            .then_some(place)
    }

    /// Counts an answered request.
    pub(super) fn answered(&self, path: &str, status: u16, took: Duration) {
        let status = status_class(status);
        let path = path.to_owned();
        let label = PathLabel { path: path.clone() };
        self.seconds
            .get_or_create(&label)
            .observe(took.as_secs_f64());
        self.requests
            .get_or_create(&RequestLabels { path, status })
            .inc();
    }

    /// The text that Prometheus and everything like it reads.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("writing to a string does not fail");
        out
    }
}

/// 100 us to 26 s, by factors of four.
fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 4.0, 10))
}

const fn status_class(status: u16) -> &'static str {
    match status {
        ..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500.. => "5xx",
    }
}
