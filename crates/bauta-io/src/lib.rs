//! The outside world behind the protocol's seams: the system's clock, its randomness, its threads, files and HTTP.

mod clock;
mod folder;
mod http;
mod random;
pub mod threads;

pub use clock::SystemClock;
pub use folder::{FOLDER_URL, FileBody, FolderTransport};
pub use http::{HttpBody, HttpOptions, HttpTransport, OptionsError};
pub use random::SystemRng;
