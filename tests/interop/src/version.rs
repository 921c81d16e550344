//! The published versions.

use crate::event::{Chain, Reading, Receipt};
use crate::plan::{End, Settings, Step};
use crate::{v0_1, v0_7, v0_8, v0_9, v0_10};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// A version of the batpak crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    V0_1,
    V0_7,
    V0_8,
    V0_9,
    V0_10,
}

impl Version {
    /// From the oldest to the newest.
    pub const ALL: [Self; 5] = [Self::V0_1, Self::V0_7, Self::V0_8, Self::V0_9, Self::V0_10];

    /// Such as `0.7.0`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1.0",
            Self::V0_7 => "0.7.0",
            Self::V0_8 => "0.8.0",
            Self::V0_9 => "0.9.0",
            Self::V0_10 => "0.10.0",
        }
    }

    /// Does one process's work on a store with this version of the crate.
    pub fn session(
        self,
        dir: &Path,
        settings: &Settings,
        steps: &[Step],
        end: End,
        report: &mut dyn FnMut(Receipt),
    ) -> Result<(), String> {
        match self {
            Self::V0_1 => text(v0_1::session(dir, settings, steps, end, report)),
            Self::V0_7 => text(v0_7::session(dir, settings, steps, end, report)),
            Self::V0_8 => text(v0_8::session(dir, settings, steps, end, report)),
            Self::V0_9 => text(v0_9::session(dir, settings, steps, end, report)),
            Self::V0_10 => text(v0_10::session(dir, settings, steps, end, report)),
        }
    }

    /// What this version of the crate shows of a store. It needs a directory that it may write to.
    pub fn read(self, dir: &Path, settings: &Settings) -> Result<Reading, String> {
        guarded(|| match self {
            Self::V0_1 => text(v0_1::read(dir, settings)),
            Self::V0_7 => text(v0_7::read(dir, settings)),
            Self::V0_8 => text(v0_8::read(dir, settings)),
            Self::V0_9 => text(v0_9::read(dir, settings)),
            Self::V0_10 => text(v0_10::read(dir, settings)),
        })
    }

    /// The crate's own check of hashes and links, which came with 0.9.
    pub fn verify_chain(self, dir: &Path, settings: &Settings) -> Result<Chain, String> {
        guarded(|| match self {
            Self::V0_9 => text(v0_9::verify_chain(dir, settings)),
            Self::V0_10 => text(v0_10::verify_chain(dir, settings)),
            version => Err(format!("{} has no verify_chain", version.name())),
        })
    }
}

fn text<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// A crate that panics over a damaged store has not read it.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("the crate panicked".to_owned()))
}
