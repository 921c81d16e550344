//! The stores that every version is asked to write.

use crate::defects::{self, Effect};
use crate::directory;
use crate::event::Receipt;
use crate::plan::{
    Compaction, DROPPED, Damage, Draft, End, FenceEnd, Granularity, Payload, Session, Settings,
    Step, draft, drafts,
};
use crate::version::Version::{self, *};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store to write, and which versions can.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub since: Version,
    pub until: Version,
    pub settings: Settings,
    pub sessions: Vec<Session>,
}

impl Case {
    /// Writes the store into a new directory. Returns what the appends returned. The named
    /// executable is this package's.
    pub fn write(&self, executable: &Path, version: Version, dir: &Path) -> Vec<Receipt> {
        let sessions = 0..self.sessions.len();
        sessions.flat_map(|index| self.write_session(executable, version, dir, index)).collect()
    }

    /// Does one session, in a process of its own.
    pub fn write_session(
        &self,
        executable: &Path,
        version: Version,
        dir: &Path,
        index: usize,
    ) -> Vec<Receipt> {
        fs::create_dir_all(dir).expect("a directory");
        let session = &self.sessions[index];
        let done = Command::new(executable)
            .args([session.by.unwrap_or(version).name(), self.name, &index.to_string()])
            .arg(dir)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("the executable runs");
        let said = String::from_utf8_lossy(&done.stderr);
        let name = format!("{} by {}, session {index}", self.name, version.name());
        match session.end {
            End::Close => assert!(done.status.success(), "{name}: {said}"),
            // An abort, which no exit code tells.
            End::Kill => assert!(done.status.code().is_none(), "{name}: {said}"),
        }
        if let Some(damage) = session.damage {
            (damage.change)(dir);
        }
        let lines = String::from_utf8(done.stdout).expect("text");
        lines.lines().map(|line| Receipt::parse(line).expect("a receipt")).collect()
    }

    /// Whether this version can write it.
    pub fn fits(&self, version: Version) -> bool {
        (self.since..=self.until).contains(&version)
    }

    /// The user's events that the store holds, as they were handed in. A compaction comes first
    /// in its session, so that all events before it are sealed.
    pub fn expected(&self) -> Vec<Draft> {
        let mut held = Vec::new();
        let mut keys = Vec::new();
        for session in &self.sessions {
            expect_steps(&session.steps, &mut held, &mut keys);
            held.truncate(held.len() - session.damage.map_or(0, |damage| damage.lost));
        }
        held
    }

    /// Whether this version's compaction lost payloads: see [`crate::defects`].
    pub fn loses_payloads(&self, version: Version) -> bool {
        let effect = defects::known(self.name, version, true).map(|defect| defect.effect);
        matches!(effect, Some(Effect::LosesPayloads | Effect::LosesPayloadsAndOne))
    }

    /// Whether events were dropped, so that the crate numbers the others anew.
    pub fn evicts(&self) -> bool {
        let drops = |step: &Step| matches!(step, Step::Compact(Compaction::Retention));
        self.sessions.iter().any(|session| session.steps.iter().any(drops))
    }

    /// How many events the crate itself appends: since 0.7, one for opening and one for closing.
    pub fn expected_system(&self, version: Version) -> usize {
        let reopen = |step: &&Step| matches!(step, Step::Reopen);
        let of = |session: &Session| {
            let reopened = session.steps.iter().filter(reopen).count();
            1 + 2 * reopened + usize::from(session.end == End::Close)
        };
        let records = |session: &&Session| session.by.unwrap_or(version) > V0_1;
        self.sessions.iter().filter(records).map(of).sum()
    }
}

fn expect_steps(steps: &[Step], held: &mut Vec<Draft>, keys: &mut Vec<u128>) {
    for step in steps {
        match step {
            Step::Append(draft) if draft.key.is_some_and(|key| keys.contains(&key)) => {}
            Step::Append(draft) => {
                keys.extend(draft.key);
                held.push(draft.clone());
            }
            Step::Batch(drafts) => {
                let plain = |draft: &Draft| Draft { flags: 0, ..draft.clone() };
                held.extend(drafts.iter().map(plain));
            }
            Step::Fence(_, FenceEnd::Cancel) | Step::Shred(_) | Step::Reopen => {}
            Step::Fence(drafts, _) => held.extend_from_slice(drafts),
            Step::Compact(Compaction::Merge) => {}
            Step::Compact(Compaction::Retention) => held.retain(|d| d.kind != DROPPED),
            Step::Compact(Compaction::Tombstone) => {
                for draft in held.iter_mut().filter(|draft| draft.kind == DROPPED) {
                    draft.kind = 0x0FFE;
                }
            }
        }
    }
}

/// Keeps other tests of this process from running. A child that is being started has a copy of
/// every open file for a moment, and with it of every lock; so nobody may have just closed a store
/// and open it again meanwhile.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = plain();
    cases.extend(small());
    cases.extend(fields());
    cases.extend(batches());
    cases.extend(idempotency());
    cases.extend(encryption());
    cases.extend(fences());
    cases.extend(compactions());
    cases.extend(leftovers());
    cases
}

/// The case of this name.
pub fn named(name: &str) -> Case {
    all().into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"))
}

/// Small enough for a new segment every few events.
const SMALL: Settings =
    Settings { segment_max_bytes: 2_000, signing: false, encryption: None, checkpoint: false };

fn case(name: &'static str, since: Version, settings: Settings, sessions: Vec<Session>) -> Case {
    Case { name, since, until: V0_10, settings, sessions }
}

fn closed(steps: Vec<Step>) -> Session {
    Session { steps, end: End::Close, damage: None, by: None }
}

fn killed(steps: Vec<Step>) -> Session {
    Session { steps, end: End::Kill, damage: None, by: None }
}

fn appends(drafts: impl IntoIterator<Item = Draft>) -> Vec<Step> {
    drafts.into_iter().map(Step::Append).collect()
}

fn plain() -> Vec<Case> {
    let one = Settings::default;
    let reopened = || {
        let mut first = appends(drafts(0, 3));
        first.push(Step::Reopen);
        first.extend(appends(drafts(3, 2)));
        vec![
            closed(first),
            killed(appends(drafts(5, 3))),
            killed(vec![]),
            killed(appends(drafts(8, 2))),
        ]
    };
    let mut reopened_closed = reopened();
    reopened_closed.push(closed(vec![Step::Append(draft("order:9", 10))]));
    let upgraded = || {
        let session =
            |(index, by)| Session { by: Some(by), ..closed(appends(drafts(5 * index as u64, 5))) };
        Version::ALL.into_iter().enumerate().map(session).collect()
    };
    vec![
        case("plain", V0_1, one(), vec![closed(appends(drafts(0, 12)))]),
        case("plain-killed", V0_1, one(), vec![killed(appends(drafts(0, 12)))]),
        case("empty", V0_1, one(), vec![closed(vec![])]),
        case("empty-killed", V0_1, one(), vec![killed(vec![])]),
        case("segments", V0_1, SMALL, vec![closed(appends(drafts(0, 20)))]),
        case("segments-killed", V0_1, SMALL, vec![killed(appends(drafts(0, 20)))]),
        case("reopened", V0_1, one(), reopened_closed),
        case("reopened-killed", V0_1, one(), reopened()),
        case("upgraded", V0_10, SMALL, upgraded()),
        case(
            "checkpoint",
            V0_7,
            Settings { checkpoint: true, ..SMALL },
            vec![closed(appends(drafts(0, 9))), closed(appends(drafts(9, 2)))],
        ),
        case(
            "checkpoint-killed",
            V0_7,
            Settings { checkpoint: true, ..SMALL },
            vec![closed(appends(drafts(0, 9))), killed(appends(drafts(9, 2)))],
        ),
    ]
}

/// Three segments of a few events, to be damaged at every byte.
fn small() -> Vec<Case> {
    let settings = Settings { segment_max_bytes: 1_500, ..SMALL };
    let singles = || appends(drafts(0, 7));
    let batch = || {
        let mut steps = appends(drafts(0, 1));
        steps.push(Step::Batch(drafts(1, 2)));
        steps.extend(appends(drafts(3, 2)));
        steps
    };
    let of_0_1 = |name, session| Case { until: V0_1, ..case(name, V0_1, settings, vec![session]) };
    vec![
        of_0_1("small-singles", closed(singles())),
        case("small", V0_7, settings, vec![closed(batch())]),
        case("small-killed", V0_7, settings, vec![killed(batch())]),
    ]
}

fn fields() -> Vec<Case> {
    let named = |entity: &str, scope: &str| Draft { scope: scope.into(), ..draft(entity, 0) };
    let long = "é".repeat(512);
    let names = [
        named("käufer:1", "größe"),
        named("ka\u{308}ufer:1", "größe"),
        named("注文:四十二", "店 舗"),
        named("🦀", "👩‍👩‍👧"),
        named(" ", ":"),
        named(&long, &long),
        named("_batch", "_system"),
        named("a.b", "."),
    ];
    let forbidden = [
        named("a/b", "shop"),
        named("..", "shop"),
        named("a|b", "x=y"),
        named("a\u{1}\n", "\u{7f}"),
        named("nul\0", "shop"),
        named(&"x".repeat(5_000), "shop"),
    ];
    let of_kind = |kind: u16| Draft { kind, ..draft("order:1", u64::from(kind)) };
    let kinds = [0x1000, 0x1001, 0x1FFF, 0x2000, 0xC123, 0xE001, 0xF001, 0xFA01, 0xFFFF];
    let reserved = [0x0003, 0x0FFE, 0xD001];
    use serde_json::json;
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(0.5),
        json!(""),
        json!([]),
        json!({}),
        json!({ "a": [1, { "b": "c" }], "z": "\u{0}\u{ff}" }),
        json!("x".repeat(100_000)),
    ];
    let mut payloads: Vec<_> =
        values.map(|value| Draft { payload: Payload::Json(value), ..draft("order:1", 0) }).into();
    payloads.push(Draft { payload: Payload::Map(vec![("z", 1), ("a", 2)]), ..draft("order:1", 0) });
    payloads.push(Draft { payload: Payload::Bytes((0..=255).collect()), ..draft("order:1", 0) });
    let raw = [vec![], vec![0xC1], vec![0xFF; 300], b"not MessagePack".to_vec()]
        .map(|bytes| Draft { payload: Payload::Raw(bytes), ..draft("order:1", 0) });
    let linked = vec![
        Draft { key: Some(7), ..draft("order:1", 0) },
        Draft { correlation: Some(u128::MAX), ..draft("order:1", 1) },
        Draft { causation: Some(7), ..draft("order:2", 2) },
        Draft { correlation: Some(9), causation: Some(1 << 127), ..draft("order:2", 3) },
    ];
    let lanes = [(0, 0), (1, 1), (1, 1), (0, 0), (7, 2), (7, 2), (u32::MAX, 3), (1, 1)];
    let lane = |(n, (lane, depth)): (usize, (u32, u32))| Draft {
        lane,
        depth,
        ..draft(if n % 4 == 3 { "order:2" } else { "order:1" }, n as u64)
    };
    let lanes = || appends(lanes.into_iter().enumerate().map(lane));
    let flagged = |flags: u8| Draft { flags, ..draft("order:1", u64::from(flags)) };
    let extended = vec![
        Draft {
            extensions: vec![("app.trace", b"\xA3abc".to_vec()), ("zz.bin", (0..=255).collect())],
            ..draft("order:1", 0)
        },
        draft("order:1", 1),
        Draft { extensions: vec![("a.empty", vec![])], ..draft("order:2", 2) },
    ];
    let mut extended_steps = appends(extended.clone());
    extended_steps.push(Step::Batch(extended));
    let versioned = |payload_version: u16| Draft {
        payload_version,
        kind: if payload_version == 0 { 0x1001 } else { 0x2007 },
        ..draft("order:1", u64::from(payload_version))
    };
    let signed = Settings { signing: true, ..SMALL };
    let mut signed_steps = appends(drafts(0, 5));
    signed_steps.push(Step::Batch(drafts(5, 3)));
    let mut signed_extended = extended_steps.clone();
    signed_extended.extend(appends(drafts(8, 2)));
    let once = |name, since, steps| case(name, since, SMALL, vec![closed(steps)]);
    vec![
        once("names", V0_1, appends(names)),
        Case { until: V0_1, ..once("names-forbidden-later", V0_1, appends(forbidden)) },
        once("kinds", V0_1, appends(kinds.map(of_kind))),
        Case { until: V0_8, ..once("kinds-reserved", V0_1, appends(reserved.map(of_kind))) },
        Case { until: V0_1, ..once("kinds-zero", V0_1, appends([0, 0x1001, 0].map(of_kind))) },
        once("payloads", V0_1, appends(payloads)),
        once("payloads-raw", V0_7, vec![Step::Batch(raw.into())]),
        once("linked", V0_1, appends(linked)),
        once("lanes", V0_7, lanes()),
        case("lanes-killed", V0_7, SMALL, vec![killed(lanes())]),
        once("flags", V0_1, appends([1, 2, 8, 0, 255].map(flagged))),
        once("extensions", V0_8, extended_steps.clone()),
        case("extensions-killed", V0_8, SMALL, vec![killed(extended_steps)]),
        once("payload-versions", V0_9, appends([0, 1, 3, 0].map(versioned))),
        case("signed", V0_7, signed, vec![closed(signed_steps)]),
        case("signed-extensions", V0_8, signed, vec![closed(signed_extended)]),
    ]
}

fn batches() -> Vec<Case> {
    let steps = || {
        let mut steps = appends(drafts(0, 2));
        steps.push(Step::Batch(drafts(2, 5)));
        steps.extend(appends(drafts(7, 1)));
        steps.push(Step::Batch(drafts(8, 1)));
        steps.push(Step::Batch(drafts(9, 3)));
        steps
    };
    let flagged = drafts(0, 3).into_iter().map(|draft| Draft { flags: 3, ..draft }).collect();
    vec![
        case("batches", V0_7, Settings::default(), vec![closed(steps())]),
        case("batches-killed", V0_7, Settings::default(), vec![killed(steps())]),
        case("batches-segments", V0_7, SMALL, vec![closed(steps())]),
        case("batches-segments-killed", V0_7, SMALL, vec![killed(steps()), killed(steps())]),
        // A batch writes no flags.
        case("batches-flags", V0_7, SMALL, vec![closed(vec![Step::Batch(flagged)])]),
    ]
}

fn idempotency() -> Vec<Case> {
    let keyed = |n: u64| Draft { key: Some(1 << 100 | u128::from(n)), ..draft("order:1", n) };
    let steps = || appends([keyed(1), keyed(2), keyed(1), draft("order:1", 3), keyed(2)]);
    let evicted = || {
        let gone = Draft { kind: DROPPED, ..keyed(3) };
        let mut first = appends([keyed(1), keyed(2), gone.clone(), keyed(4)]);
        first.extend(appends(drafts(5, 6)));
        let second =
            vec![Step::Compact(Compaction::Retention), Step::Append(gone), Step::Append(keyed(1))];
        vec![closed(first), closed(second), closed(appends([draft("order:1", 11)]))]
    };
    vec![
        case("keys", V0_1, SMALL, vec![closed(steps()), closed(steps())]),
        case("keys-killed", V0_1, SMALL, vec![killed(steps()), killed(steps())]),
        case("keys-evicted", V0_9, SMALL, evicted()),
    ]
}

fn encryption() -> Vec<Case> {
    let by = |granularity| Settings { encryption: Some(granularity), ..SMALL };
    let steps = || {
        let mut steps = appends(drafts(0, 5));
        steps.push(Step::Batch(drafts(5, 3)));
        steps
    };
    let mut shredded = steps();
    shredded.push(Step::Shred("order:1"));
    let no_keys = Damage {
        change: |dir| fs::remove_file(dir.join("keyset.fbatk")).expect("a keyset"),
        lost: 0,
    };
    let once = |name, granularity| case(name, V0_9, by(granularity), vec![closed(steps())]);
    let mut lost = closed(steps());
    lost.damage = Some(no_keys);
    let plain_then_encrypted = vec![Step::Compact(Compaction::Retention)];
    vec![
        once("encrypted-by-entity", Granularity::Entity),
        once("encrypted-by-category", Granularity::Category),
        once("encrypted-by-kind", Granularity::Kind),
        once("encrypted-by-event", Granularity::Event),
        case("encrypted-killed", V0_9, by(Granularity::Entity), vec![killed(steps())]),
        case("encrypted-shredded", V0_9, by(Granularity::Entity), vec![closed(shredded)]),
        case("encrypted-without-keyset", V0_9, by(Granularity::Entity), vec![lost]),
        case(
            "encrypted-retention",
            V0_9,
            by(Granularity::Entity),
            vec![closed(steps()), closed(plain_then_encrypted)],
        ),
    ]
}

fn fences() -> Vec<Case> {
    let steps = |end| {
        let mut steps = appends(drafts(0, 3));
        steps.push(Step::Fence(drafts(3, 2), end));
        steps.extend(appends(drafts(5, 2)));
        steps
    };
    let open = |settings| {
        let mut first = appends(drafts(0, 3));
        first.push(Step::Fence(drafts(3, 2), FenceEnd::Open));
        case("", V0_7, settings, vec![killed(first)])
    };
    let one = Settings::default;
    let cancelled_twice = || {
        let mut again = appends(drafts(10, 1));
        again.push(Step::Fence(drafts(11, 3), FenceEnd::Cancel));
        again
    };
    let mut open_reopened = open(one());
    open_reopened.sessions.push(closed(appends(drafts(5, 2))));
    vec![
        case("fence-committed", V0_7, one(), vec![closed(steps(FenceEnd::Commit))]),
        case("fence-cancelled", V0_7, one(), vec![closed(steps(FenceEnd::Cancel))]),
        case("fence-cancelled-killed", V0_7, one(), vec![killed(steps(FenceEnd::Cancel))]),
        case(
            "fence-cancelled-segments",
            V0_7,
            SMALL,
            vec![killed(steps(FenceEnd::Cancel)), closed(cancelled_twice())],
        ),
        case(
            "fence-cancelled-merged",
            V0_7,
            SMALL,
            vec![closed(steps(FenceEnd::Cancel)), closed(vec![Step::Compact(Compaction::Merge)])],
        ),
        case(
            "fence-cancelled-retention",
            V0_7,
            SMALL,
            vec![
                closed(steps(FenceEnd::Cancel)),
                closed(vec![Step::Compact(Compaction::Retention)]),
            ],
        ),
        Case { name: "fence-open-killed", ..open(one()) },
        Case { name: "fence-open-reopened", ..open_reopened },
    ]
}

fn compactions() -> Vec<Case> {
    let first = || closed(appends(drafts(0, 14)));
    let second = |how| {
        let mut steps = vec![Step::Compact(how)];
        steps.extend(appends(drafts(14, 5)));
        steps
    };
    let batched = || {
        let mut steps = appends(drafts(0, 2));
        steps.push(Step::Batch(drafts(2, 5)));
        steps.push(Step::Batch(drafts(7, 2)));
        closed(steps)
    };
    let unsorted = || {
        let map =
            |n| Draft { payload: Payload::Map(vec![("z", n), ("a", 2)]), ..draft("order:1", n) };
        closed(appends((0..6).map(map)))
    };
    let two = |name, how| case(name, V0_1, SMALL, vec![first(), closed(second(how))]);
    let two_killed = |name, how| case(name, V0_1, SMALL, vec![first(), killed(second(how))]);
    let compact = |how| closed(vec![Step::Compact(how)]);
    let crash =
        |name, how| case(name, V0_1, SMALL, vec![first(), killed(vec![Step::Compact(how)])]);
    vec![
        two("merge", Compaction::Merge),
        two("retention", Compaction::Retention),
        two("tombstone", Compaction::Tombstone),
        two_killed("merge-killed", Compaction::Merge),
        two_killed("retention-killed", Compaction::Retention),
        two_killed("tombstone-killed", Compaction::Tombstone),
        case("before-compaction", V0_1, SMALL, vec![first(), killed(vec![])]),
        crash("merge-crash", Compaction::Merge),
        crash("retention-crash", Compaction::Retention),
        crash("tombstone-crash", Compaction::Tombstone),
        case("merge-batches", V0_7, SMALL, vec![batched(), compact(Compaction::Merge)]),
        case("retention-batches", V0_7, SMALL, vec![batched(), compact(Compaction::Retention)]),
        case("retention-unsorted", V0_1, SMALL, vec![unsorted(), compact(Compaction::Retention)]),
        case(
            "retention-then-merge",
            V0_1,
            SMALL,
            vec![
                first(),
                closed(second(Compaction::Retention)),
                killed(vec![Step::Compact(Compaction::Merge), Step::Append(draft("order:1", 20))]),
            ],
        ),
    ]
}

/// What a crash leaves, and what the crate makes of it when it goes on.
fn leftovers() -> Vec<Case> {
    let singles = || appends(drafts(0, 5));
    let batch = || {
        let mut steps = appends(drafts(0, 2));
        steps.push(Step::Batch(drafts(2, 3)));
        steps
    };
    let cut = |name, steps, change, lost| {
        let damaged = Session { damage: Some(Damage { change, lost }), ..killed(steps) };
        case(name, V0_1, Settings::default(), vec![damaged])
    };
    let cut_batch = |name, change| Case { since: V0_7, ..cut(name, batch(), change, 3) };
    let closed_after = |name, mut case: Case| {
        case.sessions.push(closed(appends(drafts(5, 3))));
        Case { name, ..case }
    };
    let killed_after = |name, mut case: Case| {
        case.sessions.push(killed(appends(drafts(5, 3))));
        Case { name, ..case }
    };
    let torn = cut("torn", singles(), |dir| cut_newest(dir, 7), 1);
    let no_commit = cut_batch("batch-without-commit", |dir| cut_last_frames(dir, 1));
    let begun = cut_batch("batch-begun", |dir| cut_last_frames(dir, 4));
    let torn_batch = cut_batch("batch-torn", |dir| {
        cut_last_frames(dir, 1);
        cut_newest(dir, 100);
    });
    vec![
        closed_after("torn-older", torn.clone()),
        killed_after("torn-older-killed", torn.clone()),
        torn,
        closed_after("batch-without-commit-older", no_commit.clone()),
        killed_after("batch-without-commit-older-killed", no_commit.clone()),
        no_commit,
        closed_after("batch-begun-older", begun.clone()),
        killed_after("batch-begun-older-killed", begun.clone()),
        begun,
        killed_after("batch-torn-older-killed", torn_batch.clone()),
        torn_batch,
        cut("header-missing", singles(), |dir| add_segment(dir, b""), 0),
        cut("header-short", singles(), |dir| add_segment(dir, b"FBAT\0\0\0\x31\x84\xA7vers"), 0),
        cut("zeros", singles(), |dir| extend_newest(dir, &[0; 64]), 0),
    ]
}

fn newest(dir: &Path) -> PathBuf {
    directory::segments(dir).pop().expect("a segment")
}

fn cut_newest(dir: &Path, bytes: u64) {
    let newest = newest(dir);
    let length = fs::metadata(&newest).expect("a segment").len();
    directory::cut(&newest, length - bytes);
}

fn cut_last_frames(dir: &Path, count: usize) {
    let newest = newest(dir);
    let frames = directory::frames(&fs::read(&newest).expect("a segment"));
    directory::cut(&newest, frames[frames.len() - count].start as u64);
}

fn add_segment(dir: &Path, content: &[u8]) {
    let next = directory::segments(dir).len() + 1;
    fs::write(dir.join(format!("{next:06}.fbat")), content).expect("a segment");
}

fn extend_newest(dir: &Path, bytes: &[u8]) {
    let newest = newest(dir);
    let mut content = fs::read(&newest).expect("a segment");
    content.extend_from_slice(bytes);
    fs::write(newest, content).expect("a segment");
}
