//! From files to a plan: what is wrong is said where it stands, what is right becomes what was meant.

mod bad_input;
mod desk;
mod drills;
mod endpoints;
mod mutations;
mod peak;
mod plans;
mod round_trip;
