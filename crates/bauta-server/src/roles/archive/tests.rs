mod admission;
mod history;
mod witnessed;
mod world;
