//! The outside world behind the protocol's seams: the system's clock, its randomness and HTTP.

mod clock;
mod http;
mod random;

pub use clock::SystemClock;
pub use http::{HttpBody, HttpOptions, HttpTransport, OptionsError};
pub use random::SystemRng;
