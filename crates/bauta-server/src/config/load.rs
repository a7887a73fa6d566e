//! Reading a configuration file, and saying exactly what is wrong with it.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{Config, Resolve};

/// The longest configuration file that is read, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;

/// Why a configuration cannot be used. Whoever wrote the file is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or not for this user to read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("{} is larger than a configuration can be (1 MiB)", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else than text.
    #[error("{} is not a text file in UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The text is not TOML, or a key is unknown, missing or has a value of the wrong form.
    #[error("{}:{at}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where in it.
        at: Position,
        /// What is wrong there.
        what: String,
    },
    /// The archive would forget what the bank's locks can still be claimed by.
    #[error(
        "{}: retention_days of [archive] is {retention_days}, but locks can be claimed for {claim_days} days after they \
         expire ({by}), and claims are proved from the log's files: set retention_days to {claim_days} or more, or leave it out",
        path.display()
    )]
    Retention {
        /// The file.
        path: PathBuf,
        /// What is configured.
        retention_days: u32,
        /// The least that can be.
        claim_days: u32,
        /// Where that is set.
        by: &'static str,
    },
    /// Nothing to do.
    #[error("{} configures no role: add a section such as [bank]", path.display())]
    NoRole {
        /// The file.
        path: PathBuf,
    },
}

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

impl Config {
    /// Reads the file; relative paths in it count from its folder.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let mut config = Self::parse(&text).map_err(|(at, what)| ConfigError::Content {
            path: path.to_owned(),
            at,
            what,
        })?;
        if config.roles().is_empty() {
            let path = path.to_owned();
            return Err(ConfigError::NoRole { path });
        }
        config.check_retention(path)?;
        config.resolve(path.parent().unwrap_or_else(|| Path::new("")));
        Ok(config)
    }

    /// An archive cannot see when the locks in it end: its operator says what its banks promise. Of a bank in the same file it
    /// is known.
    fn check_retention(&self, path: &Path) -> Result<(), ConfigError> {
        let Some(archive) = &self.archive else {
            return Ok(());
        };
        let told = (archive.claim_days, "claim_days of [archive]");
        let bank = self.bank.as_ref().map(|bank| {
            let by = "claim_days and dispute_window_max_s of [bank]";
            (bank.settle_days_max(), by)
        });
        let (claim_days, by) = bank.filter(|bank| bank.0 > told.0).unwrap_or(told);
        match archive.retention_days {
            Some(retention_days) if retention_days < claim_days => Err(ConfigError::Retention {
                path: path.to_owned(),
                retention_days,
                claim_days,
                by,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, (Position, String)> {
        toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let before = text.get(..offset).unwrap_or_default();
            (position(before), explanation(error.message(), before))
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let path = path.to_owned();
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge { path });
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::NotText { path })
}

fn position(before: &str) -> Position {
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// The library's words with ours: what TOML and its readers call a field is a key to whoever writes the file.
fn explanation(message: &str, before: &str) -> String {
    let message = message.trim_end().replace('\n', "; ");
    let Some(unknown) = message.strip_prefix("unknown field ") else {
        return message.replace("missing field", "missing key");
    };
    let (key, known) = unknown.split_once(", ").unwrap_or((unknown, ""));
    let place =
        table(before).map_or_else(|| "at the top".to_owned(), |table| format!("in {table}"));
    format!("unknown key {key} {place}; {known}")
}

/// The last table header before a place in the file.
fn table(before: &str) -> Option<&str> {
    let mut lines = before.lines().rev().map(str::trim);
    // A header with a fault in itself is the first line met: the place is inside of it.
    lines.find(|line| line.starts_with('[') && line.ends_with(']'))
}
