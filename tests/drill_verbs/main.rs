//! `slatest drill` as its users meet it, and the detection of faults by a real Alertmanager.

mod alerts;
mod commands;
mod desk;
mod heal;
mod import;
mod journal;
mod list;
mod runs;
mod staging;
