//! The configuration file: one documented structure a role, unknown keys refused, secrets only by file.
//!
//! Relative paths in the file count from the file's own folder, so that a folder with everything of a role can be moved.

mod load;
mod policy_source;
mod template;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub use load::{CONFIG_BYTES_MAX, ConfigError, Position};
pub use policy_source::{PolicySource, PolicySourceError};
use serde::Deserialize;
pub use template::{RoleName, template};
use tracing::level_filters::LevelFilter;

use crate::roles::{
    archive::ArchiveConfig, bank::BankConfig, merchant::MerchantConfig, witness::WitnessConfig,
};

/// Everything that one process plays.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogConfig,
    /// The bank, if this process is one.
    pub bank: Option<BankConfig>,
    /// The archive, if this process is one.
    pub archive: Option<ArchiveConfig>,
    /// The merchant, if this process is one.
    pub merchant: Option<MerchantConfig>,
    /// The witness, if this process is one.
    pub witness: Option<WitnessConfig>,
}

/// What is logged, and how. The log goes to standard error and holds nothing about a user at any level.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` for people or `json` for programs.
    pub format: LogFormat,
    /// The least important lines that are shown: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The importance of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// An operator has to act.
    Error,
    /// Something that mends itself went wrong.
    Warn,
    /// Starts, stops, what changes.
    #[default]
    Info,
    /// For finding faults.
    Debug,
    /// Everything.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// How a role is reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// PEM file with the certificate chain; with it the role speaks HTTPS (TLS 1.3) only.
    pub certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    pub certificate_key: Option<PathBuf>,
    /// Connections that are open at once; callers beyond it wait.
    #[serde(default = "connections_max")]
    pub connections_max: usize,
    /// Requests that are worked on at once; more are answered with "overloaded".
    #[serde(default = "requests_max")]
    pub requests_max: usize,
    /// Whether `/metrics` is answered to other machines too. Whoever reads the numbers of two roles can tell by the moment
    /// what belongs together: keep it off, and let no proxy on this machine pass `/metrics` on.
    #[serde(default)]
    pub metrics_public: bool,
}

/// Connections that a role holds open at once unless configured otherwise.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Requests that a role works on at once unless configured otherwise.
pub const REQUESTS_MAX: usize = 1_024;

impl HttpConfig {
    /// Plain HTTP with the default limits.
    #[must_use]
    pub const fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            certificate: None,
            certificate_key: None,
            connections_max: CONNECTIONS_MAX,
            requests_max: REQUESTS_MAX,
            metrics_public: false,
        }
    }
}

const fn connections_max() -> usize {
    CONNECTIONS_MAX
}

const fn requests_max() -> usize {
    REQUESTS_MAX
}

/// A part of the configuration that names files.
trait Resolve {
    /// Makes relative paths count from `folder`.
    fn resolve(&mut self, folder: &Path);
}

impl Resolve for PathBuf {
    fn resolve(&mut self, folder: &Path) {
        *self = folder.join(&*self);
    }
}

impl<P: Resolve> Resolve for Option<P> {
    fn resolve(&mut self, folder: &Path) {
        self.iter_mut().for_each(|part| part.resolve(folder));
    }
}

impl Resolve for Config {
    fn resolve(&mut self, folder: &Path) {
        self.bank.resolve(folder);
        self.archive.resolve(folder);
        self.merchant.resolve(folder);
        self.witness.resolve(folder);
    }
}

impl Resolve for HttpConfig {
    fn resolve(&mut self, folder: &Path) {
        self.certificate.resolve(folder);
        self.certificate_key.resolve(folder);
    }
}

impl Resolve for BankConfig {
    fn resolve(&mut self, folder: &Path) {
        self.http.resolve(folder);
        self.data.resolve(folder);
        self.key_file.resolve(folder);
        self.log_policy.resolve(folder);
    }
}

impl Resolve for MerchantConfig {
    fn resolve(&mut self, folder: &Path) {
        self.http.resolve(folder);
        self.data.resolve(folder);
        self.key_file.resolve(folder);
        self.log_policy.resolve(folder);
    }
}

impl Resolve for WitnessConfig {
    fn resolve(&mut self, folder: &Path) {
        self.http.resolve(folder);
        self.data.resolve(folder);
        self.key_file.resolve(folder);
        self.log_policy.resolve(folder);
    }
}

impl Resolve for PolicySource {
    fn resolve(&mut self, folder: &Path) {
        // More than one line is the policy itself.
        if !self.0.trim_end().contains('\n') {
            self.0 = folder.join(self.0.trim()).to_string_lossy().into_owned();
        }
    }
}

impl Resolve for ArchiveConfig {
    fn resolve(&mut self, folder: &Path) {
        self.http.resolve(folder);
        self.data.resolve(folder);
        self.key_file.resolve(folder);
        self.log_policy.resolve(folder);
    }
}
