//! The merchant's store: goods with their versions, and orders with all that became of them.
//!
//! Of a customer it holds the pseudonym inside the offer, the lock and the acceptance, and nothing else.

mod follow;
mod goods;
mod order;
mod reader;
mod row;
mod sale_leaf;
mod transition;

#[cfg(test)]
mod tests;

pub use follow::{Cancel, LogPosition, LogStep};
pub use goods::{GoodVersion, SaleState, ShelfRefusal};
pub use order::{Actor, Order, OrderState, Reason, Standing};
pub use reader::MerchantReader;
pub use sale_leaf::SaleLeaf;
pub use transition::{MerchantCommand, MerchantRefusal, NewOrder, Step};

use std::path::Path;

use bauta_proto::{ids::GoodId, merchant::GoodForSale, time::Timestamp};
use rusqlite::Connection;

use crate::sqlite::{Database, Schema, StoreError, attempt};

const SCHEMA: Schema = Schema {
    application_id: 0x6261_754d,
    migrations: &[
        include_str!("schema.sql"),
        include_str!("logs.sql"),
        include_str!("numbers.sql"),
    ],
};

/// The one who writes. An operator's command may open the same file beside a running role, to change goods.
#[derive(Debug)]
pub struct MerchantStore {
    database: Database,
    /// Unpaid offers on record at most.
    offers_max: u64,
    /// Unpaid offers on record; none after a failure, when they have to be counted again.
    offers: Option<u64>,
}

impl MerchantStore {
    /// Opens or makes the file, which holds the keys of all goods.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            database: Database::open(path, &SCHEMA)?,
            offers_max: u64::MAX,
            offers: None,
        })
    }

    /// Refuses new orders while this many offers wait to be paid.
    #[must_use]
    pub const fn with_offers_max(mut self, offers_max: u64) -> Self {
        self.offers_max = offers_max;
        self
    }

    /// Takes a batch of commands through one transaction, which is on disk when this returns. One result for each, in
    /// order.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch was done.
    pub fn apply(
        &mut self,
        commands: &[MerchantCommand],
    ) -> Result<Vec<Result<Order, MerchantRefusal>>, StoreError> {
        let mut offers = match self.offers.take() {
            Some(offers) => offers,
            None => count_offers(self.database.connection())?,
        };
        let offers_max = self.offers_max;
        let results = self.database.transaction(|transaction| {
            let mut apply_one = |command: &MerchantCommand| {
                if matches!(command, MerchantCommand::Offer(_)) && offers >= offers_max {
                    return repeated_offer(transaction, command);
                }
                let result = attempt(transaction, || transition::apply(transaction, command))?;
                let changed = transaction.changes();
                offers = match command {
                    MerchantCommand::Offer(_) => offers.saturating_add(changed),
                    MerchantCommand::Accept { .. } => offers.saturating_sub(changed),
                    MerchantCommand::Step(..) => offers,
                };
                Ok(result)
            };
            commands.iter().map(&mut apply_one).collect()
        })?;
        self.offers = Some(offers);
        Ok(results)
    }

    /// Forgets at most `at_most` unpaid offers whose time to be kept has passed; how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prune(&mut self, now: Timestamp, at_most: usize) -> Result<usize, StoreError> {
        self.offers = None;
        self.database.transaction(|transaction| {
            let mut statement = transaction.prepare_cached(
                "DELETE FROM sale WHERE number IN \
                 (SELECT number FROM sale WHERE state = 1 AND due_at < ?1 LIMIT ?2)",
            )?;
            Ok(statement.execute([row::integer(now.0), row::integer(at_most as u64)])?)
        })
    }

    /// Takes a step along a log; nothing happens if another has gone there before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn advance_log(&mut self, step: &LogStep) -> Result<(), StoreError> {
        self.database
            .transaction(|transaction| follow::advance(transaction, step))
    }

    /// Forgets at most `at_most` cancels of locks that expired before `moment`; how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prune_cancels(
        &mut self,
        moment: Timestamp,
        at_most: usize,
    ) -> Result<usize, StoreError> {
        self.database
            .transaction(|transaction| follow::prune(transaction, moment, at_most))
    }

    /// Puts the next version of `good` on the shelf, the first one of a good that is not there yet. The version before it
    /// leaves the shelf. Returns the version's number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_version(
        &mut self,
        good: GoodId,
        sale: &GoodForSale,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        self.database
            .transaction(|transaction| goods::add(transaction, good, sale, now))
    }

    /// Takes a good from the shelf.
    ///
    /// # Errors
    /// [`StoreError`], or why it cannot be taken: then nothing was changed.
    pub fn withdraw(&mut self, good: GoodId) -> Result<Result<(), ShelfRefusal>, StoreError> {
        self.database
            .transaction(|transaction| goods::withdraw(transaction, good))
    }

    /// The newest version of a good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn current(&self, good: GoodId) -> Result<Option<GoodVersion>, StoreError> {
        goods::current(self.database.connection(), good)
    }
}

/// What remains possible while there are too many offers: the same answer to the same order.
fn repeated_offer(
    connection: &Connection,
    command: &MerchantCommand,
) -> Result<Result<Order, MerchantRefusal>, StoreError> {
    let order = match command {
        MerchantCommand::Offer(new) => row::by_order_id(connection, &order_id(new))?,
        MerchantCommand::Accept { .. } | MerchantCommand::Step(..) => None,
    };
    Ok(order.ok_or(MerchantRefusal::TooManyOffers))
}

fn order_id(new: &NewOrder) -> [u8; 32] {
    bauta_proto::codec::Message::id(&new.request)
}

fn count_offers(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) AS offers FROM sale WHERE state = 1 AND ended_at IS NULL";
    connection.query_row(sql, [], |row| Ok(row::unsigned(row, "offers")))?
}
