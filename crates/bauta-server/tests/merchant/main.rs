//! The merchant's promises, kept towards a real archive and a bank that is told what to do.

mod download;
mod order;
mod safe;
mod sale;
mod world;
