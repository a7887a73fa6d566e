//! A whole world in one process and on one thread: the very roles and wallets that are shipped, with a clock, a network,
//! disks and chance that are the simulator's. One seed gives one run, bit for bit; while it runs, everything goes wrong that can:
//! messages are lost, late, doubled and cut off, nodes crash before, in and after every write, disks are full, clocks are
//! wrong. The promises of docs/protocol/purchase.md are checked at every step, and that everybody comes to an end at the end.
//!
//! ```no_run
//! use bauta_sim::{NodeId, Plan, run};
//!
//! // A world that only its seed describes.
//! let ending = run(Plan::of_seed(7));
//! assert!(ending.violations.is_empty());
//!
//! // A script of one's own: a merchant that answers nothing but 404.
//! let ending = bauta_sim::play(Plan::calm(7), async |world| {
//!     world.replace(NodeId::merchant(0), |_puppet| std::sync::Arc::new(Silent));
//!     world.begin();
//!     world.finish().await;
//! });
//! assert_eq!(ending.purses[&NodeId::wallet(0)].spent(), 0);
//!
//! struct Silent;
//! impl bauta_sim::Service for Silent {
//!     fn answer<'a>(
//!         &'a self,
//!         _: bauta_proto::transport::Request,
//!         _: NodeId,
//!     ) -> futures_util::future::BoxFuture<'a, bauta_sim::Reply> {
//!         Box::pin(async { bauta_sim::Reply::new(404, Vec::new()) })
//!     }
//! }
//! ```

mod clock;
mod customer;
mod disk;
mod ending;
mod net;
mod node;
mod plan;
mod points;
mod random;
mod roles;
mod runtime;
mod trace;
mod trouble;
mod watch;
mod world;

pub use clock::{BEGINNING, NodeClock};
pub use disk::{CrashPoint, Moment};
pub use ending::{Ending, Purse, ShopBooks};
pub use net::{SimBody, SimTransport};
pub use node::{Kind, NodeId, Puppet, Reply, Service, UnknownNode};
pub use plan::{Errand, Errands, Faults, Plan};
pub use points::{SingleCrash, UnknownCrash};
pub use random::Chance;
pub use roles::GOOD;
pub use runtime::{play, run};
pub use watch::Violation;
pub use world::World;
