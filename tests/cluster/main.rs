//! Coordinator and agents, over real connections.

mod coordinator;
mod door;
mod places;
mod refusals;
mod silence;
mod simulated;
mod world;
