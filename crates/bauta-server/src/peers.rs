//! What a role counts about other roles that it depends on: by the peer's public name, nothing about requests.

use std::sync::LazyLock;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabel {
    peer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    peer: String,
    outcome: &'static str,
}

struct Families {
    in_step: Family<PeerLabel, Gauge>,
    calls: Family<CallLabels, Counter>,
}

static FAMILIES: LazyLock<Families> = LazyLock::new(|| Families {
    in_step: Family::default(),
    calls: Family::default(),
});

/// Shows every peer of the process in `registry`.
pub(crate) fn register(registry: &mut Registry) {
    let in_step = FAMILIES.in_step.clone();
    registry.register(
        "peer_in_step",
        "Whether the peer's last answer was good",
        in_step,
    );
    registry.register("peer_calls", "Calls of a peer", FAMILIES.calls.clone());
}

/// Counts one call of a peer that ended in this way.
pub(crate) fn called(peer: &str, outcome: &'static str, in_step: bool) {
    let peer = peer.to_owned();
    let label = PeerLabel { peer: peer.clone() };
    FAMILIES
        .in_step
        .get_or_create(&label)
        .set(i64::from(in_step));
    let labels = CallLabels { peer, outcome };
    FAMILIES.calls.get_or_create(&labels).inc();
}
