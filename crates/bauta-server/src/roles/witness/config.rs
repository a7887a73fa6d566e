//! The witness's part of the configuration file.

use std::path::PathBuf;

use bauta_crypto::note::Vkey;
use serde::{Deserialize, Deserializer, de::Error};

use crate::config::{HttpConfig, PolicySource};

/// A witness: it cosigns the checkpoints of logs that only append (C2SP tlog-witness). It needs nobody's trust but that of
/// those who name it in their log policy, so somebody else than the log's operator should run it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Where the witness listens. Logs post to `/add-checkpoint` there.
    pub http: HttpConfig,
    /// Folder of the witness's records: never put it back to an older state, or the witness cosigns a log's second history.
    pub data: PathBuf,
    /// File with the seed of the witness's key.
    pub key_file: PathBuf,
    /// The witness's name, by which its cosignatures say whose they are, such as `witness.example/w1`. It can never change.
    pub name: String,
    /// Verifier keys of logs that it cosigns; a key's name is its log's origin.
    #[serde(default, deserialize_with = "vkeys")]
    pub logs: Vec<Vkey>,
    /// File with a log policy (or its text): the logs that it lists are cosigned too.
    pub log_policy: Option<PolicySource>,
}

fn vkeys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vkey>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let keys = texts.iter().map(|text| text.parse());
    keys.collect::<Result<_, _>>()
        .map_err(|error| D::Error::custom(format!("logs: {error}")))
}
