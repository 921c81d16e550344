//! Stores written and read by the published batpak crates, to compare batpak with.

pub mod cases;
pub mod defects;
pub mod directory;
pub mod event;
pub mod handmade;
pub mod ours;
pub mod plan;
#[macro_use]
mod since;
mod v0_1;
mod v0_10;
mod v0_7;
mod v0_8;
mod v0_9;
pub mod version;
