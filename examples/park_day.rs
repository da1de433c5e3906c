//! A day at the gates of a park, in virtual time: 1,200 passages, 180 trucks with dangerous goods, an outage, a drill, a gas
//! alarm. Prints the account of the day, and whether it closes to the last vehicle.
//!
//! ```text
//! cargo run --release --example park_day
//! ```

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "it tells a made-up day")]

#[expect(dead_code, reason = "the tests hold a day against what is left of it")]
#[path = "../tests/gate/day.rs"]
mod day;
#[expect(dead_code, reason = "the stories of the tests need more of it")]
#[path = "../tests/gate/papers.rs"]
mod papers;
#[expect(dead_code, reason = "the stories of the tests need more of it")]
#[path = "../tests/gate/park.rs"]
mod park;

use std::process::ExitCode;

fn main() -> ExitCode {
    let account = day::live(day::shipped()).close();
    println!("{account}");
    if account.closes() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
