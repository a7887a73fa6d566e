//! The keys of an archive's logs, all from one seed, and the policies that follow from them.

use std::{fmt::Write, sync::Arc};

use bauta_crypto::{
    note::{CosignerSigner, LogSigner, NoteError, Vkey},
    sign::SigningKey,
};
use bauta_proto::log::policy::{Policy, PolicyTextError, Shard};

use super::{ArchiveConfig, ArchiveStartError};
use crate::keys::RoleSeed;

/// The keys of one log. The cosigner is the same for all logs of an archive.
pub(super) struct Keys {
    pub(super) log: LogSigner,
    pub(super) cosigner: CosignerSigner,
    /// The log's key once more: it signs promises, too.
    pub(super) promise: SigningKey,
}

/// The origin line of an archive's log.
pub(super) fn origin_of(origin: &str, shard: Option<Shard>) -> String {
    match shard {
        Some(shard) => format!("{origin}/{shard}"),
        None => origin.to_owned(),
    }
}

impl Keys {
    /// The keys of a log can be known long before it begins: they follow from the seed and the log's name.
    pub(super) fn derive(
        seed: &RoleSeed,
        origin: &str,
        shard: Option<Shard>,
    ) -> Result<Self, ArchiveStartError> {
        let keys = |promise: SigningKey| -> Result<Self, NoteError> {
            let cosigner = format!("{origin}/cosigner");
            Ok(Self {
                log: LogSigner::new(&origin_of(origin, shard), &promise)?,
                cosigner: CosignerSigner::new(&cosigner, &seed.signing_key("cosigner"))?,
                promise,
            })
        };
        let purpose = origin_of("log", shard);
        keys(seed.signing_key(&purpose)).map_err(ArchiveStartError::Origin)
    }

    pub(super) fn log_vkey(&self) -> &Vkey {
        self.log.vkey()
    }

    /// The policy of this log alone, cosigned by itself.
    pub(super) fn policy(&self, url: &str) -> Result<Policy, ArchiveStartError> {
        Policy::of_one_log(self.log.vkey(), url, self.cosigner.vkey())
            .map_err(ArchiveStartError::Address)
    }
}

/// The policy of the log that has this seed, origin and address: what its archive will publish once it runs.
///
/// # Errors
/// [`ArchiveStartError::Origin`] and [`ArchiveStartError::Address`] for what fits into no policy.
pub fn log_policy(seed: &RoleSeed, origin: &str, url: &str) -> Result<Policy, ArchiveStartError> {
    Keys::derive(seed, origin, None)?.policy(url)
}

/// The lines by which a policy lists these logs of an archive; without shards, its one log.
///
/// # Errors
/// [`ArchiveStartError::Origin`].
pub fn log_lines(
    seed: &RoleSeed,
    (origin, url): (&str, &str),
    shards: &[Shard],
) -> Result<String, ArchiveStartError> {
    let url = url.trim_end_matches('/');
    let mut lines = String::new();
    let mut list = |shard: Option<Shard>| -> Result<(), ArchiveStartError> {
        let keys = Keys::derive(seed, origin, shard)?;
        let (log, address) = (keys.log_vkey(), origin_of(url, shard));
        writeln!(lines, "log {log} {address}").expect("writing to a string does not fail");
        Ok(())
    };
    if shards.is_empty() {
        list(None)?;
    }
    shards.iter().try_for_each(|shard| list(Some(*shard)))?;
    Ok(lines)
}

/// The key of the archive's own cosignatures, as a policy lists it.
///
/// # Errors
/// [`ArchiveStartError::Origin`].
pub fn cosigner_vkey(seed: &RoleSeed, origin: &str) -> Result<Vkey, ArchiveStartError> {
    Ok(Keys::derive(seed, origin, None)?.cosigner.vkey().clone())
}

/// A policy of these logs of an archive, cosigned by the archive itself.
///
/// # Errors
/// [`ArchiveStartError::Origin`] and [`ArchiveStartError::Address`] for what fits into no policy.
pub fn own_policy(
    seed: &RoleSeed,
    (origin, url): (&str, &str),
    shards: &[Shard],
) -> Result<Policy, ArchiveStartError> {
    if shards.is_empty() {
        return log_policy(seed, origin, url);
    }
    // An address that is not one word must not become another line.
    Keys::derive(seed, origin, None)?.policy(url)?;
    let lines = log_lines(seed, (origin, url), shards)?;
    let cosigner = cosigner_vkey(seed, origin)?;
    let text = format!("{lines}witness self {cosigner}\nquorum self\n");
    text.parse().map_err(ArchiveStartError::Address)
}

/// The policy that the archive publishes: the configured one, or its own of these shards.
pub(super) fn policy_of(
    config: &ArchiveConfig,
    seed: &RoleSeed,
    shards: &[Shard],
) -> Result<Policy, ArchiveStartError> {
    let Some(source) = &config.log_policy else {
        return own_policy(seed, (&config.origin, &address(config)?), shards);
    };
    Ok(source.load()?)
}

/// The policy by which one log's checkpoints are published: the configured one, which must list it, or its own.
pub(super) fn policy_of_log(
    config: &ArchiveConfig,
    published: &Arc<Policy>,
    keys: &Keys,
) -> Result<Arc<Policy>, ArchiveStartError> {
    if config.log_policy.is_none() {
        return Ok(Arc::new(keys.policy(&address(config)?)?));
    }
    let log = keys.log_vkey();
    if published.logs().iter().any(|known| known.key == *log) {
        Ok(Arc::clone(published))
    } else {
        Err(ArchiveStartError::NotListed(Box::new(log.clone())))
    }
}

/// Where others reach the archive.
///
/// # Errors
/// [`ArchiveStartError::NoAddress`].
pub fn address(config: &ArchiveConfig) -> Result<String, ArchiveStartError> {
    if let Some(url) = &config.url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let scheme = match config.http.certificate {
        Some(_) => "https",
        None => "http",
    };
    match config.http.listen.port() {
        0 => Err(ArchiveStartError::NoAddress),
        _ => Ok(format!("{scheme}://{}", config.http.listen)),
    }
}

/// Whether a text is too long for a policy, for the command that makes one.
#[must_use]
pub const fn is_too_long(error: &ArchiveStartError) -> bool {
    matches!(error, ArchiveStartError::Address(PolicyTextError::TooLong))
}
