//! `bauta serve`: runs the roles of a configuration file.

use std::{io::IsTerminal, sync::Arc};

use bauta_io::{HttpOptions, HttpTransport, SystemClock};
use bauta_server::{
    config::{LogConfig, LogFormat},
    serve::{self, ServeError},
    work::World,
};
use clap::Args;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    arguments::ConfigFile,
    failure::{Failure, Outcome},
    report::Report,
    runtime,
};

/// Which configuration.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// Trust this certificate authority too (a PEM file), when calling other roles
    #[arg(long, env = "BAUTA_CA", value_name = "FILE")]
    pub ca: Option<std::path::PathBuf>,
}

/// Serves until it is told to stop.
pub fn run(options: ServeOptions, _report: &Report) -> Outcome {
    let config = options.config.load()?;
    log_to_stderr(config.log);
    let extra_root = match &options.ca {
        Some(file) => Some(
            std::fs::read(file)
                .map_err(|error| Failure::local(format!("{}: {error}", file.display())))?,
        ),
        None => None,
    };
    let transport = HttpTransport::new(HttpOptions {
        extra_root,
        ..HttpOptions::default()
    });
    let transport = transport.map_err(|error| Failure::from_error(&error))?;
    let world = World {
        clock: Arc::new(SystemClock),
        transport: Arc::new(transport),
    };
    runtime::block_on(async { Ok(serve::run(&config, &world).await?) })
}

/// Sends the log where the configuration says. It holds nothing about a user at any level.
pub fn log_to_stderr(config: LogConfig) {
    let level = tracing_subscriber::filter::LevelFilter::from(config.level);
    // Only this program's own lines: what a library writes about a request may say who asked.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_target("bauta", level)
        .with_target("bauta_server", level)
        .with_target("bauta_wallet", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let subscriber = tracing_subscriber::registry().with(filter);
    // A second subscriber in one process changes nothing.
    let _first = match config.format {
        LogFormat::Text => subscriber.with(lines).try_init(),
        LogFormat::Json => subscriber.with(lines.json()).try_init(),
    };
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self::from_error(&error)
    }
}
