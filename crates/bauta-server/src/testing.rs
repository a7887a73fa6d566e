//! Roles for the tests of other roles.

use std::{path::Path, sync::Arc};

use bauta_crypto::note::Vkey;
use bauta_io::SystemRng;
use bauta_proto::time::Clock;

use crate::{
    config::HttpConfig,
    keys::RoleSeed,
    roles::witness::{Witness, WitnessConfig},
};

/// A witness of one log with a new key, in this folder.
pub(crate) fn witness(folder: &Path, log: Vkey, clock: Arc<dyn Clock>) -> Arc<Witness> {
    let config = WitnessConfig {
        http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
        data: folder.to_owned(),
        key_file: folder.join("witness.key"),
        name: "witness.example/w".to_owned(),
        logs: vec![log],
        log_policy: None,
    };
    let seed = RoleSeed::generate(&mut SystemRng::new());
    Witness::open(&config, &seed, clock).expect("opens")
}
