//! Agents as pods, against a stand-in of a cluster's API server that records what it is asked, refuses what a
//! real one refuses, and plays a Job's life.

#![cfg(all(feature = "kubernetes", feature = "sandbox"))]

mod admission;
mod asked;
mod cluster;
mod controller;
mod life;
mod manifest;
mod pods;
mod runs;
mod server;
