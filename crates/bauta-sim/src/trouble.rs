//! What goes wrong beside messages: crashes, ways that are cut, full disks, clocks that jump; each at its moment.

use std::{sync::Arc, time::Duration};

use bauta_proto::transport::Request;
use tokio::time::sleep;

use crate::{
    disk::{CrashPoint, Moment},
    net::Cut,
    node::{Kind, Node, NodeId},
    world::Core,
};

/// Operations within which a crash of the disk comes once it has been chosen.
const SOON: u64 = 60;

/// Something that goes wrong at a node.
type Act = fn(&Core, &Node);

/// Lets everything that the plan holds go wrong in its time.
pub(crate) fn begin(core: &Arc<Core>) {
    let (faults, chance) = (core.plan.faults, &core.chance);
    for node in core.all_nodes() {
        set_clock(core, node);
    }
    if let Some((node, point)) = core.plan.crash_at {
        core.node(node).disk.crash_at(Some(point));
    }
    let kinds: [(u64, Act); 5] = [
        (faults.crashes, crash),
        (faults.disk_crashes, crash_at_disk),
        (faults.full_disks, fill),
        (faults.clock_jumps, set_clock),
        (faults.cuts, cut),
    ];
    for _ in 0..faults.wrong_clocks {
        tokio::spawn(go_wrong(Arc::clone(core)));
    }
    for _ in 0..faults.old_copies {
        tokio::spawn(put_old_copy_back(Arc::clone(core)));
    }
    let nodes: Vec<NodeId> = core.all_nodes().map(|node| node.id).collect();
    for (count, act) in kinds {
        for _ in 0..count {
            let at = chance.milliseconds(0..milliseconds(core.plan.trouble));
            let node = *chance.one_of(&nodes);
            tokio::spawn(later(Arc::clone(core), at, node, act));
        }
    }
}

/// The archive's operator puts back an old copy of its records, and when it is not ready with it, the newest.
async fn put_old_copy_back(core: Arc<Core>) {
    let (chance, node) = (&core.chance, core.node(NodeId::archive(0)));
    sleep(chance.milliseconds(2_000..milliseconds(core.plan.trouble))).await;
    let old = node.disk.image();
    sleep(chance.milliseconds(1_000..20_000)).await;
    if core.is_mended() || node.disk.is_down() {
        return;
    }
    core.tell(format_args!(
        "an old copy of the records of {} is put back",
        node.id
    ));
    node.disk.crash();
    let newest = node.disk.image();
    node.disk.put_back(old);
    // What was promised and not shown yet is lost with the newer copy; nobody can know of it.
    core.watch().forget_replies_of(node.id);
    let mut was_ready = false;
    for _ in 0..40 {
        sleep(Duration::from_millis(500)).await;
        was_ready |= is_ready(node).await;
    }
    // A log that went on from there is a log; what was lost is the operator's doing.
    if !was_ready {
        core.tell(format_args!(
            "the newest records of {} are put back",
            node.id
        ));
        node.disk.crash();
        node.disk.put_back(newest);
    }
}

/// The clock of a customer or merchant is wrong by hours, until somebody sets it.
async fn go_wrong(core: Arc<Core>) {
    let chance = &core.chance;
    let nodes: Vec<_> = core
        .all_nodes()
        .filter(|node| matches!(node.id.kind, Kind::Wallet | Kind::Merchant))
        .collect();
    let node = *chance.one_of(&nodes);
    sleep(chance.milliseconds(0..milliseconds(core.plan.trouble))).await;
    if core.is_mended() {
        return;
    }
    // A shop that put things off by a clock that was ahead comes back to them hours later: that is no loss, but no end either.
    let hours = match node.id.kind {
        Kind::Merchant => -chance.among(1..7).cast_signed(),
        _ => chance.among(0..13).cast_signed() - 6,
    };
    core.tell(format_args!("the clock of {} is {hours} h ahead", node.id));
    node.clock.set_ahead(hours * 3_600_000);
    sleep(chance.milliseconds(1_000..30_000)).await;
    core.tell(format_args!("the clock of {} is right again", node.id));
    node.clock.set_ahead(0);
}

/// Something happens just behind an answer: one of the two goes down, or the way between them is cut.
pub(crate) fn ambush(core: &Core, from: NodeId, to: NodeId) {
    let chance = &core.chance;
    match chance.among(0..4) {
        0 => crash(core, core.node(from)),
        1 => crash(core, core.node(to)),
        2 => cut(core, core.node(from)),
        _ => cut(core, core.node(to)),
    }
}

/// What the node's operator sees.
async fn is_ready(node: &Node) -> bool {
    let Some((service, _)) = node.service() else {
        return false;
    };
    let request = Request::get("/readyz".to_owned());
    service.answer(request, node.id).await.status == 200
}

async fn later(core: Arc<Core>, at: Duration, node: NodeId, act: Act) {
    sleep(at).await;
    if !core.is_mended() {
        act(&core, core.node(node));
    }
}

fn crash(core: &Core, node: &Node) {
    core.tell(format_args!("{} loses its power", node.id));
    node.disk.crash();
}

fn crash_at_disk(core: &Core, node: &Node) {
    let moment = *core
        .chance
        .one_of(&[Moment::Before, Moment::Middle, Moment::After]);
    let operation = node.disk.operations() + core.chance.among(0..SOON);
    core.tell(format_args!(
        "{} will lose its power at operation {operation} of its disk ({moment:?})",
        node.id
    ));
    let point = CrashPoint { operation, moment };
    node.disk.crash_at(Some(point));
}

fn fill(core: &Core, node: &Node) {
    let first = core.chance.among(0..20);
    let count = core.chance.among(1..60);
    core.tell(format_args!("the disk of {} is full for a while", node.id));
    node.disk.fill(first..first + count);
}

fn set_clock(core: &Core, node: &Node) {
    let most = core.plan.faults.skew_ms;
    if most == 0 {
        return;
    }
    let ahead = core.chance.among(0..2 * most + 1).cast_signed() - most.cast_signed();
    core.tell(format_args!("the clock of {} is {ahead} ms ahead", node.id));
    node.clock.set_ahead(ahead);
}

fn cut(core: &Core, node: &Node) {
    let others: Vec<NodeId> = core
        .all_nodes()
        .map(|other| other.id)
        .filter(|other| *other != node.id)
        .collect();
    let other = *core.chance.one_of(&others);
    let until = core.elapsed() + core.chance.milliseconds(1_000..40_000);
    let (from, to) = (node.id, other);
    core.cut(Cut { from, to, until });
    if core.chance.happens(500) {
        core.cut(Cut {
            from: to,
            to: from,
            until,
        });
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
