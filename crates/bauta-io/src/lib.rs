//! The outside world behind the protocol's seams: the system's clock, its randomness and HTTP.
