//! Drills whose truth is known: the real program breaks a target that writes down what it does, while an observer that
//! shares nothing with the program asks the target every few milliseconds. What the program says must agree with both.

#[path = "../run/scratch.rs"]
#[expect(dead_code, reason = "made for other tests too")]
mod scratch;

mod agreement;
mod broken_off;
mod credentials;
mod deeds;
mod healing;
mod itself;
mod known;
mod losses;
mod machine;
mod network;
mod nothing;
mod observer;
mod outages;
mod refusals;
mod sandbox;
mod stage;
mod told;
