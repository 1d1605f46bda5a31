//! Snapshots of real repositories, made with the `git` program.

mod arrival;
mod branches;
mod checkout;
mod content;
mod fixture;
mod lineage;
mod merge;
mod places;
mod properties;
mod reach;
mod repository;
mod selection;
mod sources;

pub(super) use fixture::Fixture;
