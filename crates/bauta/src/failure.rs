//! Failures as a person and as a script see them: what went wrong, who is at fault, what to do; and the exit code.

use std::{error::Error, fmt};

use bauta_proto::{
    problem::Fault,
    transport::{CallError, TransportError},
};
use bauta_wallet::{WalletError, error::AtFault};

/// The process's exit codes; 2 is clap's, for wrong usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did not work, for a reason on this machine.
    Local = 1,
    /// The other side refused.
    Refused = 3,
    /// It may work later with the same command: nothing was lost.
    TryAgain = 4,
    /// Somebody broke the protocol; what proves it was kept.
    Cheated = 5,
    /// What is watched does not work as it should.
    Faulty = 6,
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Whether the result that was printed says it all already, for programs.
    pub is_told: bool,
}

/// The result of every command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure on this machine.
    pub fn local(message: impl fmt::Display) -> Self {
        Self::new(Exit::Local, message)
    }

    /// A failure with this exit code.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            remedy: None,
            is_told: false,
        }
    }

    /// A failure on this machine, in the words of an error and all its sources.
    pub fn from_error(error: &dyn Error) -> Self {
        Self::local(chain(error))
    }

    /// The result that was printed says so too: programs need no second object.
    #[must_use]
    pub fn told(mut self) -> Self {
        self.is_told = true;
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// An error and its sources in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = if error.is_temporary() {
            Exit::TryAgain
        } else {
            Exit::Refused
        };
        let remedy = match &error {
            CallError::Refused(problem) => Some(match problem.kind.fault() {
                Fault::Caller | Fault::Nobody => problem.kind.remedy().to_owned(),
                Fault::Role | Fault::Elsewhere => {
                    format!("Not your fault. {}", problem.kind.remedy())
                }
            }),
            CallError::Transport(TransportError::Connect) => {
                Some("Check the address and that the service runs.".to_owned())
            }
            CallError::Transport(TransportError::Certificate) => Some(
                "Check the address. Name a private certificate authority with --ca FILE."
                    .to_owned(),
            ),
            CallError::Transport(_) => Some("Repeat the command; it is safe to repeat.".to_owned()),
            CallError::Answer(_) | CallError::Status(_) => {
                Some("The service does not speak this protocol; tell its operator.".to_owned())
            }
        };
        Self {
            exit,
            message: error.to_string(),
            remedy,
            is_told: false,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::from_error(&error)
    }
}

impl From<bauta_store::StoreError> for Failure {
    fn from(error: bauta_store::StoreError) -> Self {
        let failure = Self::from_error(&error);
        match error {
            bauta_store::StoreError::Full => {
                failure.remedy("Make room on the disk and repeat the command.")
            }
            bauta_store::StoreError::Busy => {
                failure.remedy("Wait for the other command to end and repeat this one.")
            }
            _ => failure,
        }
    }
}

impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        if let WalletError::Bank(call) | WalletError::Shop(call) = &error {
            let exit = if call.is_temporary() {
                Exit::TryAgain
            } else {
                Exit::Refused
            };
            return Self {
                exit,
                message: error.to_string(),
                remedy: Some(error.remedy().to_owned()),
                is_told: false,
            };
        }
        let exit = match error.at_fault() {
            _ if error.is_temporary() => Exit::TryAgain,
            AtFault::You => Exit::Local,
            AtFault::Network => Exit::TryAgain,
            AtFault::Nobody => Exit::Refused,
            AtFault::Bank | AtFault::Merchant | AtFault::Log => Exit::Cheated,
        };
        let remedy = error.remedy().to_owned();
        Self {
            exit,
            message: chain_of_wallet(&error),
            remedy: Some(remedy),
            is_told: false,
        }
    }
}

/// The variants that carry another party's error already show it; what the system says of files adds something.
fn chain_of_wallet(error: &WalletError) -> String {
    match error {
        WalletError::File(_) | WalletError::Store(_) | WalletError::Key(_) => chain(error),
        _ => error.to_string(),
    }
}
