//! Where a crate does not show everything that its store holds. Each defect is known, and each
//! has its reason; whatever a crate fails to show without being listed here fails the tests.

use crate::version::Version::{self, *};

/// A defect of some versions that some cases bring out.
#[derive(Debug)]
pub struct Defect {
    pub cases: &'static [&'static str],
    pub since: Version,
    pub until: Version,
    /// Whether it also shows while the caches are there.
    pub with_caches: bool,
    pub effect: Effect,
    pub reason: &'static str,
}

/// What the crate makes of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does not open it.
    Refuses,
    /// It leaves out so many events of the user, and so many of its own.
    Hides { user: usize, system: usize },
    /// It lists the events, but cannot read those that were compacted.
    LosesPayloads,
    /// The same, and it hides one of the user's events.
    LosesPayloadsAndOne,
    /// It shows the events without their extensions.
    LosesExtensions,
}

const TABLE: &[Defect] = &[
    Defect {
        cases: &["torn-older"],
        since: V0_7,
        until: V0_10,
        with_caches: false,
        effect: Effect::Refuses,
        reason: "a torn end is never cut, and is refused once the segment is not the newest",
    },
    Defect {
        cases: &["torn-older-killed", "batch-torn-older-killed"],
        since: V0_7,
        until: V0_10,
        with_caches: true,
        effect: Effect::Refuses,
        reason: "a torn end is never cut, and is refused once the segment is not the newest",
    },
    Defect {
        cases: &["batch-begun-older"],
        since: V0_7,
        until: V0_10,
        with_caches: false,
        effect: Effect::Hides { user: 3, system: 1 },
        reason: "a batch that was begun swallows what a later process appended",
    },
    Defect {
        cases: &["batch-begun-older-killed"],
        since: V0_7,
        until: V0_10,
        with_caches: true,
        effect: Effect::Hides { user: 3, system: 1 },
        reason: "a batch that was begun swallows what a later process appended",
    },
    Defect {
        cases: &["batch-without-commit-older"],
        since: V0_7,
        until: V0_10,
        with_caches: false,
        effect: Effect::Hides { user: 0, system: 1 },
        reason: "a batch without its end swallows the first event of a later process",
    },
    Defect {
        cases: &["batch-without-commit-older-killed"],
        since: V0_7,
        until: V0_10,
        with_caches: true,
        effect: Effect::Hides { user: 0, system: 1 },
        reason: "a batch without its end swallows the first event of a later process",
    },
    Defect {
        cases: &["header-missing", "header-short"],
        since: V0_1,
        until: V0_10,
        with_caches: true,
        effect: Effect::Refuses,
        reason: "a segment whose header a crash cut short is refused, though it holds nothing",
    },
    Defect {
        cases: &["upgraded"],
        since: V0_10,
        until: V0_10,
        with_caches: false,
        effect: Effect::Refuses,
        reason: "the footers of 0.7 and 0.8 are looked for at the wrong place",
    },
    Defect {
        cases: &["zeros"],
        since: V0_7,
        until: V0_9,
        with_caches: true,
        effect: Effect::Refuses,
        reason: "zeros behind the last frame are taken for a frame",
    },
    Defect {
        cases: &[
            "retention",
            "retention-killed",
            "retention-crash",
            "tombstone-crash",
            "retention-batches",
            "retention-unsorted",
            "retention-then-merge",
            "tombstone",
            "tombstone-killed",
        ],
        since: V0_7,
        until: V0_8,
        with_caches: true,
        effect: Effect::LosesPayloads,
        reason: "compaction writes the decoded value in the place of the payload's bytes",
    },
    Defect {
        cases: &["fence-cancelled-retention"],
        since: V0_7,
        until: V0_8,
        with_caches: true,
        effect: Effect::LosesPayloadsAndOne,
        reason: "compaction loses payloads and renumbers, but the cancelled ranges stay as they are",
    },
    Defect {
        cases: &["extensions", "signed-extensions"],
        since: V0_8,
        until: V0_10,
        with_caches: false,
        effect: Effect::LosesExtensions,
        reason: "footers do not hold extensions, and the frames are not asked",
    },
    Defect {
        cases: &["extensions-killed"],
        since: V0_8,
        until: V0_10,
        with_caches: true,
        effect: Effect::LosesExtensions,
        reason: "footers do not hold extensions, and the frames are not asked",
    },
    Defect {
        cases: &["fence-cancelled-retention"],
        since: V0_9,
        until: V0_10,
        with_caches: true,
        effect: Effect::Hides { user: 1, system: 0 },
        reason: "retention renumbers, and the cancelled ranges go on meaning the old numbers",
    },
];

/// What is known of this case, version, and state of the caches.
pub fn known(case: &str, version: Version, caches: bool) -> Option<&'static Defect> {
    TABLE.iter().find(|defect| {
        defect.cases.contains(&case)
            && (defect.since..=defect.until).contains(&version)
            && (defect.with_caches || !caches)
    })
}

/// Cases that batpak refuses to open without salvage, though a crate opens them: which events a
/// cancelled fence hides cannot be told any more, once a compaction has dropped events.
pub const REFUSED_HERE: &[&str] = &["fence-cancelled-retention"];
