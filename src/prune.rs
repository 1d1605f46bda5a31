//! Disk space back, without making the next build cold.
//!
//! ```text
//! places ─▶ look ─▶ plan ─▶ execute ─▶ journal
//!  which     usage   goes,   batches    what went,
//!  caches    guard   stays,  of named   when, why
//!            costs   why     records
//! ```
//!
//! Deciding is synchronous code over values: [`usage`] is what takes space, [`needed`] and [`guard`] what must stay of it,
//! [`cost`] how long it takes to build it again, [`policy`] when it is time, and [`plan`] makes of these what goes and what
//! stays, each with its [`reason`]. Doing is thin: [`places`] finds the caches, [`execute`] deletes, [`automatic`] does all
//! of it when it is time. [`tags`] is the registry's side, on its own.

pub mod automatic;
pub mod checked;
mod choose;
pub mod cost;
pub mod execute;
mod follow;
mod graph;
pub mod guard;
mod history;
pub mod journal;
pub mod keep;
pub mod lock;
pub mod look;
pub mod needed;
mod orphans;
pub mod pins;
pub mod places;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod space;
pub mod stored;
pub mod tags;
#[cfg(test)]
mod tests;
pub mod usage;
