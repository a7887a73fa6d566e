//! A world: its nodes, its one thread of time, and its run from the beginning to the end.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bauta_server::{
    keys::RoleSeed,
    roles::merchant::goods::{GoodInput, Shop},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    clock::NodeClock,
    customer::Customer,
    disk::{self, Disk, Image},
    ending::{self, Ending},
    net::{Cut, SimTransport},
    node::{Kind, Node, NodeId, Puppet, Service},
    plan::{Faults, Plan},
    random::Chance,
    roles,
    trace::Trace,
    trouble,
    watch::{Violation, Watch},
};

/// How long everybody has to come to an end once all is mended: the longest lock, clock tolerance and grace are far
/// below it.
const LIVENESS: Duration = Duration::from_secs(900);
/// How often the world looks whether it has come to its end.
const LOOK: Duration = Duration::from_secs(1);

/// A world. Clones are the same world.
#[derive(Clone)]
pub struct World {
    core: Arc<Core>,
    customers: Vec<Arc<Customer>>,
    /// Customers going about their errands.
    walks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// What all parts of a world share.
pub(crate) struct Core {
    pub(crate) plan: Plan,
    pub(crate) chance: Chance,
    begun: Instant,
    /// Removed with the world.
    _folder: Folder,
    trace: Mutex<Trace>,
    watch: Mutex<Watch>,
    violations: Mutex<Vec<Violation>>,
    nodes: BTreeMap<NodeId, Arc<Node>>,
    weather: Mutex<Weather>,
}

/// What is wrong at present.
struct Weather {
    faults: Faults,
    cuts: Vec<Cut>,
    is_mended: bool,
}

impl World {
    /// Makes the world of a plan; nothing in it runs yet.
    pub(crate) fn build(plan: Plan) -> Self {
        let chance = Chance::new(plan.seed);
        let (folder, begun) = (Folder::new(), Instant::now());
        let ids = ids(&plan);
        let make = |id: &NodeId| (*id, Arc::new(make_node(*id, &folder.0, &chance, begun)));
        let nodes: BTreeMap<_, _> = ids.iter().map(make).collect();
        let core = Arc::new(Core {
            trace: Mutex::new(Trace::new(plan.with_story)),
            watch: Mutex::default(),
            violations: Mutex::default(),
            weather: Mutex::new(Weather {
                faults: plan.faults,
                cuts: Vec::new(),
                is_mended: false,
            }),
            chance,
            begun,
            _folder: folder,
            nodes,
            plan,
        });
        core.stock_shops();
        let customers = core.nodes_of(Kind::Wallet).into_iter().map(|node| {
            let errands = &core.plan.errands;
            let errands = errands.of_customer(core.plan.merchants, &core.chance);
            Customer::new(&core, node, errands)
        });
        Self {
            customers: customers.collect(),
            walks: Arc::default(),
            core: Arc::clone(&core),
        }
    }

    /// Puts a liar in a role's place, before the world begins: it gets every request that is for the role. The real role
    /// runs behind it with its jobs, under the same keys, and hears only what the liar passes on.
    pub fn replace(
        &self,
        role: NodeId,
        liar: impl Fn(Puppet) -> Arc<dyn Service> + Send + Sync + 'static,
    ) {
        self.core.watch().is_liar(role);
        self.core.node(role).put_on(Arc::new(liar));
    }

    /// The way of a node to others, under its name: for scripts that play a customer.
    #[must_use]
    pub fn transport(&self, node: NodeId) -> Arc<SimTransport> {
        roles::transport(&self.core, self.core.node(node))
    }

    /// The clock of a node.
    #[must_use]
    pub fn clock(&self, node: NodeId) -> Arc<NodeClock> {
        Arc::clone(&self.core.node(node).clock)
    }

    /// The seed of a role's keys.
    #[must_use]
    pub fn keys(&self, node: NodeId) -> RoleSeed {
        self.core.node(node).keys.clone()
    }

    /// Chance for a script.
    #[must_use]
    pub fn chance(&self) -> Chance {
        self.core.chance.branch("script")
    }

    /// Switches a node off at once, as a loss of power does, until it is switched on again.
    pub fn switch_off(&self, node: NodeId) {
        let node = self.core.node(node);
        self.core.tell(format_args!("{} is switched off", node.id));
        node.switch_off(true);
        node.disk.crash();
    }

    /// Lets a node come back.
    pub fn switch_on(&self, node: NodeId) {
        self.core.node(node).switch_off(false);
    }

    /// Every node of this world.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.core.nodes.keys().copied()
    }

    /// Adds a line to the story.
    pub fn tell(&self, what: fmt::Arguments<'_>) {
        self.core.tell(what);
    }

    /// Begins: all roles start, all customers go about their errands.
    pub fn begin(&self) {
        for node in self.core.nodes.values() {
            node.furnish();
            if node.id.kind != Kind::Wallet {
                tokio::spawn(live(Arc::clone(&self.core), Arc::clone(node)));
            }
        }
        for customer in &self.customers {
            let walk = tokio::spawn(Arc::clone(customer).live());
            self.walks().push(walk);
        }
        trouble::begin(&self.core);
    }

    /// Runs until everybody has come to an end, or has had far more time for it than it may take.
    pub async fn finish(&self) {
        // Who is done before the trouble is over has nothing more to fear from it.
        while self.core.elapsed() < self.core.plan.trouble && !self.is_settled() {
            sleep(LOOK).await;
            self.core.check();
        }
        self.core.mend();
        let deadline = self.core.elapsed() + LIVENESS;
        while !self.is_settled() {
            if self.core.elapsed() > deadline {
                self.core.watch().find("V5", self.who_is_not_settled());
                break;
            }
            sleep(LOOK).await;
            self.core.check();
        }
        self.core.check();
    }

    /// Reads what everybody ended with.
    pub(crate) async fn end(&self) -> Ending {
        let nodes = self.core.nodes.values();
        let operations = nodes
            .map(|node| (node.id, node.furnished()..node.disk.operations()))
            .collect();
        // Nothing crashes while the records are read.
        let disks = self.core.nodes.values().map(|node| &node.disk);
        disks.for_each(|disk| disk.crash_at(None));
        let walks = std::mem::take(&mut *self.walks());
        for walk in walks {
            walk.abort();
            let _aborted = walk.await;
        }
        for customer in &self.customers {
            customer.find_again().await;
        }
        let mut ending = ending::read(&self.core, &self.customers);
        ending.operations = operations;
        ending::check(&self.core, &mut ending);
        self.core.check();
        let trace = self.core.trace();
        ending.hash = trace.hash();
        ending.events = trace.events();
        ending.story = trace.story();
        ending.violations = self.core.violations().clone();
        ending.lasted = self.core.elapsed();
        ending
    }

    /// Lets go of everything that holds on to something else.
    pub(crate) fn dissolve(&self) {
        for node in self.core.nodes.values() {
            node.stop();
            node.disk.crash();
            disk::unmount(&node.folder);
        }
    }

    fn walks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.walks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_settled(&self) -> bool {
        self.core.is_up()
            && self.customers.iter().all(|customer| customer.is_settled())
            && ending::merchants_are_settled(&self.core)
            && ending::banks_are_settled(&self.core)
    }

    fn who_is_not_settled(&self) -> String {
        let open = self.customers.iter().filter(|one| !one.is_settled());
        let names: Vec<String> = open.map(|one| one.id().to_string()).collect();
        if !self.core.is_up() {
            "a role does not start".to_owned()
        } else if names.is_empty() {
            "a merchant or a bank does not come to an end".to_owned()
        } else {
            format!("{} does not come to an end", names.join(", "))
        }
    }
}

impl Core {
    /// Adds a line to the story.
    pub(crate) fn tell(&self, what: fmt::Arguments<'_>) {
        self.trace().tell(self.elapsed(), what);
    }

    /// True time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A node.
    ///
    /// # Panics
    /// Panics if there is none of this name.
    pub(crate) fn node(&self, id: NodeId) -> &Arc<Node> {
        self.nodes.get(&id).expect("a node of this world")
    }

    pub(crate) fn nodes_of(&self, kind: Kind) -> Vec<&Arc<Node>> {
        let nodes = self.nodes.values();
        nodes.filter(|node| node.id.kind == kind).collect()
    }

    /// Whether every role answers.
    fn is_up(&self) -> bool {
        let mut nodes = self.nodes.values();
        nodes.all(|node| match node.id.kind {
            Kind::Wallet => !node.disk.is_down(),
            _ => node.service().is_some(),
        })
    }

    pub(crate) fn all_nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    pub(crate) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> Faults {
        self.weather().faults
    }

    pub(crate) fn is_mended(&self) -> bool {
        self.weather().is_mended
    }

    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let now = self.elapsed();
        let weather = self.weather();
        weather
            .cuts
            .iter()
            .any(|cut| (cut.from, cut.to) == (from, to) && now < cut.until)
    }

    pub(crate) fn cut(&self, cut: Cut) {
        let (from, to, until) = (cut.from, cut.to, cut.until.as_secs_f64());
        self.tell(format_args!(
            "nothing gets from {from} to {to} until {until:.1} s"
        ));
        self.weather().cuts.push(cut);
    }

    /// Everything works from now on.
    fn mend(&self) {
        self.tell(format_args!("all is mended"));
        let delay_ms = self.plan.faults.delay_ms;
        *self.weather() = Weather {
            faults: Faults {
                delay_ms,
                ..Faults::NONE
            },
            cuts: Vec::new(),
            is_mended: true,
        };
        for node in self.nodes.values() {
            node.disk.fill(0..0);
            if self.plan.faults.wrong_clocks > 0 {
                node.clock.set_ahead(0);
            }
            // The one crash that the plan is about comes whenever its point does.
            if self.plan.crash_at.is_none() {
                node.disk.crash_at(None);
            }
        }
    }

    /// Takes what was found to be wrong into the list.
    pub(crate) fn check(&self) {
        let at = self.elapsed();
        for (promise, what) in self.watch().take() {
            self.tell(format_args!("*** {promise} IS BROKEN: {what}"));
            self.violations().push(Violation { promise, at, what });
        }
    }

    /// A node that is down comes back after a while.
    pub(crate) async fn recover(&self, node: &Node) {
        self.tell(format_args!("{} is down", node.id));
        let longest = *self.chance.one_of(&[1_000, 4_000, 4_000, 60_000]);
        let outage = self.chance.milliseconds(50..longest);
        let mut waited = Duration::ZERO;
        while waited < outage && !self.is_mended() {
            sleep(LOOK.min(outage - waited)).await;
            waited += LOOK;
        }
        while node.is_off() {
            sleep(LOOK).await;
        }
        node.disk.restart();
        self.tell(format_args!("{} is back", node.id));
        if node.id.kind == Kind::Bank {
            ending::audit(self, node);
        }
    }

    pub(crate) fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn violations(&self) -> MutexGuard<'_, Vec<Violation>> {
        self.violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every merchant has one good.
    fn stock_shops(&self) {
        for node in self.nodes_of(Kind::Merchant) {
            let source = node.folder.join("good.bin");
            let mut chance = self.chance.branch("good");
            let mut contents = vec![0; 2_000];
            rand_core::Rng::fill_bytes(&mut chance, &mut contents);
            std::fs::write(&source, &contents).expect("the folder can be written");
            let shop = Shop::open(&node.folder, node.clock.clone());
            let mut shop = shop.expect("a new shop opens");
            let price = chance.among(1..7);
            let added = shop.add_good(&source, &good(price), &mut chance, &mut |_| ());
            let added = added.expect("a good is added");
            let mut watch = self.watch();
            watch.hide("the good", &added.good.0);
            watch.hide("the ciphertext", added.ct_root.as_bytes());
            watch.hide(
                "the merchant",
                &bauta_server::roles::merchant::merchant_id(&node.keys).0,
            );
        }
    }
}

/// A role's node, from its first start to the end of the world.
async fn live(core: Arc<Core>, node: Arc<Node>) {
    loop {
        match roles::open(&core, &node) {
            Ok(role) => {
                node.serve(role.service);
                tokio::select! {
                    biased;
                    () = node.disk.crashed() => {}
                    () = role.jobs => {}
                }
            }
            Err(error) => core.tell(format_args!("{} does not start: {error}", node.id)),
        }
        node.stop();
        if node.disk.is_down() {
            core.recover(&node).await;
        } else {
            sleep(core.chance.milliseconds(500..3_000)).await;
        }
    }
}

fn ids(plan: &Plan) -> Vec<NodeId> {
    let mut ids = vec![NodeId::archive(0)];
    ids.extend((0..plan.banks).map(NodeId::bank));
    ids.extend((0..plan.witnesses).map(NodeId::witness));
    ids.extend((0..plan.merchants).map(NodeId::merchant));
    ids.extend((0..plan.wallets).map(NodeId::wallet));
    ids
}

fn make_node(id: NodeId, world: &Path, chance: &Chance, begun: Instant) -> Node {
    let folder = world.join(id.to_string());
    std::fs::create_dir_all(&folder).expect("the world's folder can be written");
    let disk = Disk::new(chance.branch("disk"), Image::new());
    disk::mount(&folder, &disk);
    let keys = RoleSeed::generate(&mut chance.branch("keys"));
    Node::new(id, folder, disk, NodeClock::new(begun), keys)
}

fn good(price: u64) -> GoodInput {
    GoodInput {
        title: roles::GOOD.to_owned(),
        price: crate::customer::money(price),
        description: String::new(),
        licence: String::new(),
        refund_rule: String::new(),
        media_type: None,
    }
}

/// The world's folder, for the files that are not SQLite's: in memory where the system has such a place.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static WORLDS: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("bauta-sim-{}-{number}", std::process::id());
        Self(base.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}
