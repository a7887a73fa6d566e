//! A dead log holds nobody's money: when its silence would decide locks, but it says nothing new, its witnesses are asked to
//! cosign again the last checkpoint that the bank has read.
//!
//! A witness that has cosigned a larger tree does not: it has seen more than the bank, and the locks wait until their end.

use std::{collections::BTreeMap, sync::Arc};

use bauta_proto::{
    log::{
        reader::FetchedCheckpoint,
        witness::{CosignAgainError, cosign_again},
    },
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
    transport::Transport,
};
use bauta_store::{StoreError, bank::BankReader};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Bank, FollowError, Followed,
    decide::Undecided,
    follow::{DUE_MAX, PATIENCE},
    logs::Heads,
};

/// How long witnesses are left alone after they were asked about a log.
const ASK_AGAIN_AFTER: Seconds = Seconds(10);

impl<T: Transport + 'static> Bank<T> {
    /// Has the last checkpoints of logs that give no late ones cosigned again, and decides what follows. Safe to repeat.
    ///
    /// # Errors
    /// [`FollowError`], the first of those that occurred.
    pub async fn outlive_dead_logs(self: &Arc<Self>) -> Result<Followed, FollowError> {
        let bank = Arc::clone(self);
        let silent = self.read(move |reader| bank.silent_logs(reader, &bank.logs.heads()));
        let now = self.now();
        let mut silent = silent.await?;
        silent.retain(|origin, _| self.logs.may_ask(origin, now, ASK_AGAIN_AFTER));
        if silent.is_empty() {
            return Ok(Followed::default());
        }
        let asked = silent
            .into_values()
            .map(|(head, since)| self.cosign_again(head, since));
        let asked: Result<(), FollowError> = join_all(asked).await.into_iter().collect();
        let followed = self.decide_due().await;
        asked.and(followed)
    }

    async fn cosign_again(
        &self,
        head: Arc<FetchedCheckpoint>,
        since: Timestamp,
    ) -> Result<(), FollowError> {
        let transport = &*self.world.transport;
        let cosigned = cosign_again(transport, &self.policy, &head, since);
        let cosigned = timeout(PATIENCE, cosigned).await;
        let cosigned = cosigned.unwrap_or(Err(CosignAgainError::TooFew))?;
        self.logs.set_head(Arc::new(cosigned));
        Ok(())
    }

    /// The logs that should have given a late checkpoint by now for some lock, by their origins: their last whole checkpoint,
    /// and since when it has to be cosigned to say something.
    ///
    /// A witness's clock may be as far behind the bank's as the tolerance allows, so that the moment is later by twice that.
    fn silent_logs(
        &self,
        reader: &BankReader,
        heads: &Heads,
    ) -> Result<BTreeMap<String, (Arc<FetchedCheckpoint>, Timestamp)>, StoreError> {
        let moment = self.now().minus(CLOCK_TOLERANCE).minus(CLOCK_TOLERANCE);
        let mut silent = BTreeMap::new();
        let mut after = None;
        loop {
            let due = reader.due_before(moment, after, DUE_MAX)?;
            for lock in &due {
                let Some(lock) = Undecided::load(reader, lock.lock_tag)? else {
                    continue;
                };
                let since = lock.due().plus(CLOCK_TOLERANCE);
                for log in self.policy.logs_for(lock.expiry()) {
                    let head = heads.of(log);
                    let Some(head) = head.filter(|head| head.checked().quorum_since() <= since)
                    else {
                        continue;
                    };
                    let origin = log.key.name.clone();
                    let (_, latest) = silent.entry(origin).or_insert((Arc::clone(head), since));
                    *latest = since.max(*latest);
                }
            }
            after = due.last().copied().filter(|_| due.len() == DUE_MAX);
            if after.is_none() {
                return Ok(silent);
            }
        }
    }
}
