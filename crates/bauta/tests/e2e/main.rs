//! What the program promises, with every role in a process of its own: real ports, real files, real kills.

mod http;
mod process;
mod proxy;
mod purse;
mod town;
mod weather;

mod absent;
mod bad_input;
mod chaos;
mod clocks;
mod crashes;
mod demo;
mod disk;
mod logs;
mod monitor;
mod passive;
mod privacy;
mod readme;
mod replay;
mod safe;
mod sale;
