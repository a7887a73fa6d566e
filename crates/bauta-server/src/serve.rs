//! One process, any set of roles: opens what the configuration names, listens, runs the jobs, and stops in order.

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::Router;
use bauta_proto::transport::Transport;
use futures_util::future::BoxFuture;
use tokio::{
    signal,
    sync::watch,
    task::{JoinError, JoinSet},
    time::timeout,
};

use crate::{
    config::{Config, HttpConfig, RoleName},
    edge::{Bound, EdgeError, SHUTDOWN_TIMEOUT, Standard, bind},
    keys::{KeyFileError, RoleSeed},
    roles::{
        archive::{Archive, ArchiveConfig, ArchiveStartError},
        bank::{Bank, BankConfig, BankStartError},
        merchant::{Merchant, MerchantConfig, MerchantStartError},
        witness::{Witness, WitnessConfig, WitnessStartError},
    },
    work::World,
};

/// Why a process does not start, or did not stop in order. Its operator has to act.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A role cannot listen.
    #[error("the {} cannot be reached", role.as_str())]
    Edge {
        /// Which role.
        role: RoleName,
        /// Why not.
        source: EdgeError,
    },
    /// A role has no keys.
    #[error("the {} cannot read its key file {}; `bauta keygen` makes one", role.as_str(), path.display())]
    KeyFile {
        /// Which role.
        role: RoleName,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: KeyFileError,
    },
    /// The bank does not start.
    #[error("the bank does not start")]
    Bank(#[from] BankStartError),
    /// The merchant does not start.
    #[error("the merchant does not start")]
    Merchant(#[from] MerchantStartError),
    /// The archive does not start.
    #[error("the archive does not start")]
    Archive(#[from] ArchiveStartError),
    /// The witness does not start.
    #[error("the witness does not start")]
    Witness(#[from] WitnessStartError),
    /// A role's jobs ended by themselves: a fault in the program.
    #[error("the {}'s jobs ended unexpectedly", .0.as_str())]
    JobsEnded(RoleName),
    /// Signals cannot be received.
    #[error("the system does not let the process wait for signals")]
    Signals(#[source] io::Error),
}

/// The roles of one process, open and listening, not yet answering.
pub struct Server {
    roles: Vec<Opened>,
    /// True tells the jobs to end.
    stop_jobs: watch::Sender<bool>,
}

struct Opened {
    name: RoleName,
    bound: Bound,
    router: Router,
    jobs: BoxFuture<'static, ()>,
}

/// Serves what `config` names until SIGINT or SIGTERM.
///
/// # Errors
/// [`ServeError`].
pub async fn run<T: Transport + 'static>(
    config: &Config,
    world: &World<T>,
) -> Result<(), ServeError> {
    let stopped = stop_signal().map_err(ServeError::Signals)?;
    Server::open(config, world).await?.serve(stopped).await
}

impl Server {
    /// Opens every configured role and takes its port. Callers wait from here on until [`serve`](Self::serve).
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn open<T: Transport + 'static>(
        config: &Config,
        world: &World<T>,
    ) -> Result<Self, ServeError> {
        let (stop_jobs, stop) = watch::channel(false);
        let mut roles = Vec::new();
        // The witness first: the archive asks it as soon as it runs.
        if let Some(witness) = &config.witness {
            roles.push(open_witness(witness, world, stop.clone()).await?);
        }
        if let Some(bank) = &config.bank {
            roles.push(open_bank(bank, world, stop.clone()).await?);
        }
        if let Some(archive) = &config.archive {
            roles.push(open_archive(archive, world, stop.clone()).await?);
        }
        if let Some(merchant) = &config.merchant {
            roles.push(open_merchant(merchant, world, stop.clone()).await?);
        }
        Ok(Self { roles, stop_jobs })
    }

    /// Where each role listens; ports that the system was to choose are known here.
    pub fn addresses(&self) -> impl Iterator<Item = (RoleName, SocketAddr)> {
        let roles = self.roles.iter();
        roles.map(|role| (role.name, role.bound.local_addr()))
    }

    /// Answers until `stopped` is over. Then the roles finish what is under way, and after that their jobs.
    ///
    /// # Errors
    /// [`ServeError::JobsEnded`] when a role's jobs end before; everything is stopped in order then, too.
    pub async fn serve(self, stopped: impl Future<Output = ()>) -> Result<(), ServeError> {
        let (stop_edges, stop) = watch::channel(false);
        let (mut edges, mut jobs) = (JoinSet::new(), JoinSet::new());
        for Opened {
            name,
            bound,
            router,
            jobs: role_jobs,
        } in self.roles
        {
            let url = bound.url();
            tracing::info!(
                role = name.as_str(),
                url,
                "{} listens on {url}",
                name.as_str()
            );
            edges.spawn(bound.serve(router, until_true(stop.clone())));
            jobs.spawn(async move {
                // A panic in a job must not hide which role it was.
                let ended = tokio::spawn(role_jobs).await;
                (name, ended)
            });
        }
        let ended_early = tokio::select! {
            () = stopped => None,
            Some(ended) = jobs.join_next() => ended.ok(),
        };
        tracing::info!("stopping");
        stop_edges.send_replace(true);
        while edges.join_next().await.is_some() {}
        self.stop_jobs.send_replace(true);
        let _in_time = timeout(SHUTDOWN_TIMEOUT, async {
            while jobs.join_next().await.is_some() {}
        })
        .await;
        tracing::info!("stopped");
        match ended_early {
            None => Ok(()),
            Some((role, ended)) => Err(jobs_ended(role, &ended)),
        }
    }
}

fn jobs_ended(role: RoleName, ended: &Result<(), JoinError>) -> ServeError {
    if ended.is_err() {
        tracing::error!(role = role.as_str(), "a job panicked");
    }
    ServeError::JobsEnded(role)
}

async fn open_bank<T: Transport + 'static>(
    config: &BankConfig,
    world: &World<T>,
    stop: watch::Receiver<bool>,
) -> Result<Opened, ServeError> {
    let seed = seed(RoleName::Bank, &config.key_file)?;
    let bank = Bank::open(config, seed, world.clone())?;
    let watched = Arc::clone(&bank);
    let ready = move || watched.ready();
    let router = bank.router();
    let jobs = Box::pin(bank.run_jobs(stop));
    opened(RoleName::Bank, &config.http, router, ready, jobs).await
}

async fn open_archive<T: Transport + 'static>(
    config: &ArchiveConfig,
    world: &World<T>,
    stop: watch::Receiver<bool>,
) -> Result<Opened, ServeError> {
    let seed = seed(RoleName::Archive, &config.key_file)?;
    let archive = Archive::open(config, seed, world)?;
    let watched = Arc::clone(&archive);
    let ready = move || watched.ready();
    let router = archive.router();
    let jobs = Box::pin(archive.run_jobs(stop));
    opened(RoleName::Archive, &config.http, router, ready, jobs).await
}

async fn open_merchant<T: Transport + 'static>(
    config: &MerchantConfig,
    world: &World<T>,
    stop: watch::Receiver<bool>,
) -> Result<Opened, ServeError> {
    let seed = seed(RoleName::Merchant, &config.key_file)?;
    let merchant = Merchant::open(config, seed, world.clone())?;
    let watched = Arc::clone(&merchant);
    let ready = move || watched.ready();
    let router = merchant.router();
    let jobs = Box::pin(merchant.run_jobs(stop));
    opened(RoleName::Merchant, &config.http, router, ready, jobs).await
}

async fn open_witness<T: Transport>(
    config: &WitnessConfig,
    world: &World<T>,
    stop: watch::Receiver<bool>,
) -> Result<Opened, ServeError> {
    let seed = seed(RoleName::Witness, &config.key_file)?;
    let witness = Witness::open(config, &seed, Arc::clone(&world.clock))?;
    tracing::info!(vkey = %witness.vkey(), "the witness's key");
    let router = witness.router();
    let jobs = Box::pin(witness.run_jobs(stop));
    opened(RoleName::Witness, &config.http, router, || Ok(()), jobs).await
}

async fn opened(
    name: RoleName,
    http: &HttpConfig,
    router: Router,
    ready: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static,
    jobs: BoxFuture<'static, ()>,
) -> Result<Opened, ServeError> {
    let bound = bind(http)
        .await
        .map_err(|source| ServeError::Edge { role: name, source })?;
    let standard = Standard::new(name.as_str())
        .requests_max(http.requests_max)
        .metrics_public(http.metrics_public);
    let router = standard.wrap(router, ready);
    Ok(Opened {
        name,
        bound,
        router,
        jobs,
    })
}

fn seed(role: RoleName, path: &std::path::Path) -> Result<RoleSeed, ServeError> {
    RoleSeed::load(path).map_err(|source| ServeError::KeyFile {
        role,
        path: path.to_owned(),
        source,
    })
}

async fn until_true(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means stop, too.
    let _gone = stop.wait_for(|stop| *stop).await;
}

/// Over when the process is asked to stop: Ctrl-C or SIGTERM. Listens from the call on.
///
/// # Errors
/// When the system does not let the process wait for signals.
pub fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let mut interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        let _unavailable = signal::ctrl_c().await;
    })
}

#[cfg(test)]
mod tests;
