//! The rows of the table "The crate's recovery rows" in `docs/recovery.md` that no other test shows, for
//! stores of the batpak crate 0.x: made by hand, byte by byte, without the crate.

use batpak_core::{ErrorKind, Event, Id, OpenMode, OpenOptions, Query, Region, Result, Store};
use batpak_tests::sim::{Loss, SimVfs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/old";

/// An event's frame, with what the rows ask about.
#[derive(Clone)]
struct Frame {
    number: u8,
    entity: &'static str,
    kind: u16,
    payload_size: u32,
    causation: Option<[u8; 16]>,
    is_chained: bool,
    /// The lane, and the place in it.
    place: (u8, u8),
}

/// Event `number`, the first of a lane of its own.
fn event(number: u8) -> Frame {
    Frame {
        number,
        entity: "e",
        kind: 0x1000,
        payload_size: 1,
        causation: None,
        is_chained: true,
        place: (number, 0),
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.push(0xa0 | text.len() as u8);
    body.extend_from_slice(text.as_bytes());
}

fn number(body: &mut Vec<u8>, name: &str, value: u64) {
    text(body, name);
    body.push(0xcf);
    body.extend_from_slice(&value.to_be_bytes());
}

fn binary(body: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    text(body, name);
    body.extend_from_slice(&[0xc4, bytes.len() as u8]);
    body.extend_from_slice(bytes);
}

impl Frame {
    fn body(&self) -> Vec<u8> {
        let payload = [self.number];
        let mut body = vec![0x83];
        text(&mut body, "event");
        body.push(0x83);
        text(&mut body, "header");
        body.push(0x88);
        binary(&mut body, "event_id", &[self.number; 16]);
        binary(&mut body, "correlation_id", &[self.number; 16]);
        match self.causation {
            Some(id) => binary(&mut body, "causation_id", &id),
            None => {
                text(&mut body, "causation_id");
                body.push(0xc0);
            }
        }
        number(&mut body, "timestamp_us", 1_700_000_000_000_000);
        text(&mut body, "position");
        body.push(0x84);
        number(&mut body, "wall_ms", 1_700_000_000_000);
        number(&mut body, "depth", 0);
        number(&mut body, "lane", u64::from(self.place.0));
        number(&mut body, "sequence", u64::from(self.place.1));
        number(&mut body, "payload_size", u64::from(self.payload_size));
        number(&mut body, "event_kind", u64::from(self.kind));
        number(&mut body, "flags", 0);
        binary(&mut body, "payload", &payload);
        text(&mut body, "hash_chain");
        if self.is_chained {
            body.push(0x82);
            binary(&mut body, "prev_hash", &[0; 32]);
            binary(&mut body, "event_hash", blake3::hash(&payload).as_bytes());
        } else {
            body.push(0xc0);
        }
        text(&mut body, "entity");
        text(&mut body, self.entity);
        text(&mut body, "scope");
        text(&mut body, if self.entity == "_batch" { "_system" } else { "s" });
        body
    }

    fn bytes(&self) -> Vec<u8> {
        framed(&self.body())
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&crc32fast::hash(body).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The frame before a batch of so many events, as it says.
fn begin(items: u32) -> Vec<u8> {
    let marker = Frame { entity: "_batch", kind: 6, payload_size: items, ..event(0) };
    Frame { is_chained: false, ..marker }.bytes()
}

/// The frame behind a batch.
fn end() -> Vec<u8> {
    let marker = Frame { entity: "_batch", kind: 7, payload_size: 0, ..event(0) };
    Frame { is_chained: false, ..marker }.bytes()
}

fn events(numbers: impl IntoIterator<Item = u8>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| event(number).bytes()).collect()
}

fn segment(number_of_segment: u64, frames: &[u8]) -> Vec<u8> {
    let mut map = vec![0x84];
    number(&mut map, "version", 1);
    number(&mut map, "flags", 0);
    number(&mut map, "created_ns", 1_700_000_000_000_000_000);
    number(&mut map, "segment_id", number_of_segment);
    let mut bytes = b"FBAT".to_vec();
    bytes.extend_from_slice(&(map.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&map);
    bytes.extend_from_slice(frames);
    bytes
}

/// A file with the prefix of the crate's small files.
fn sidecar(magic: &[u8; 6], version: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn file(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// A directory with these segments, numbered from 1.
fn with_segments(segments: &[Vec<u8>]) -> SimVfs {
    let vfs = SimVfs::default();
    for (frames, number) in segments.iter().zip(1..) {
        vfs.set_content(&file(&format!("{number:06}.fbat")), segment(number, frames));
    }
    vfs
}

fn open(vfs: &SimVfs, mode: OpenMode) -> Result<Store> {
    Store::open_on(Arc::new(vfs.clone()), Path::new(DIR), &OpenOptions::mode(mode))
}

fn all(store: &Store) -> Vec<Event> {
    store.read(Query::default()).unwrap().map(Result::unwrap).collect()
}

/// The numbers of the events that a reader is given, after as many openings as one may ask for.
fn read(vfs: &SimVfs, mode: OpenMode) -> std::result::Result<Vec<u8>, ErrorKind> {
    let once = || {
        let store = open(vfs, mode).map_err(|error| error.kind())?;
        let events = all(&store);
        let sequences: Vec<u64> = events.iter().map(Event::sequence).collect();
        assert_eq!(sequences, Vec::from_iter(0..events.len() as u64));
        Ok(events.iter().map(|event| event.payload()[0]).collect())
    };
    let found = once();
    assert_eq!(once(), found, "opened twice");
    found
}

fn gives(frames: &[u8]) -> std::result::Result<Vec<u8>, ErrorKind> {
    read(&with_segments(&[frames.to_vec()]), OpenMode::ReadOnly)
}

/// Damage that is refused, beside which a salvage gives these events.
fn assert_refused(vfs: &SimVfs, salvaged: &[u8]) {
    assert_eq!(read(vfs, OpenMode::ReadOnly), Err(ErrorKind::Corrupt));
    assert_eq!(read(vfs, OpenMode::Salvage).unwrap(), salvaged);
}

/// Something of a later version is refused for salvage too: what it says is not guessed at.
fn assert_unsupported(vfs: &SimVfs, path: &Path) {
    for mode in [OpenMode::ReadOnly, OpenMode::Salvage] {
        let refused = open(vfs, mode).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{mode:?}: {refused}");
        assert_eq!(refused.path(), Some(path), "{mode:?}: {refused}");
    }
    let looked_at = Store::inspect_on(Arc::new(vfs.clone()), Path::new(DIR)).unwrap();
    assert_eq!(looked_at.refusal.unwrap().kind(), ErrorKind::Unsupported);
}

/// Recovery rows 22, 23, 33, 51. What an old frame lacks has a default, and kinds that nobody knows stay what
/// they are.
#[test]
fn rows_22_23_33_and_51_fields_of_old_frames() {
    let frames = [
        Frame { causation: Some([0; 16]), ..event(1) },
        Frame { causation: Some([7; 16]), ..event(2) },
        Frame { kind: 0x0abc, ..event(3) },
        Frame { kind: 0xd0ff, ..event(4) },
        Frame { is_chained: false, ..event(5) },
    ];
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    let store = open(&with_segments(&[bytes]), OpenMode::ReadOnly).unwrap();
    let events = all(&store);
    let causes: Vec<_> = events.iter().map(Event::causation).collect();
    assert_eq!(causes, [None, Some(Id([7; 16])), None, None, None]);
    let kinds: Vec<u16> = events.iter().map(|event| event.kind().0).collect();
    assert_eq!(kinds, [0x1000, 0x1000, 0x0abc, 0xd0ff, 0x1000]);
    assert!(events.iter().all(|event| event.extensions().count() == 0));
    assert_eq!((events[4].hash().0, events[4].prev_hash().0), ([0; 32], [0; 32]));
    assert!(store.open_report().clean);
}

/// Recovery row 29. A segment that is not the newest and is cut off: refused if its stream goes on behind
/// what is missing; else it is what a crash left before the next opening, which is passed over and named.
#[test]
fn row_29_an_older_segment_that_is_cut_off() {
    let of_stream = |number: u8| Frame { place: (0, number), ..event(number) }.bytes();
    let first = [of_stream(0), of_stream(1), of_stream(2)].concat();
    for kept in [first.len() - 1, first.len() - of_stream(2).len() + 3] {
        let cut = first[..kept].to_vec();
        let goes_on = with_segments(&[cut.clone(), [of_stream(3), events([9])].concat()]);
        assert_refused(&goes_on, &[0, 1, 3, 9]);
        let ends = with_segments(&[cut, events([9])]);
        assert_eq!(read(&ends, OpenMode::ReadOnly), Ok(vec![0, 1, 9]));
        assert_eq!(open(&ends, OpenMode::ReadOnly).unwrap().open_report().damage.len(), 1);
    }
}

/// Recovery row 32. Under a right checksum, what is no event is refused; a salvage gives the others.
#[test]
fn row_32_a_body_that_is_no_event() {
    let whole = event(2).body();
    for body in [&b"\xc0"[..], b"\x80", &whole[..whole.len() - 1], &[0xff; 100]] {
        let frames = [events([1]), framed(body), events([3])].concat();
        assert_refused(&with_segments(&[frames]), &[1, 3]);
    }
}

/// Recovery rows 53, 54, 55, 56, 57, 58, 59, 60, 62. The batches of the crate, whole and not.
#[test]
fn rows_53_to_60_and_62_batches_by_their_markers() {
    let batch = |items, numbers: &[u8]| [begin(items), events(numbers.iter().copied())].concat();
    let whole = [batch(2, &[2, 3]), end()].concat();
    // Between single events.
    let store = with_segments(&[[events([1]), whole.clone(), events([4])].concat()]);
    assert_eq!(read(&store, OpenMode::ReadOnly).unwrap(), [1, 2, 3, 4]);
    let store = open(&store, OpenMode::ReadOnly).unwrap();
    let continues: Vec<bool> = all(&store).iter().map(Event::batch_continues).collect();
    assert_eq!(continues, [false, true, false, false]);
    // Without its end; an opening for writing began the segment behind it, or a crash came.
    assert_eq!(gives(&[events([1]), batch(2, &[2, 3])].concat()), Ok(vec![1]));
    // From one segment into the next.
    let [first, second] = [[events([1]), batch(2, &[2])].concat(), [events([3]), end()].concat()];
    let across = with_segments(&[first, second]);
    assert_eq!(read(&across, OpenMode::ReadOnly), Ok(vec![1, 2, 3]));
    // Of a number of events that none has.
    for items in [0, 1_000_001, u32::MAX] {
        let frames = [events([1]), batch(items, &[2, 3]), end(), events([4])].concat();
        assert_eq!(gives(&frames), Err(ErrorKind::Corrupt), "{items}");
    }
    // An end alone.
    assert_eq!(gives(&[events([1]), end(), events([4])].concat()), Ok(vec![1, 4]));
    // Of fewer events than it says, and of more.
    let fewer = [events([1]), batch(3, &[2, 3]), end(), events([4])].concat();
    assert_eq!(gives(&fewer), Ok(vec![1, 4]));
    let more = [events([1]), batch(1, &[2, 3]), end(), events([4])].concat();
    assert_eq!(gives(&more), Ok(vec![1, 4]));
    // One within another.
    let nested = [events([1]), begin(5), events([9]), whole, events([4])].concat();
    assert_eq!(gives(&nested), Ok(vec![1, 2, 3, 4]));
}

/// Recovery row 61. Damage within a batch is refused; a salvage gives nothing of the batch, and what is
/// around it.
#[test]
fn row_61_damage_within_a_batch() {
    let [single, item] = [events([1]), events([3])];
    let mut frames = [single.clone(), begin(2), events([2]), item, end(), events([4])].concat();
    let damaged = single.len() + begin(2).len() + events([2]).len() + 40;
    frames[damaged] ^= 1;
    assert_refused(&with_segments(&[frames]), &[1, 4]);
}

/// The ranges of sequences that cancelled fences hide.
fn ranges(ranges: &[(u8, u8)]) -> Vec<u8> {
    let mut body = vec![0x81];
    text(&mut body, "ranges");
    body.push(0x90 | ranges.len() as u8);
    for (start, end) in ranges {
        body.push(0x82);
        number(&mut body, "start", u64::from(*start));
        number(&mut body, "end", u64::from(*end));
    }
    body
}

/// Recovery rows 67, 68, 69. Without the file nothing is hidden; what cannot be read, or is of a later
/// version, is refused.
#[test]
fn rows_67_to_69_ranges_that_hide() {
    let vfs = with_segments(&[events(1..5)]);
    let name = file("visibility_ranges.fbv");
    assert_eq!(read(&vfs, OpenMode::ReadOnly), Ok(vec![1, 2, 3, 4]));
    let hidden = |bytes: Vec<u8>| {
        vfs.set_content(&name, bytes);
        open(&vfs, OpenMode::ReadOnly).map(|store| {
            let shown: Vec<u8> = all(&store).iter().map(|event| event.payload()[0]).collect();
            (shown, store.open_report().hidden)
        })
    };
    assert_eq!(hidden(sidecar(b"FBATVR", 1, &ranges(&[(1, 3)]))).unwrap(), (vec![1, 4], 2));
    let sound = sidecar(b"FBATVR", 1, &ranges(&[(1, 3)]));
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [
        Vec::new(),
        sound[..11].to_vec(),
        sound[..sound.len() - 1].to_vec(),
        flipped,
        sidecar(b"FBATVX", 1, &ranges(&[(1, 3)])),
        sidecar(b"FBATVR", 1, b"\xc0"),
        sidecar(b"FBATVR", 1, &ranges(&[(3, 1)])),
        sidecar(b"FBATVR", 1, &ranges(&[(2, 2)])),
        sidecar(b"FBATVR", 0, &ranges(&[(1, 3)])),
    ] {
        assert_eq!(hidden(bad.clone()).unwrap_err().kind(), ErrorKind::Corrupt, "{bad:02x?}");
        // Nobody knows then what was hidden.
        assert_refused(&vfs, &[1, 2, 3, 4]);
    }
    let mut other_checksum = sidecar(b"FBATVR", 9, &ranges(&[(1, 3)]));
    other_checksum[8] ^= 1;
    for later in [sidecar(b"FBATVR", 3, &ranges(&[(1, 3)])), other_checksum] {
        vfs.set_content(&name, later);
        assert_unsupported(&vfs, &name);
    }
}

/// Recovery row 108. A keyset of a later version is refused.
#[test]
fn row_108_keys_of_a_later_version() {
    let vfs = with_segments(&[events(1..5)]);
    let name = file("keyset.fbatk");
    let none = [&b"\x82"[..], b"\xabgranularity\x01", b"\xa7entries\x90"].concat();
    vfs.set_content(&name, sidecar(b"FBATKS", 1, &none));
    assert_eq!(read(&vfs, OpenMode::ReadOnly), Ok(vec![1, 2, 3, 4]));
    vfs.set_content(&name, sidecar(b"FBATKS", 2, &none));
    assert_unsupported(&vfs, &name);
}

/// Recovery rows 73, 74. A file of keys that cannot be read, or is of a later version, keeps nobody out: the
/// keys of the events that are there are their ids.
#[test]
fn rows_73_and_74_keys_that_cannot_be_read() {
    for keys in [b"junk".to_vec(), Vec::new(), sidecar(b"FBATID", 9, b"\x90")] {
        let vfs = with_segments(&[events(1..4)]);
        vfs.set_content(&file("index.idemp"), keys);
        assert_eq!(read(&vfs, OpenMode::ReadOnly), Ok(vec![1, 2, 3]));
        let path = Path::new("/new");
        let new = Store::open_on(Arc::new(vfs.clone()), path, &OpenOptions::default()).unwrap();
        let report = new.import_from(DIR, &Default::default(), &Default::default()).unwrap();
        assert_eq!((report.imported, report.keys_without_events), (3, 0));
        assert_eq!(new.get(Id([2; 16])).unwrap().unwrap().sequence(), 1);
    }
}

/// Recovery rows 85, 85b, 86, 87, 88, 89, 103, 107. The crate's compaction of segments 1 and 2, which drops
/// event 2, interrupted: all of the sources, as long as they are there, then what it wrote.
#[test]
fn rows_85_to_89_103_and_107_an_interrupted_compaction_of_the_crate() {
    const MARKER: &str = "compaction.pending.json";
    const MOVED: &str = "000001.fbat.compact-src";
    let [first, second, third] = [events([1, 2]), events([3, 4]), events([5])];
    let merged = segment(1, &events([1, 3, 4]));
    let marked = |present: &[(&str, &[u8])]| {
        let vfs = SimVfs::default();
        let marker = b"{\"merged_id\":1,\"source_segment_ids\":[1,2]}";
        vfs.set_content(&file(MARKER), marker.to_vec());
        vfs.set_content(&file("000003.fbat"), segment(3, &third));
        for (name, bytes) in present {
            vfs.set_content(&file(name), bytes.to_vec());
        }
        vfs
    };
    let [one, two] = [segment(1, &first), segment(2, &second)];
    let half = &merged[..merged.len() / 2];
    let old = Ok(vec![1, 2, 3, 4, 5]);
    let new = Ok(vec![1, 3, 4, 5]);
    // Nothing was done yet, or the first source was moved away, or part of the new one written.
    let name = "000001.fbat";
    let next = "000002.fbat";
    for before in [
        marked(&[(name, &one), (next, &two)]),
        marked(&[(MOVED, &one), (next, &two)]),
        marked(&[(MOVED, &one), (next, &two), (name, b"")]),
        marked(&[(MOVED, &one), (next, &two), (name, half)]),
        marked(&[(MOVED, &one), (next, &two), (name, &merged)]),
    ] {
        let names = before.paths();
        assert_eq!(read(&before, OpenMode::ReadOnly), old, "{names:?}");
        assert_eq!(before.paths(), names, "a reader repairs nothing");
        assert_eq!(read(&before.after_crash(Loss::Process), OpenMode::Salvage), old);
    }
    // A source is gone: it was published.
    for after in [marked(&[(MOVED, &one), (name, &merged)]), marked(&[(name, &merged)])] {
        assert_eq!(read(&after, OpenMode::ReadOnly), new, "{:?}", after.paths());
    }
    // A source is gone, and what it was made into is not there.
    assert_refused(&marked(&[(MOVED, &one)]), &[1, 2, 5]);
    assert_refused(&marked(&[(next, &two)]), &[3, 4, 5]);
    // It is there, but damaged. What it has not may be in the sources that are left; each event is given once.
    let end_of_3 = merged.len() - events([4]).len();
    let cut = &merged[..end_of_3 - 9];
    let mut damaged = merged.clone();
    damaged[end_of_3 - 9] ^= 1;
    assert_refused(&marked(&[(name, cut)]), &[1, 5]);
    assert_refused(&marked(&[(name, &damaged)]), &[1, 4, 5]);
    assert_refused(&marked(&[(MOVED, &one), (name, cut)]), &[1, 2, 5]);
    assert_refused(&marked(&[(MOVED, &one), (name, &damaged)]), &[1, 4, 2, 5]);
    assert_refused(&marked(&[(MOVED, &one), (name, b"")]), &[1, 2, 5]);
    let header_only = segment(1, b"");
    assert_eq!(read(&marked(&[(name, &header_only)]), OpenMode::ReadOnly), Ok(vec![5]));
    // The same when all are of one stream.
    let of_stream = |number: u8| Frame { place: (0, number), ..event(number) }.bytes();
    let mut written = segment(1, &[0, 1, 2, 3].map(of_stream).concat());
    let end_of_1 = written.len() - [2, 3].map(of_stream).concat().len();
    written[end_of_1 - 9] ^= 1;
    let moved = segment(1, &[0, 1].map(of_stream).concat());
    let stream = marked(&[(MOVED, &moved), (name, &written)]);
    assert_refused(&stream, &[0, 2, 3, 1, 5]);
    let salvaged = open(&stream, OpenMode::Salvage).unwrap();
    for (clocks, expected) in
        [(None, &[0, 2, 3, 1][..]), (Some((1, 1)), &[1]), (Some((2, 9)), &[2, 3])]
    {
        let region = Region { lane: Some(0), clocks, ..Region::entity("e") };
        let given = salvaged.read(Query::new(region)).unwrap().map(|event| event.unwrap().clock());
        assert_eq!(Vec::from_iter(given), expected);
    }
    assert_eq!(salvaged.stream_head("e", 0).unwrap().unwrap().sequence, 3);
    assert_eq!(salvaged.get(Id([1; 16])).unwrap().unwrap().payload(), [1]);
    assert_eq!(salvaged.verify().unwrap().events, 5);
    // A marker that nobody can read.
    let unreadable = marked(&[(name, &one), (next, &two)]);
    unreadable.set_content(&file(MARKER), b"{".to_vec());
    assert_refused(&unreadable, &[1, 2, 3, 4, 5]);
    // Without the marker it is over.
    let done = with_segments(&[events([1, 3, 4])]);
    assert_eq!(read(&done, OpenMode::ReadOnly), Ok(vec![1, 3, 4]));
}

/// Recovery row 102. The marker of a later version of the crate is refused: which segments hold then is not
/// for us to guess.
#[test]
fn row_102_the_marker_of_a_later_version() {
    let vfs = with_segments(&[events(1..4)]);
    vfs.set_content(&file("compaction.pending"), b"anything".to_vec());
    for mode in [OpenMode::ReadOnly, OpenMode::Salvage] {
        assert_eq!(read(&vfs, mode), Err(ErrorKind::Unsupported));
    }
}
