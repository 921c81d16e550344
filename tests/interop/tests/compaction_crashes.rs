//! What a crash in the middle of a crate's compaction leaves: batpak gives back every event, from
//! the sources as long as they are whole, and from the merged segment once one of them is gone.

use batpak_core::{ErrorKind, OpenMode};
use batpak_interop::cases;
use batpak_interop::directory;
use batpak_interop::event::SYSTEM_ENTITY;
use batpak_interop::ours::{self, Ours, Sequences};
use batpak_interop::plan::Draft;
use batpak_interop::version::Version;
use std::fs;
use std::path::{Path, PathBuf};

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_batpak-interop");

/// The store just before a compaction, and what the compaction makes of its sealed segments.
struct Scene {
    before: PathBuf,
    merged: Vec<u8>,
    sealed: u64,
    old: Vec<Draft>,
    new: Vec<Draft>,
}

impl Scene {
    fn new(root: &Path, version: Version, crash: &str) -> Self {
        let (case, after_case) = (cases::named("before-compaction"), cases::named(crash));
        let name = format!("{}-{crash}", version.name());
        let (before, after) = (root.join(&name), root.join(name + "-after"));
        let executable = Path::new(EXECUTABLE);
        case.write_session(executable, version, &before, 0);
        let sealed = directory::segments(&before).len() as u64;
        directory::copy(&before, &after);
        case.write_session(executable, version, &before, 1);
        after_case.write_session(executable, version, &after, 1);
        Self {
            merged: fs::read(after.join("000001.fbat")).unwrap(),
            before,
            sealed,
            old: case.expected(),
            new: after_case.expected(),
        }
    }

    /// A copy of the store as it was before.
    fn copy(&self, state: &str) -> PathBuf {
        let dir = self.before.with_extension(state);
        directory::copy(&self.before, &dir);
        directory::remove_caches(&dir);
        dir
    }

    fn mark(&self, dir: &Path) {
        let sources: Vec<_> = (1..=self.sealed).map(|number| number.to_string()).collect();
        let marker = format!("{{\"merged_id\":1,\"source_segment_ids\":[{}]}}", sources.join(","));
        fs::write(dir.join("compaction.pending.json"), marker).unwrap();
    }

    fn move_first(&self, dir: &Path) {
        let moved = dir.join("000001.fbat.compact-src");
        fs::rename(dir.join("000001.fbat"), moved).unwrap();
    }

    fn write_merged(&self, dir: &Path, bytes: usize) {
        fs::write(dir.join("000001.fbat"), &self.merged[..bytes]).unwrap();
    }

    fn remove(&self, dir: &Path, sources: std::ops::RangeInclusive<u64>) {
        for number in sources {
            fs::remove_file(dir.join(format!("{number:06}.fbat"))).unwrap();
        }
    }
}

fn user_events(dir: &Path) -> Vec<(String, u16, Vec<u8>)> {
    essence(&ours::read(dir, OpenMode::ReadOnly).unwrap_or_else(|e| panic!("{dir:?}: {e}")))
}

fn essence(ours: &Ours) -> Vec<(String, u16, Vec<u8>)> {
    let one = |event: &batpak_core::Event| {
        (event.entity().to_owned(), event.kind().0, event.payload().to_owned())
    };
    ours.user_events().map(one).collect()
}

fn drafted(drafts: &[Draft]) -> Vec<(String, u16, Vec<u8>)> {
    drafts.iter().map(|d| (d.entity.clone(), d.kind, d.payload.encoded())).collect()
}

/// Whatever the crate itself shows of such a store, batpak shows as well.
fn check_against_crate(dir: &Path, version: Version, kinds_changed: bool) {
    let settings = cases::named("before-compaction").settings;
    let ours = ours::read(dir, OpenMode::ReadOnly).unwrap();
    if let Ok(theirs) = version.read(dir, &settings) {
        let mut differences = ours.differences(&theirs.events, Sequences::Unrelated);
        differences.retain(|what| !(kinds_changed && what.contains("differs in its kind")));
        assert_eq!(differences, Vec::<String>::new(), "{dir:?}");
    }
}

#[test]
fn an_interrupted_compaction_has_either_happened_or_not() {
    let _alone = cases::alone();
    let root = directory::scratch();
    for version in Version::ALL.into_iter().filter(|version| *version >= Version::V0_7) {
        for crash in ["merge-crash", "retention-crash", "tombstone-crash"] {
            let scene = Scene::new(root.path(), version, crash);
            let whole = scene.merged.len();
            let frames = directory::frames(&scene.merged);
            let half = frames[frames.len() / 2].start;
            let sealed = scene.sealed;
            assert!(sealed >= 3, "three sources, so that some can be gone and some not");
            let (old, new) = (drafted(&scene.old), drafted(&scene.new));
            let check =
                |state: &str, expected: &[(String, u16, Vec<u8>)], change: &dyn Fn(&Path)| {
                    let dir = scene.copy(state);
                    scene.mark(&dir);
                    change(&dir);
                    assert_eq!(user_events(&dir), expected, "{dir:?}");
                    check_against_crate(&dir, version, crash == "tombstone-crash");
                };
            check("marked", &old, &|_| ());
            check("moved", &old, &|dir| scene.move_first(dir));
            for (state, bytes) in [
                ("created", 0),
                ("header-torn", 20),
                ("half", half),
                ("torn", half + 9),
                ("written", whole),
            ] {
                check(state, &old, &|dir| {
                    scene.move_first(dir);
                    scene.write_merged(dir, bytes);
                });
            }
            for (state, gone) in [("first-gone", 2..=2), ("all-gone", 2..=sealed)] {
                check(state, &new, &|dir| {
                    scene.move_first(dir);
                    scene.write_merged(dir, whole);
                    scene.remove(dir, gone.clone());
                });
            }
            check("done", &new, &|dir| {
                scene.write_merged(dir, whole);
                scene.remove(dir, 2..=sealed);
            });
        }
    }
}

#[test]
fn version_0_1_leaves_no_marker() {
    let _alone = cases::alone();
    let root = directory::scratch();
    let version = Version::V0_1;
    let scene = Scene::new(root.path(), version, "merge-crash");
    let frames = directory::frames(&scene.merged);
    let first = directory::frames(&fs::read(scene.before.join("000001.fbat")).unwrap()).len();
    let old = drafted(&scene.old);

    // The first segment is deleted before the merged one is there: its events are gone, and that
    // is seen.
    let dir = scene.copy("deleted");
    scene.remove(&dir, 1..=1);
    let refused = ours::read(&dir, OpenMode::ReadOnly).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    let salvaged = ours::read(&dir, OpenMode::Salvage).unwrap();
    assert_eq!(essence(&salvaged), old[first..]);

    // Part of it is there, next to the other sources: no event comes twice.
    for (state, kept) in [("one", 1), ("first", first), ("more", first + 2)] {
        let dir = scene.copy(state);
        scene.write_merged(&dir, frames[kept - 1].end);
        let mut expected = old[..kept.min(first)].to_vec();
        expected.extend_from_slice(&old[first..]);
        assert_eq!(user_events(&dir), expected, "{state}");
        check_against_crate(&dir, version, false);
    }
    for (state, gone) in [("all", 0), ("one-gone", 1), ("two-gone", 2)] {
        let dir = scene.copy(state);
        scene.write_merged(&dir, scene.merged.len());
        scene.remove(&dir, 2..=1 + gone);
        assert_eq!(user_events(&dir), old, "{state}");
        check_against_crate(&dir, version, false);
    }
    assert!(old.iter().all(|(entity, _, _)| entity != SYSTEM_ENTITY));
}
