mod admission;
mod history;
mod world;
