//! All logs of an archive: its one log, or its shards.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bauta_crypto::note::Vkey;
use bauta_proto::{
    log::policy::Shard,
    time::{Seconds, Timestamp},
};
use futures_util::future::join_all;

use super::{
    ArchiveConfig, ArchiveStartError,
    log::OpenLog,
    publish::PublishError,
    slot::{Slot, shard_named, shards_in},
    span::wanted,
};
use crate::keys::RoleSeed;

/// How often frozen shards are looked at.
const PRUNE_EVERY: Seconds = Seconds::hours(1);

/// The shards of an archive that a policy lists: those that are there and those to come, as far as `until`; none of an
/// archive without shards.
///
/// # Errors
/// When the data folder cannot be read.
pub fn shards_until(
    config: &ArchiveConfig,
    now: Timestamp,
    until: Timestamp,
) -> std::io::Result<Vec<Shard>> {
    if config.shard_days == 0 {
        return Ok(Vec::new());
    }
    let mut shards = shards_in(config)?;
    let current = Shard::containing(now, config.shard_days);
    let coming = std::iter::successors(Some(current), |shard| Some(shard.next()));
    shards.extend(coming.take_while(|shard| shard.from <= until));
    shards.sort_unstable();
    shards.dedup();
    Ok(shards)
}

/// The logs, by their shard; without shards one, under none.
pub(super) struct Slots {
    config: ArchiveConfig,
    seed: RoleSeed,
    opener: Arc<dyn OpenLog>,
    slots: RwLock<BTreeMap<Option<Shard>, Arc<Slot>>>,
    /// Shards to come that the policy does not list.
    unlisted: Mutex<BTreeSet<Shard>>,
    /// When frozen shards were looked at last.
    pruned_at: Mutex<Timestamp>,
}

impl Slots {
    /// Opens every log once, so that one which must not start is noticed now.
    pub(super) fn open(
        config: &ArchiveConfig,
        seed: RoleSeed,
        shards: &[Shard],
        opener: Arc<dyn OpenLog>,
        now: Timestamp,
    ) -> Result<Self, ArchiveStartError> {
        let slots = Self {
            config: config.clone(),
            seed,
            opener,
            slots: RwLock::default(),
            unlisted: Mutex::default(),
            pruned_at: Mutex::default(),
        };
        let names = if slots.is_sharded() {
            shards.iter().copied().map(Some).collect()
        } else {
            vec![None]
        };
        let mut names = names.into_iter();
        names.try_for_each(|name| slots.add(name, now))?;
        Ok(slots)
    }

    /// A policy is fixed by its text and ends some day: until then what it does not list yet is only a warning.
    fn add(&self, shard: Option<Shard>, now: Timestamp) -> Result<(), ArchiveStartError> {
        let slot = Slot::new(&self.config, &self.seed, shard)?;
        match (slot.open(self.opener.as_ref()), shard) {
            (Err(ArchiveStartError::NotListed(_)), Some(shard)) if shard.from > now => {
                self.note_unlisted(shard);
                return Ok(());
            }
            (opened, _) => opened?,
        };
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.entry(shard).or_insert_with(|| Arc::new(slot));
        Ok(())
    }

    fn note_unlisted(&self, shard: Shard) {
        let mut unlisted = self.unlisted.lock().unwrap_or_else(PoisonError::into_inner);
        if unlisted.insert(shard) {
            tracing::warn!(
                shard = %shard,
                "the log policy does not list a shard to come; print its line with: bauta archive policy --lines"
            );
        }
    }

    /// Whether a shard is known to be to come and not listed.
    fn is_unlisted(&self, shard: Shard, now: Timestamp) -> bool {
        let unlisted = self.unlisted.lock().unwrap_or_else(PoisonError::into_inner);
        shard.from > now && unlisted.contains(&shard)
    }

    pub(super) const fn is_sharded(&self) -> bool {
        self.config.shard_days > 0
    }

    pub(super) fn opener(&self) -> &Arc<dyn OpenLog> {
        &self.opener
    }

    fn all(&self) -> Vec<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.values().cloned().collect()
    }

    fn slot(&self, shard: Option<Shard>) -> Option<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(&shard).cloned()
    }

    /// The log of this name; without a name, the archive's one log.
    pub(super) fn named(&self, name: Option<&str>) -> Option<Arc<Slot>> {
        match name {
            None => self.slot(None),
            Some(name) => self.slot(Some(shard_named(name)?)),
        }
    }

    /// The shard that takes leaves of this expiry.
    pub(super) fn containing(&self, expiry: Timestamp) -> Option<Shard> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let mut shards = slots.keys().rev().filter_map(|shard| *shard);
        shards.find(|shard| shard.contains(expiry))
    }

    /// The key of the one log or of the shard of this moment.
    pub(super) fn first_vkey(&self, now: Timestamp) -> Vkey {
        let current = self.slot(self.containing(now));
        let slot = current.or_else(|| self.all().into_iter().next());
        let slot = slot.expect("an archive has its one log, or the shard of every moment");
        slot.log_vkey.clone()
    }

    /// Makes the shards that are to be there and are not.
    pub(super) fn add_shards(&self, now: Timestamp) -> Result<(), PublishError> {
        if !self.is_sharded() {
            return Ok(());
        }
        let wanted = wanted(now, self.config.shard_days, self.config.shards_ahead());
        for shard in wanted {
            if self.slot(Some(shard)).is_none() && !self.is_unlisted(shard, now) {
                let added = self.add(Some(shard), now);
                added.map_err(|error| PublishError::Open(Box::new(error)))?;
            }
        }
        Ok(())
    }

    /// Publishes every log that is due.
    pub(super) async fn publish(&self, now: Timestamp) -> Result<(), PublishError> {
        let slots = self.all();
        let rounds = slots.iter().map(|slot| slot.publish(&self.opener, now));
        let outcomes = join_all(rounds).await;
        outcomes.into_iter().collect()
    }

    /// Whether the logs are published as their policy asks.
    pub(super) fn ready(&self, now: Timestamp) -> Result<(), &'static str> {
        self.all().iter().try_for_each(|slot| slot.ready(now))
    }

    /// Whether it is time to look for shards whose retention is over.
    pub(super) fn may_prune(&self, now: Timestamp) -> bool {
        let mut pruned_at = self
            .pruned_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_time = now.since(*pruned_at) >= PRUNE_EVERY;
        if is_time {
            *pruned_at = now;
        }
        is_time
    }
}
