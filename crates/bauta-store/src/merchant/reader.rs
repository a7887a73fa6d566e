//! Reading beside the writer.

use std::path::Path;

use bauta_proto::{
    ids::{CiphertextRoot, GoodId, LockTag, PolicyId, Txid},
    time::Timestamp,
};

use super::{
    follow::{self, Cancel, LogPosition},
    goods::{self, GoodVersion},
    order::{Order, OrderState},
    row,
};
use crate::sqlite::{Database, StoreError};

/// A reader of a merchant's store.
#[derive(Debug)]
pub struct MerchantReader {
    database: Database,
}

impl MerchantReader {
    /// Opens the file, which exists.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open_reader(path)?;
        Ok(Self { database })
    }

    /// The number that goes up with every change of goods.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn revision(&self) -> Result<u64, StoreError> {
        goods::revision(self.database.connection())
    }

    /// The newest version of every good, in the order in which they were added.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn goods(&self) -> Result<Vec<GoodVersion>, StoreError> {
        goods::all_current(self.database.connection())
    }

    /// One version of a good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn version(&self, good: GoodId, version: u32) -> Result<Option<GoodVersion>, StoreError> {
        goods::version(self.database.connection(), good, version)
    }

    /// Roots and lengths of the ciphertexts of all versions that ever were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ciphertexts(&self) -> Result<Vec<(CiphertextRoot, u64)>, StoreError> {
        goods::ciphertexts(self.database.connection())
    }

    /// The order with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn order(&self, order_id: &[u8; 32]) -> Result<Option<Order>, StoreError> {
        row::by_order_id(self.database.connection(), order_id)
    }

    /// The order with this offer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sale(&self, txid: Txid) -> Result<Option<Order>, StoreError> {
        row::by_txid(self.database.connection(), txid)
    }

    /// Orders in `state` whose owner should look at them by now, those that wait longest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn due(
        &self,
        state: OrderState,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<Order>, StoreError> {
        row::due(self.database.connection(), state, now, at_most)
    }

    /// How far a log has been read for cancels; none before that was begun.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn log_position(&self, log: &[u8; 32]) -> Result<Option<LogPosition>, StoreError> {
        follow::position(self.database.connection(), log)
    }

    /// All cancels that name this lock, in the order of each log. Whether they are the lock's is the caller's to check.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn cancels(&self, lock_tag: LockTag) -> Result<Vec<Cancel>, StoreError> {
        follow::cancels(self.database.connection(), lock_tag)
    }

    /// Whether logs have still to say something about sales that name another log policy.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waits_for_other_logs(&self, policy: PolicyId) -> Result<bool, StoreError> {
        let waiting = self.orders(&OrderState::LOGS_DECIDE, usize::MAX)?;
        Ok(waiting
            .iter()
            .any(|order| order.offer.body.log_policy != policy))
    }

    /// Orders in any of `states` (in all states if it is empty), the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn orders(&self, states: &[OrderState], at_most: usize) -> Result<Vec<Order>, StoreError> {
        row::list(self.database.connection(), states, at_most)
    }
}
