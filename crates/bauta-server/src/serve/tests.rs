//! A process with real roles, over real sockets, from a real file.

use std::{fs, path::Path};

use bauta_io::{HttpOptions, HttpTransport, SystemClock, SystemRng};
use bauta_proto::transport::{Request, fetch};
use tokio::sync::oneshot;

use super::*;
use crate::{config::template, roles::bank::bank_id};

fn world() -> World<HttpTransport> {
    World {
        clock: Arc::new(SystemClock),
        transport: Arc::new(HttpTransport::new(HttpOptions::default()).expect("a transport")),
    }
}

/// The template's configuration for every role, on free ports, with keys and the log's policy.
fn config(folder: &Path) -> Config {
    let path = folder.join("bauta.toml");
    fs::write(&path, template(RoleName::ALL)).expect("writes");
    for role in RoleName::ALL {
        let key_file = folder.join(format!("{}.key", role.as_str()));
        let seed = RoleSeed::generate(&mut SystemRng::new());
        seed.store(&key_file).expect("writes");
    }
    let mut config = Config::load(&path).expect("loads");
    if let (Some(bank), Some(archive)) = (&mut config.bank, &mut config.archive) {
        let bank_seed = RoleSeed::load(&bank.key_file).expect("reads");
        bank.http.listen.set_port(0);
        archive.banks = vec![bank_id(&bank_seed)];
        archive.http.listen.set_port(free_port());
        fs::write(&bank.log_policy.0, log_policy(archive)).expect("writes");
        if let Some(witness) = &mut config.witness {
            witness.http.listen.set_port(0);
            witness.log_policy = Some(bank.log_policy.clone());
        }
    }
    if let Some(merchant) = &mut config.merchant {
        merchant.http.listen.set_port(0);
    }
    config
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("an address").port()
}

fn log_policy(config: &ArchiveConfig) -> String {
    let seed = RoleSeed::load(&config.key_file).expect("reads");
    let archive = Archive::open(config, seed, &world()).expect("opens");
    archive.policy().text().to_owned()
}

#[tokio::test]
async fn every_role_of_the_template_opens_becomes_ready_and_stops_in_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = world();
    let server = Server::open(&config(folder.path()), &world)
        .await
        .expect("opens");
    let addresses: Vec<_> = server.addresses().collect();
    assert_eq!(addresses.len(), RoleName::ALL.len());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.serve(async {
        let _dropped = stopped.await;
    }));
    for (_role, address) in addresses {
        let url = format!("http://{address}/readyz");
        while fetch(&*world.transport, Request::get(url.clone()), 100)
            .await
            .is_err()
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    stop.send(()).expect("runs");
    running.await.expect("ran").expect("stopped in order");
}

#[tokio::test]
async fn a_missing_key_file_and_a_taken_port_name_the_role() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = config(folder.path());
    let running = Server::open(&config, &world()).await.expect("opens");
    let error = Server::open(&config, &world()).await.err();
    let role = RoleName::Archive;
    assert!(matches!(error, Some(ServeError::Edge { role: named, .. }) if named == role));
    drop(running);
    fs::remove_file(folder.path().join("archive.key")).expect("removes");
    let error = Server::open(&config, &world())
        .await
        .err()
        .expect("refused");
    assert!(error.to_string().contains("archive.key"), "{error}");
}

#[tokio::test]
async fn jobs_that_end_by_themselves_stop_the_process_and_name_the_role() {
    let http = HttpConfig::new(([127, 0, 0, 1], 0).into());
    for panics in [false, true] {
        let jobs = Box::pin(async move { assert!(!panics) });
        let role = opened(RoleName::Archive, &http, Router::new(), || Ok(()), jobs);
        let server = Server {
            roles: vec![role.await.expect("opens")],
            stop_jobs: watch::channel(false).0,
        };
        let ended = server.serve(std::future::pending()).await;
        assert!(matches!(
            ended,
            Err(ServeError::JobsEnded(RoleName::Archive))
        ));
    }
}
