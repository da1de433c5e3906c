//! The policies of the gates: Cedar over the facts that `domain::gate` computed.
//!
//! ```text
//!  shipped *.cedar ─┐  same name: the site's stands
//!  the site's own ──┼─▶ load ─▶ parse ─▶ annotations ─▶ schema (strict) ─▶ PolicyBook ── judge(&Facts) ─▶ Judged
//!  parameters.toml ─┘     └───────── every Flaw at once; one flaw refuses the whole set ─────────┘
//! ```
//!
//! | annotation | on | what |
//! |---|---|---|
//! | `@code` | forbid, note | reason code of A19, `{each}` for its subject |
//! | `@verdict` | forbid | `deny`, `hold` or `refer` |
//! | `@unknown` | forbid | what it asks for when a fact that it needs is not known; without it the same as `@verdict` |
//! | `@each` | forbid, note | dotted name of a set: one reason for each member |
//! | `@note("yes")` | permit | permits nothing: a remark beside an allowance |
//! | `@zh`, `@en` | forbid, note | what driver and guard are told; `{principal.plate}` and the like are filled in |
//!
//! - **Default deny**, by [`crate::domain::gate::decide`]: what no permit covers is refused.
//! - **Unknown forbids**: a fact that is not known is missing from the request, so that a policy which needs it fails; Cedar
//!   skips a policy that fails, the book counts a failed forbid as applying ([`judge`]).
//! - **Missing files are no holes**: the shipped set is built in; a file of the site stands for the shipped one of its name,
//!   and one that is missing leaves the shipped one in force.
//! - **Slices**: policies are kept by who they are about and which way he goes, by their scope alone, so that a request meets
//!   only those that can concern it.
//!
//! Pure: texts in, values out. `config` reads the files; `app` and `tools` join the two.

pub mod base;
pub mod flaw;
pub mod judge;
mod load;
mod request;
mod rule;
pub mod settings;
pub mod shipped;
pub mod table;
#[cfg(test)]
mod tests;
pub mod view;
mod word;

pub use flaw::{Flaw, Flaws};
pub use judge::{InForce, PolicyBook};
