//! The outside world behind the protocol's seams: the system's clock, its randomness, its threads and HTTP.

mod clock;
mod http;
mod random;
pub mod threads;

pub use clock::SystemClock;
pub use http::{HttpBody, HttpOptions, HttpTransport, OptionsError};
pub use random::SystemRng;
