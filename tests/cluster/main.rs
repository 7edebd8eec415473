//! Coordinator and agents, over real connections.

mod door;
mod refusals;
