//! `bauta serve`: runs the roles of a configuration file.

use clap::Args;

use crate::arguments::ConfigFile;

/// Which configuration.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigFile,
}
