//! The embedded platform as its users meet it: a process, its ports, its protocols.
#![cfg(feature = "sandbox")]

mod api;
mod misbehaviour;
mod process;
mod sockets;
mod stores;
