//! Where a role finds its log policy.

use std::io;

use bauta_proto::log::policy::{Policy, PolicyTextError, PolicyUseError};
use serde::Deserialize;

/// Where a policy's text is: in a file, or here.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct PolicySource(pub String);

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicySourceError {
    /// The file cannot be read.
    #[error("the file of the log policy cannot be read")]
    File(#[from] io::Error),
    /// The text is not a policy.
    #[error("the log policy is not understood")]
    Text(#[from] PolicyTextError),
    /// The policy's witnesses can decide nothing.
    #[error("no sale would be decided by the log policy")]
    Use(#[from] PolicyUseError),
}

impl PolicySource {
    /// Reads and checks the policy.
    ///
    /// # Errors
    /// [`PolicySourceError`].
    pub fn load(&self) -> Result<Policy, PolicySourceError> {
        let policy: Policy = if self.0.trim_end().contains('\n') {
            self.0.parse()?
        } else {
            std::fs::read_to_string(self.0.trim())?.parse()?
        };
        policy.check_witnesses()?;
        Ok(policy)
    }
}
