mod admission;
mod history;
mod shards;
mod witnessed;
mod world;
