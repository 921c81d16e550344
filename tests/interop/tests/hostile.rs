//! Directories that no crate made, or that somebody made to do harm: an error or what is sound in
//! them, never a panic, a hang or a huge allocation.

use batpak_core::{ErrorKind, OpenMode, OpenOptions, Store};
use batpak_interop::directory;
use batpak_interop::handmade::{
    self, Frame, event, footer, framed, header, marker, segment, sidecar,
};
use batpak_interop::ours;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(directory::scratch())
    }

    /// Three sound events in one segment, and these files.
    fn with(files: &[(&str, &[u8])]) -> Self {
        let dir = Self::of(&segment(1, &three()));
        for (name, content) in files {
            fs::write(dir.path(name), content).unwrap();
        }
        dir
    }

    /// These bytes as the only segment.
    fn of(bytes: &[u8]) -> Self {
        let dir = Self::new();
        fs::write(dir.path("000001.fbat"), bytes).unwrap();
        dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// How many events it gives without salvage.
    fn read(&self) -> Result<usize, ErrorKind> {
        read(self.0.path(), OpenMode::ReadOnly)
    }

    fn salvage(&self) -> Result<usize, ErrorKind> {
        read(self.0.path(), OpenMode::Salvage)
    }

    /// It is refused as corrupt, and salvage gives so many events.
    fn is_damaged(&self, events: usize) {
        assert_eq!(self.read(), Err(ErrorKind::Corrupt));
        assert_eq!(self.salvage(), Ok(events));
    }
}

fn read(dir: &Path, mode: OpenMode) -> Result<usize, ErrorKind> {
    ours::read(dir, mode).map(|ours| ours.events.len()).map_err(|error| error.kind())
}

fn three() -> Vec<Frame> {
    vec![event(1), event(2), event(3)]
}

/// Three sound events, and what comes behind them.
fn behind(bytes: &[u8]) -> Dir {
    Dir::of(&[segment(1, &three()), bytes.to_vec()].concat())
}

/// Three sound events, a frame with this body, and a sound event behind it.
fn body(bytes: &[u8]) -> Dir {
    behind(&[framed(bytes), event(4).bytes()].concat())
}

/// A frame of which one field was changed.
fn changed(change: impl FnOnce(&mut Frame)) -> Vec<u8> {
    let mut frame = event(9);
    change(&mut frame);
    frame.body()
}

#[test]
fn the_sound_store_is_sound() {
    assert_eq!(Dir::with(&[]).read(), Ok(3));
    assert_eq!(body(&event(9).body()).read(), Ok(5));
}

#[test]
fn segments_that_are_no_files() {
    for name in ["000001.fbat", "000002.fbat"] {
        for make in [fifo, a_directory, dangling, endless] {
            let dir = Dir::with(&[]);
            fs::remove_file(dir.path(name)).ok();
            make(&dir.path(name));
            let found = [dir.read(), dir.salvage()];
            assert!(
                found.iter().all(|found| *found != Ok(4))
                    && !found.contains(&Err(ErrorKind::Panic)),
                "{name}: {found:?}"
            );
        }
    }
}

#[test]
fn sidecars_that_are_no_files() {
    let names =
        ["visibility_ranges.fbv", "keyset.fbatk", "index.idemp", "compaction.pending.json", "x"];
    for name in names {
        for make in [fifo, a_directory, dangling, endless] {
            let dir = Dir::with(&[]);
            make(&dir.path(name));
            assert!(matches!(dir.read(), Ok(3) | Err(_)), "{name}");
            assert!(matches!(dir.salvage(), Ok(3) | Err(_)), "{name}");
        }
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn a_directory(path: &Path) {
    fs::create_dir(path).unwrap();
}

fn dangling(path: &Path) {
    std::os::unix::fs::symlink("/nowhere/at/all", path).unwrap();
}

fn endless(path: &Path) {
    std::os::unix::fs::symlink("/dev/zero", path).unwrap();
}

#[test]
fn zeros_behind_the_end() {
    let dir = Dir::with(&[]);
    let file = fs::OpenOptions::new().write(true).open(dir.path("000001.fbat")).unwrap();
    file.set_len(64 << 20).unwrap();
    assert_eq!(dir.read(), Ok(3));
    assert_eq!(dir.salvage(), Ok(3));

    let dir = Dir::with(&[]);
    fs::File::create(dir.path("000002.fbat")).unwrap().set_len(64 << 20).unwrap();
    dir.is_damaged(3);
}

#[test]
fn sidecars_of_a_terabyte() {
    for name in ["visibility_ranges.fbv", "keyset.fbatk", "index.idemp", "compaction.pending.json"]
    {
        let dir = Dir::with(&[]);
        fs::File::create(dir.path(name)).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(dir.read(), Ok(3) | Err(_)), "{name}");
        assert!(matches!(dir.salvage(), Ok(3) | Err(_)), "{name}");
    }
}

#[test]
fn names() {
    for name in [
        "99999999999999999999999999.fbat",
        "-1.fbat",
        "+2.fbat",
        " 2.fbat",
        "2 .fbat",
        ".fbat",
        "x.fbat",
        "000002.FBAT",
        "000000.fbat",
        "18446744073709551615.fbat",
        "000002.fbat.compact-src",
        ".tmpabcdef",
    ] {
        let dir = Dir::with(&[(name, &segment(2, &[event(4)]))]);
        assert_eq!(dir.read(), Ok(3), "{name}");
    }
    for name in ["2.fbat", "0000000002.fbat", "9223372036854775807.fbat"] {
        let dir = Dir::with(&[(name, &segment(2, &[event(4)]))]);
        assert_eq!(dir.read(), Ok(4), "{name}");
    }
    // The greatest number, twice.
    let dir = Dir::with(&[("9223372036854775807.fbat", &segment(2, &[event(4)]))]);
    fs::write(dir.path("09223372036854775807.fbat"), segment(2, &[event(5)])).unwrap();
    dir.is_damaged(5);
    // The same number twice: nobody knows which of them is the segment.
    let dir = Dir::with(&[("1.fbat", &segment(1, &[event(4)]))]);
    assert_eq!(dir.read(), Err(ErrorKind::Corrupt));
    assert_eq!(dir.salvage(), Ok(4));
}

#[test]
fn segment_headers() {
    let frames: Vec<u8> = three().iter().flat_map(Frame::bytes).collect();
    for length in [0u32, 1, 48, 50, 1 << 16, (1 << 16) + 1, u32::MAX] {
        let mut bytes = segment(1, &three());
        bytes[4..8].copy_from_slice(&length.to_be_bytes());
        let dir = Dir::of(&bytes);
        assert!(matches!(dir.read(), Ok(3) | Err(ErrorKind::Corrupt)), "{length}");
        assert_eq!(dir.salvage(), Ok(3), "{length}");
    }
    for version in [0, 2, 3, u16::MAX] {
        let dir = Dir::of(&[header(version, 1), frames.clone()].concat());
        let expected = if version == 2 { ErrorKind::Corrupt } else { ErrorKind::Unsupported };
        assert!(
            dir.read() == Err(expected) || dir.read() == Err(ErrorKind::Unsupported),
            "{version}"
        );
    }
    // The number in the header means nothing: the name is what counts.
    assert_eq!(Dir::of(&[header(1, u64::MAX), frames].concat()).read(), Ok(3));
}

#[test]
fn frame_lengths() {
    for length in [0u32, 1, 7, (256 << 20) + 1, u32::MAX] {
        let mut end = event(4).bytes();
        end[..4].copy_from_slice(&length.to_be_bytes());
        // At the end it is a torn end; with sound frames behind it, it is damage.
        assert_eq!(behind(&end[..20]).read(), Ok(3), "{length}");
        let dir = behind(&[end, event(5).bytes()].concat());
        assert!(matches!(dir.read(), Ok(5) | Err(ErrorKind::Corrupt)), "{length}");
        assert!(matches!(dir.salvage(), Ok(4 | 5)), "{length}: {:?}", dir.salvage());
    }
}

#[test]
fn bodies_that_are_no_events() {
    let nested: Vec<u8> = std::iter::repeat_n(0x91, 1_000_000).collect();
    let maps: Vec<u8> = std::iter::repeat_n([0x81, 0xA0], 500_000).flatten().collect();
    for bytes in [
        vec![0xC0],
        vec![0xC1],
        vec![0x80],
        vec![0xDF, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0xDD, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0xC6, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0xDB, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0xFF; 10_000],
        nested,
        maps,
        b"{\"event\":{}}".to_vec(),
    ] {
        let dir = body(&bytes);
        assert_eq!(dir.read(), Err(ErrorKind::Corrupt), "{:02x?}", &bytes[..bytes.len().min(8)]);
        assert_eq!(dir.salvage(), Ok(4), "{:02x?}", &bytes[..bytes.len().min(8)]);
    }
}

#[test]
fn every_cut_of_a_body_is_refused() {
    let whole = event(9).body();
    for length in 1..whole.len() {
        // The last field is the scope, a text: cut short, it is none.
        body(&whole[..length]).is_damaged(4);
    }
}

#[test]
fn every_flipped_byte_of_a_body_under_a_right_checksum() {
    let mut bytes = event(9).body();
    for at in 0..bytes.len() {
        for bits in [1, 0x80, 0xFF] {
            bytes[at] ^= bits;
            let dir = body(&bytes);
            // Nobody can tell whether it was meant so; whatever it says, the others are there.
            assert!(matches!(dir.read(), Ok(5) | Err(ErrorKind::Corrupt)), "{at} {bits}");
            assert!(matches!(dir.salvage(), Ok(4 | 5)), "{at} {bits}: {:?}", dir.salvage());
            bytes[at] ^= bits;
        }
    }
}

#[test]
fn extreme_values() {
    let far = [
        changed(|frame| frame.event.header.position.wall_ms = u64::MAX),
        changed(|frame| frame.event.header.position.wall_ms = i64::MAX as u64 / 1000 + 1),
        changed(|frame| frame.event.header.timestamp_us = i64::MIN),
        changed(|frame| frame.event.header.timestamp_us = i64::MAX),
        changed(|frame| frame.event.header.position.sequence = u32::MAX),
        changed(|frame| frame.event.header.position.lane = u32::MAX),
        changed(|frame| frame.event.header.position.depth = u32::MAX),
        changed(|frame| frame.event.header.payload_size = u32::MAX),
        changed(|frame| frame.event.header.event_kind = u16::MAX),
        changed(|frame| frame.event.header.event_kind = 0),
        changed(|frame| frame.event.header.event_id = handmade::Bytes([0; 16])),
        changed(|frame| frame.event.header.causation_id = Some(handmade::Bytes([0; 16]))),
        changed(|frame| frame.event.payload.clear()),
        changed(|frame| frame.entity = "x".repeat(60_000)),
        changed(|frame| frame.entity = "a/../b|c=d\0".to_owned()),
        changed(|frame| frame.entity.clear()),
        changed(|frame| frame.scope.clear()),
        changed(|frame| frame.event.hash_chain = None),
    ];
    for (index, bytes) in far.iter().enumerate() {
        let dir = body(bytes);
        assert!(matches!(dir.read(), Ok(5) | Err(ErrorKind::Corrupt)), "{index}: {:?}", dir.read());
        assert!(matches!(dir.salvage(), Ok(4 | 5)), "{index}: {:?}", dir.salvage());
        let store = Store::open(dir.0.path(), &OpenOptions::mode(OpenMode::Salvage)).unwrap();
        store.verify().unwrap();
        store.stats().unwrap();
    }
}

#[test]
fn an_id_twice() {
    let mut again = event(2);
    again.entity = "order:again".to_owned();
    let dir = behind(&again.bytes());
    // The earlier one is shown, and the other named.
    for mode in [OpenMode::ReadOnly, OpenMode::Salvage] {
        let read = ours::read(dir.0.path(), mode).unwrap();
        assert_eq!(read.events[1].entity(), "order:2");
        assert_eq!((read.events.len(), read.report.damage.len()), (3, 1));
    }
}

#[test]
fn footers() {
    let end = segment(1, &three()).len() as u64;
    for magic in [b"SDX2", b"SDX3"] {
        for table_at in [0, 1, 8, 57, end - 1, end, end + 1, 1 << 40, u64::MAX] {
            for count in [0, 1, 3, 26_000_000, u32::MAX] {
                let dir = behind(&footer(table_at, count, magic));
                let name = format!("{magic:?} {table_at} {count}");
                assert!(matches!(dir.read(), Ok(_) | Err(ErrorKind::Corrupt)), "{name}");
                assert!(matches!(dir.salvage(), Ok(0..=3)), "{name}: {:?}", dir.salvage());
            }
        }
    }
    for magic in [b"SDX4", b"SDX9"] {
        let dir = behind(&footer(end, 3, magic));
        assert_eq!(dir.read(), Err(ErrorKind::Unsupported));
    }
}

#[test]
fn batches() {
    let begin = |items| marker(Some(items)).bytes();
    let end = marker(None).bytes();
    let items = [event(4).bytes(), event(5).bytes()].concat();
    let whole = [begin(2), items.clone(), end.clone()].concat();
    assert_eq!(behind(&whole).read(), Ok(5));
    // Not the number of items that it says: dropped.
    assert_eq!(behind(&[begin(3), items.clone(), end.clone()].concat()).read(), Ok(3));
    // A surplus event goes with the batch; what comes behind is read.
    let surplus = [begin(1), items.clone(), end.clone(), event(6).bytes()].concat();
    assert_eq!(behind(&surplus).read(), Ok(4));
    // A batch within a batch ends the outer one.
    assert_eq!(behind(&[begin(9), event(6).bytes(), whole.clone()].concat()).read(), Ok(5));
    // An end without a beginning means nothing.
    assert_eq!(behind(&[end.clone(), items.clone()].concat()).read(), Ok(5));
    // No number of items that a batch can have.
    for count in [0, 1_000_001, u32::MAX] {
        let dir = behind(&[begin(count), items.clone(), end.clone()].concat());
        assert_eq!(dir.read(), Err(ErrorKind::Corrupt), "{count}");
        assert!(dir.salvage().is_ok(), "{count}");
    }
    let begins: Vec<u8> = std::iter::repeat_n(begin(1_000_000), 20_000).flatten().collect();
    assert_eq!(behind(&begins).read(), Ok(3));
    // A batch that goes on in the next segment, as an early crate may have written it.
    let first = [segment(1, &three()), begin(2), event(4).bytes()].concat();
    let second = [header(1, 2), event(5).bytes(), end].concat();
    let dir = Dir::of(&first);
    fs::write(dir.path("000002.fbat"), second).unwrap();
    assert_eq!(dir.read(), Ok(5));
}

#[test]
fn cancelled_ranges() {
    let ranges = |ranges: &[(u64, u64)]| {
        #[derive(serde::Serialize)]
        struct Range {
            start: u64,
            end: u64,
        }
        #[derive(serde::Serialize)]
        struct Ranges {
            ranges: Vec<Range>,
        }
        let ranges = ranges.iter().map(|(start, end)| Range { start: *start, end: *end }).collect();
        let body = rmp_serde::to_vec_named(&Ranges { ranges }).unwrap();
        sidecar(b"FBATVR", 1, &body)
    };
    let with = |bytes: &[u8]| Dir::with(&[("visibility_ranges.fbv", bytes)]);
    assert_eq!(with(&ranges(&[(1, 2)])).read(), Ok(2));
    assert_eq!(with(&ranges(&[(0, u64::MAX)])).read(), Ok(0));
    assert_eq!(with(&ranges(&[])).read(), Ok(3));
    let many: Vec<_> = (0..100_000).map(|number| (number * 2, number * 2 + 1)).collect();
    assert_eq!(with(&ranges(&many)).read(), Ok(1));
    // Nobody writes a range that ends before it begins.
    with(&ranges(&[(2, 1)])).is_damaged(3);
    with(b"").is_damaged(3);
    with(&[0; 64]).is_damaged(3);
    with(&sidecar(b"FBATVR", 2, &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF])).is_damaged(3);
    let mut torn = ranges(&[(1, 2)]);
    torn.pop();
    with(&torn).is_damaged(3);
    let newer = with(&sidecar(b"FBATVR", 9, &[0x80]));
    assert!(newer.read().is_err());
}

#[test]
fn compaction_markers() {
    let with = |bytes: &[u8]| Dir::with(&[("compaction.pending.json", bytes)]);
    for damaged in [
        b"".as_slice(),
        b"{",
        b"[]",
        b"null",
        b"{\"merged_id\":-1,\"source_segment_ids\":[1]}",
        b"{\"merged_id\":1e99,\"source_segment_ids\":[1]}",
        b"{\"merged_id\":99999999999999999999,\"source_segment_ids\":[1]}",
        b"{\"source_segment_ids\":[1]}",
        b"\xff\xfe",
    ] {
        with(damaged).is_damaged(3);
    }
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    with(&deep).is_damaged(3);
    let mut long = b"{\"merged_id\":1,\"source_segment_ids\":[1".to_vec();
    for number in 2..200_000 {
        long.extend(format!(",{number}").bytes());
    }
    long.extend(b"]}");
    // Its other sources are gone: it has happened.
    assert_eq!(with(&long).read(), Ok(3));
    // The merged segment is missing.
    with(b"{\"merged_id\":7,\"source_segment_ids\":[7,8]}").is_damaged(3);
    assert_eq!(with(b"{\"merged_id\":1,\"source_segment_ids\":[1]}").read(), Ok(3));
}

#[test]
fn keysets() {
    let with = |bytes: &[u8]| Dir::with(&[("keyset.fbatk", bytes)]);
    for bytes in [
        Vec::new(),
        vec![0; 11],
        sidecar(b"FBATKS", 1, &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF]),
        sidecar(b"FBATKS", 9, &[0x80]),
        sidecar(b"FBATKS", 1, &std::iter::repeat_n(0x91, 1_000_000).collect::<Vec<_>>()),
    ] {
        let dir = with(&bytes);
        assert!(matches!(dir.read(), Ok(3) | Err(ErrorKind::Corrupt | ErrorKind::Unsupported)));
        assert!(matches!(dir.salvage(), Ok(3) | Err(ErrorKind::Unsupported)));
    }
}
