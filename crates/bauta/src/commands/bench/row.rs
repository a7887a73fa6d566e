//! What was measured, as rows of a table or lines of JSON.

use std::time::Duration;

use serde::Serialize;

use super::load::Measured;
use crate::{
    failure::Outcome,
    report::{self, FAINT, Report},
};

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was done.
    pub operation: String,
    /// How often in a second.
    pub per_second: f64,
    /// Half of the callers waited at most so long.
    pub p50_ms: f64,
    /// 99 of 100 callers waited at most so long.
    pub p99_ms: f64,
    /// Processor time of the measured processes for one operation.
    pub cpu_us: f64,
    /// The bare cryptography of one operation on one core.
    pub floor_us: f64,
    /// `cpu_us / floor_us`.
    pub ratio: f64,
    /// What it should reach.
    pub wanted: String,
    /// Each process by itself.
    pub processes: Vec<ProcessUse>,
}

/// What one process took for one operation.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessUse {
    /// The role, or `load` for the process that asks.
    pub name: &'static str,
    /// Processor time for one operation.
    pub cpu_us: f64,
    /// The most memory that the process ever held.
    pub peak_mib: f64,
}

impl Row {
    /// A row over `measured`, in which the processes named in `counted` were under test.
    pub fn new(
        operation: impl Into<String>,
        measured: &Measured,
        floor_us: f64,
        counted: &[&str],
    ) -> Self {
        let counts = |used: &&ProcessUse| counted.contains(&used.name);
        let cpu_us = measured
            .processes
            .iter()
            .filter(counts)
            .map(|used| used.cpu_us)
            .sum::<f64>();
        Self {
            operation: operation.into(),
            per_second: round(measured.per_second()),
            p50_ms: round(measured.quantile_ms(0.5)),
            p99_ms: round(measured.quantile_ms(0.99)),
            cpu_us: round(cpu_us),
            floor_us: round(floor_us),
            ratio: round(cpu_us / floor_us),
            wanted: String::new(),
            processes: measured.processes.clone(),
        }
    }

    /// A row over bare cryptography: it is its own floor.
    pub fn alone(operation: impl Into<String>, per_second: f64, cpu_us: f64) -> Self {
        Self {
            operation: operation.into(),
            per_second: round(per_second),
            p50_ms: round(1_000.0 / per_second),
            p99_ms: round(1_000.0 / per_second),
            cpu_us: round(cpu_us),
            floor_us: round(cpu_us),
            ratio: 1.0,
            wanted: String::new(),
            processes: Vec::new(),
        }
    }

    /// A row over something done once, told in units such as megabytes; all of `processes` count.
    pub fn once(
        operation: impl Into<String>,
        units: f64,
        elapsed: Duration,
        floor_us: f64,
        processes: Vec<ProcessUse>,
    ) -> Self {
        let cpu_us = processes.iter().map(|used| used.cpu_us).sum::<f64>();
        let elapsed_ms = elapsed.as_secs_f64() * 1_000.0;
        Self {
            operation: operation.into(),
            per_second: round(units / elapsed.as_secs_f64()),
            p50_ms: round(elapsed_ms),
            p99_ms: round(elapsed_ms),
            cpu_us: round(cpu_us),
            floor_us: round(floor_us),
            ratio: round(cpu_us / floor_us),
            wanted: String::new(),
            processes,
        }
    }

    /// With what it should reach.
    #[must_use]
    pub fn wanted(mut self, wanted: &str) -> Self {
        wanted.clone_into(&mut self.wanted);
        self
    }
}

/// The rows of a run: JSON lines appear one by one, the table at the end.
pub struct Rows<'a> {
    report: &'a Report,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl<'a> Rows<'a> {
    /// No rows yet.
    pub fn new(report: &'a Report) -> Self {
        let (rows, notes) = (Vec::new(), Vec::new());
        Self {
            report,
            rows,
            notes,
        }
    }

    /// Says what is being done now.
    pub fn say(&self, text: &str) {
        self.report.say(format!("{FAINT}{text}{FAINT:#}"));
    }

    /// Adds a row.
    pub fn add(&mut self, row: Row) -> Outcome {
        if self.report.is_json() {
            return self.report.result(&row, |_| String::new());
        }
        self.rows.push(row);
        Ok(())
    }

    /// Adds a sentence below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Shows the table.
    pub fn finish(self) -> Outcome {
        if self.report.is_json() {
            return Ok(());
        }
        self.report.result(&self.rows, |rows| {
            let notes = self.notes.join("\n");
            format!("{}\n{}\n{notes}", measurements(rows), processes(rows))
        })
    }
}

fn measurements(rows: &[Row]) -> String {
    let headings = [
        "operation",
        "per second",
        "p50 ms",
        "p99 ms",
        "cpu us",
        "floor us",
        "ratio",
        "wanted",
    ];
    let cells = rows.iter().map(|row| {
        [
            row.operation.clone(),
            number(row.per_second),
            number(row.p50_ms),
            number(row.p99_ms),
            number(row.cpu_us),
            number(row.floor_us),
            format!("{:.2}", row.ratio),
            row.wanted.clone(),
        ]
    });
    report::table(headings, cells).to_string()
}

fn processes(rows: &[Row]) -> String {
    let cells = rows.iter().flat_map(|row| {
        row.processes.iter().map(|used| {
            [
                row.operation.clone(),
                used.name.to_owned(),
                number(used.cpu_us),
                number(used.peak_mib),
            ]
        })
    });
    report::table(["operation", "process", "cpu us", "peak MiB"], cells).to_string()
}

/// Three digits that matter; whole numbers from a hundred on.
fn number(value: f64) -> String {
    match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Hundredths are more than the measurement is good for.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
