//! The gate: who and what may pass, and what became of it.
//!
//! In reading order: [`word`] are the names and classes, [`plate`] what a vehicle is known by, [`identity`] a person
//! or company, [`wiegand`] a card; [`presented`] is what came
//! to a lane; [`register`] holds companies, persons, vehicles, lists and permits; [`facts`] is what is known of it, each fact
//! either known or said to be unknown; [`verdict`] is what was decided, with every reason. [`hardware`] is what the lane's
//! devices say and are told; [`lane`] is the lane itself as a state machine; [`desk`] sees to it that nobody waits for nobody;
//! [`picture`] is what cameras show of it; [`inside`] keeps account of who passed and is inside, [`muster`] of who is safe; [`hazmat`] follows
//! dangerous goods through the park.
//!
//! What life safety and the safety of the arm ask is code here and stands before every policy: a person leaving is never
//! refused or delayed, and nothing closes on what may be under an arm.

#[cfg(test)]
mod day_tests;
pub mod decide;
pub mod desk;
pub mod facts;
pub mod gates;
pub mod hardware;
pub mod hazmat;
pub mod identity;
pub mod inside;
pub mod lane;
pub mod muster;
pub mod parts;
pub mod picture;
pub mod plate;
pub mod presented;
pub mod register;
pub mod verdict;
pub mod wiegand;
pub mod word;
