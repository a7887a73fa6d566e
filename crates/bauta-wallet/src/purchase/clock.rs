//! Whether this machine's clock can be relied on: the log's witnesses say what time it is.

use std::time::Duration;

use bauta_proto::{
    log::reader::{LogReader, ReadError},
    submission::Promise,
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
    transport::{CallError, Transport, TransportError},
};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::{
    error::{Result, WalletError},
    observer::{Event, Send},
    purchase::LogMark,
    records::Bank,
    wallet::Wallet,
};

/// How old a log's latest checkpoint may be before money is locked under it: then either the log stands still or this
/// machine's clock is ahead, and both are reasons not to lock.
const CHECKPOINT_AGE_MAX: Seconds = Seconds(600);

/// How long a log may take to show where it stands, while others have shown it.
const LOG_PATIENCE: Duration = Duration::from_secs(10);

impl<T: Transport> Wallet<T> {
    /// Where the logs stand that take locks of this expiry, as far as they answer and their witnesses' clocks and this
    /// machine's agree: enough of them, or why not.
    pub(crate) async fn checked_clock(
        &mut self,
        bank: &Bank,
        expiry: Timestamp,
    ) -> Result<Vec<LogMark>> {
        let policy = bank.parsed_policy()?;
        policy.check_use(expiry)?;
        let readers = self.log_readers(bank, expiry)?;
        self.observe(Event::BeforeSend(Send::Log));
        let now = self.now();
        let looks = join_all(readers.iter().map(|reader| look(reader, now))).await;
        self.observe(Event::AfterSend(Send::Log));
        let (mut marks, mut failure) = (Vec::new(), None);
        for look in looks {
            match look {
                Ok(mark) => marks.push(mark),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(failure) if marks.len() < policy.log_threshold() => Err(failure),
            _ => Ok(marks),
        }
    }
}

/// Where one log stands.
async fn look<T: Transport>(reader: &LogReader<T>, now: Timestamp) -> Result<LogMark> {
    let look = async {
        let checkpoint = reader.checkpoint().await?;
        let edge = reader.edge(&checkpoint).await?;
        Ok((checkpoint, edge))
    };
    let silence = || ReadError::Call(CallError::Transport(TransportError::Timeout));
    let looked = timeout(LOG_PATIENCE, look).await;
    let (checkpoint, edge) = looked
        .unwrap_or_else(|_| Err(silence()))
        .map_err(WalletError::Log)?;
    check_clock(now, checkpoint.checked().quorum_since())?;
    Ok(LogMark {
        log: Promise::log_name(reader.origin()),
        size: checkpoint.size(),
        edge: edge.hashes().to_vec(),
    })
}

/// Refuses when this machine's clock and the log's are apart by more than honest clocks are.
fn check_clock(now: Timestamp, log: Timestamp) -> Result<()> {
    let behind = log.since(now);
    if behind > CLOCK_TOLERANCE {
        return Err(WalletError::ClockWrong {
            apart: behind,
            direction: "behind",
        });
    }
    let ahead = now.since(log);
    if ahead > CHECKPOINT_AGE_MAX {
        return Err(WalletError::ClockWrong {
            apart: ahead,
            direction: "ahead of",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_by_hours_is_told_in_its_direction() {
        let log = Timestamp(1_000_000);
        assert!(check_clock(log, log).is_ok());
        assert!(check_clock(log.plus(CHECKPOINT_AGE_MAX), log).is_ok());
        assert!(check_clock(log.minus(CLOCK_TOLERANCE), log).is_ok());
        let direction = |now| match check_clock(now, log) {
            Err(WalletError::ClockWrong { direction, .. }) => direction,
            _ => "right",
        };
        assert_eq!(direction(log.plus(Seconds::hours(2))), "ahead of");
        assert_eq!(direction(log.minus(Seconds::hours(2))), "behind");
        assert_eq!(direction(log.minus(Seconds(31))), "behind");
    }
}
