//! The leaves of a log: what decides locks, what stands in the wrong shard, and which promises were kept.

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    codec::{Message, Signed},
    ids::LockTag,
    log::{
        evidence::{
            BrokenPromise, Contradiction, Evidence, HashText, OverduePromise, PROMISE_KEPT_WITHIN,
            Standing,
        },
        policy::KnownLog,
        reader::{FetchedCheckpoint, LogReader, ReadError},
        receipt::Receipt,
        watch::{SeenLeaf, SignedCheckpoint, is_ahead},
    },
    submission::Promise,
    transport::Transport,
};
use data_encoding::BASE64;

use super::{Monitor, REMEMBERED_FOR};
use crate::{commands::monitor::finding::Trouble, failure::Outcome};

impl<T: Transport> Monitor<T> {
    /// Reads what is new, and remembers what decides locks.
    pub(super) async fn leaves(
        &mut self,
        position: usize,
        log: &KnownLog,
        reader: &LogReader<T>,
        checkpoint: &FetchedCheckpoint,
    ) -> Outcome {
        let origin = &log.key.name;
        let mut frontier = self
            .read
            .remove(&position)
            .unwrap_or_else(|| self.begin(origin));
        loop {
            let read = match reader.entries(&frontier, checkpoint).await {
                Ok(read) => read,
                Err(ReadError::Older) => break,
                Err(error) => {
                    self.unreadable(origin, &error);
                    break;
                }
            };
            for (index, leaf) in read.indices.into_iter().zip(read.leaves) {
                if !log.takes(leaf.expiry)
                    && let Ok(receipt) = reader.receipt(index, &leaf, checkpoint).await
                {
                    let standing = Standing::new(&leaf, &receipt);
                    self.prove(&format!("{origin}|{index}"), Evidence::Misplaced(standing))?;
                }
                self.lock_leaf(SeenLeaf {
                    log: position,
                    index,
                    leaf,
                });
            }
            frontier = read.frontier;
            if read.complete {
                break;
            }
        }
        let lowest = self.locks.lowest().get(&position).copied();
        let memory = self.state.logs.entry(origin.clone()).or_default();
        memory.mark(&frontier, lowest.unwrap_or(frontier.size()));
        self.read.insert(position, frontier);
        Ok(())
    }

    /// Where the leaves begin that have to be in memory.
    fn begin(&self, origin: &str) -> Frontier {
        let marks = self.state.logs.get(origin).map(|memory| &memory.marks);
        let first = marks.and_then(|marks| marks.first()?.frontier());
        first.unwrap_or_default()
    }

    fn lock_leaf(&mut self, leaf: SeenLeaf) {
        // What expired long ago is not remembered, so that it need not be forgotten.
        if leaf.leaf.expiry < self.now.minus(REMEMBERED_FOR) {
            return;
        }
        if let Some(other) = self.locks.look(leaf.clone()) {
            self.unproven.push((other, leaf));
        }
    }

    pub(super) async fn prove_contradictions(&mut self) -> Outcome {
        for (first, second) in std::mem::take(&mut self.unproven) {
            let standings = (self.standing(&first).await, self.standing(&second).await);
            let (Some(a), Some(b)) = standings else {
                self.unproven.push((first, second));
                continue;
            };
            let logs = self.policy.logs();
            let origin = logs[second.log].key.name.clone();
            let tag = first
                .leaf
                .about_lock()
                .map_or(LockTag([0; 32]), |(tag, _)| tag);
            let about = format!("{origin}|{}", BASE64.encode(&tag.0));
            self.prove(
                &about,
                Evidence::Contradiction(Contradiction {
                    first: a,
                    second: b,
                }),
            )?;
        }
        Ok(())
    }

    async fn standing(&self, seen: &SeenLeaf) -> Option<Standing> {
        let reader = self.reader(&self.policy.logs()[seen.log])?;
        let checkpoint = reader.checkpoint().await.ok()?;
        let receipt = reader
            .receipt(seen.index, &seen.leaf, &checkpoint)
            .await
            .ok()?;
        Some(Standing::new(&seen.leaf, &receipt))
    }

    /// Whether the log kept the promises that were given by hand.
    pub(super) async fn promises(
        &mut self,
        reader: &LogReader<T>,
        shown: &SignedCheckpoint,
        checked: Option<&FetchedCheckpoint>,
        promises: &[Signed<Promise>],
    ) -> Outcome {
        let name = Promise::log_name(&shown.origin);
        for signed in promises.iter().filter(|signed| signed.body.log == name) {
            let promise = &signed.body;
            let about = format!("{}|{}", shown.origin, promise.index);
            let text = BASE64.encode(&signed.to_bytes());
            if is_ahead(promise.promised_at, self.now) {
                self.suspect(
                    Trouble::ClockAhead,
                    &shown.origin,
                    "signs times ahead of this clock",
                );
            }
            if promise.index >= shown.size {
                let kept_by = promise.promised_at.plus(PROMISE_KEPT_WITHIN);
                if checked.is_some_and(|checked| checked.checked().quorum_since() > kept_by) {
                    let checkpoint = shown.note().to_owned();
                    let overdue = OverduePromise {
                        promise: text,
                        checkpoint,
                    };
                    self.prove(&about, Evidence::OverduePromise(overdue))?;
                }
                continue;
            }
            match reader.leaf_hash(promise.index, shown).await {
                Ok((hash, _)) if hash == promise.leaf_hash => {}
                Ok((hash, path)) => {
                    let receipt = Receipt {
                        index: promise.index,
                        path,
                        checkpoint: shown.note().to_owned(),
                    };
                    let broken = BrokenPromise {
                        promise: text,
                        leaf_hash: HashText(hash),
                        receipt: receipt.to_text(),
                    };
                    self.prove(&about, Evidence::BrokenPromise(broken))?;
                }
                Err(error) => self.unreadable(&shown.origin, &error),
            }
        }
        Ok(())
    }
}
