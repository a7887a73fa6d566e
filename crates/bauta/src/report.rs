//! What is shown: results on standard output, everything else on standard error; one JSON object with `--json`.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use bauta_proto::time::{Clock, Seconds, Timestamp};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{
    arguments::OutputOptions,
    failure::{Failure, Outcome},
};

/// Headings.
pub const STRONG: Style = Style::new().bold();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What a person should look at.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// What went wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What matters less.
pub const FAINT: Style = Style::new().dimmed();

/// Characters of a title or description that a table shows.
const BRIEF_CHARS: usize = 48;

/// How this run talks.
#[derive(Clone, Debug)]
pub struct Report {
    json: bool,
    quiet: bool,
    input: bool,
}

impl Report {
    /// Talks as the options say.
    pub fn new(options: &OutputOptions) -> Self {
        options.color.write_global();
        let input = !options.no_input && std::io::stdin().is_terminal();
        Self {
            json: options.json,
            quiet: options.quiet,
            input,
        }
    }

    /// Whether the result is to be JSON.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person can be asked.
    pub const fn may_ask(&self) -> bool {
        self.input
    }

    /// The result: `value` as one line of JSON, or what `text` makes of it for people.
    pub fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Outcome {
        let shown = if self.json {
            serde_json::to_string(value).map_err(|error| Failure::from_error(&error))?
        } else {
            text(value)
        };
        if shown.is_empty() {
            return Ok(());
        }
        print_line(&shown)
    }

    /// A line of progress for people.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet && !self.json {
            anstream::eprintln!("{}", text.as_ref());
        }
    }

    /// A step that went well.
    pub fn done(&self, text: impl AsRef<str>) {
        self.say(format!("{GOOD}✓{GOOD:#} {}", text.as_ref()));
    }

    /// Something that a person should look at, in every mode but quiet.
    pub fn warn(&self, text: impl AsRef<str>) {
        if !self.quiet {
            anstream::eprintln!("{WARNING}!{WARNING:#} {}", text.as_ref());
        }
    }

    /// A progress bar over bytes; invisible unless a terminal watches.
    pub fn bytes_bar(&self, label: &str, bytes: u64) -> ProgressBar {
        if self.quiet || self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        // The bar takes what the rest leaves: one line on a terminal of 80 columns.
        let template = "  {msg:<20!} {wide_bar} {bytes:>10} of {total_bytes} {binary_bytes_per_sec:>12} {eta:>3}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(bytes)
            .with_style(style.progress_chars("━╸ "))
            .with_message(label.to_owned())
    }

    /// A progress bar over a number of things; invisible unless a terminal watches.
    pub fn count_bar(&self, label: &str, count: u64) -> ProgressBar {
        if self.quiet || self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let template = "  {msg:<20!} {wide_bar} {human_pos:>13} of {human_len} {eta:>3}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(count)
            .with_style(style.progress_chars("━╸ "))
            .with_message(label.to_owned())
    }

    /// Shows why the command failed and returns its exit code.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        if self.json && failure.is_told {
            return ExitCode::from(failure.exit as u8);
        }
        if self.json {
            let remedy = failure.remedy.as_deref();
            let value =
                serde_json::json!({ "ok": false, "error": failure.message, "remedy": remedy });
            let _closed = print_line(&value.to_string());
        } else {
            anstream::eprintln!("{BAD}error:{BAD:#} {}", failure.message);
            if let Some(remedy) = &failure.remedy {
                anstream::eprintln!("{FAINT}       {remedy}{FAINT:#}");
            }
        }
        ExitCode::from(failure.exit as u8)
    }
}

/// Shows what is wrong with the command line, or the help that was asked for, and returns the exit code.
pub fn wrong_usage(error: &clap::Error) -> ExitCode {
    let is_json = std::env::args_os().any(|argument| argument == "--json");
    if is_json && error.use_stderr() {
        let text = error.to_string();
        let first = text.lines().take_while(|line| !line.is_empty());
        let message = first.map(str::trim).collect::<Vec<_>>().join(" ");
        let message = message.trim_start_matches("error: ");
        let value =
            serde_json::json!({ "ok": false, "error": message, "remedy": "See: bauta --help" });
        let _closed = print_line(&value.to_string());
    } else {
        // Whoever closed the output has seen enough.
        let _closed = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Prints a line on standard output.
pub fn print_line(text: &str) -> Outcome {
    let mut out = anstream::stdout().lock();
    let text = text.trim_end_matches('\n');
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // A reader that has seen enough (`| head`) is not a failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// A table that fits the terminal.
pub fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    table
}

/// A text of somebody's choice as it stands in a table: its beginning, if it is long.
pub fn brief(text: &str) -> String {
    match text.char_indices().nth(BRIEF_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `20 MiB`, `1.4 GiB`: a length as people read it.
pub fn length(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// `3 min ago`.
pub fn ago(time_s: u64) -> String {
    match now().since(Timestamp(time_s)) {
        Seconds(0) => "just now".to_owned(),
        span => format!("{span} ago"),
    }
}

/// `in 3 min`, or `now`.
pub fn until(time_s: u64) -> String {
    match Timestamp(time_s).since(now()) {
        Seconds(0) => "now".to_owned(),
        span => format!("in {span}"),
    }
}

fn now() -> Timestamp {
    bauta_io::SystemClock.now()
}
