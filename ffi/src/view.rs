//! Events as C sees them, and the views that keep their bytes in place.

use crate::append::batpak_extension;
use crate::argument::{self, Output, batpak_bytes, batpak_text, invalid};
use crate::guard::guard;
use crate::handle::{self, Handled, Reservation};
use crate::id::{batpak_hash, batpak_id};
use crate::status::{batpak_error, batpak_status};
use batpak_core::{Event, Result};
use std::cell::Cell;

/// A view: keeps the events of one call in place. Released by batpak_view_release.
pub struct batpak_view;

/// A stored event. The texts and bytes belong to the view, or to the caller's buffer, that the
/// event came with.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_event {
    /// Its place in the whole log, from 0.
    pub sequence: u64,
    /// Its id.
    pub id: batpak_id,
    /// The id shared by all events of its operation; its own id if none was given.
    pub correlation: batpak_id,
    /// The id of the event that caused it; zeros when there is none.
    pub causation: batpak_id,
    /// When it happened, in microseconds since 1970.
    pub timestamp_us: i64,
    /// When it was recorded, in microseconds since 1970.
    pub wall_us: i64,
    /// Its place in its stream, from 0.
    pub clock: u32,
    /// The branch of the entity's stream; 0 is the trunk.
    pub lane: u32,
    /// How deep the branch lies; 0 is the trunk.
    pub depth: u32,
    /// What it says: a category (bits 12 to 15) and a type (bits 0 to 11).
    pub kind: u16,
    /// The version of the payload's schema; 0 means "not versioned".
    pub payload_version: u16,
    /// The caller's eight bits.
    pub flags: u8,
    /// 1 when later events of the same batch follow it.
    pub batch_continues: u8,
    /// 1 when a compaction has erased the payload, of which the hash is left.
    pub is_erased: u8,
    /// Zeros.
    pub reserved: [u8; 5],
    /// Whose event it is.
    pub entity: batpak_text,
    /// The area it lives in.
    pub scope: batpak_text,
    /// The payload, as it was handed in; nothing if it was erased.
    pub payload: batpak_bytes,
    /// The extensions as stored; batpak_extension_next reads them.
    pub extensions: batpak_bytes,
    /// The hash over the event and its stream up to it.
    pub hash: batpak_hash,
    /// The hash of the event before it in its stream; zeros for the first.
    pub prev_hash: batpak_hash,
    /// The segment that holds it.
    pub segment: u64,
    /// The byte offset of its frame in the segment.
    pub offset: u64,
    /// The size of its frame, in bytes: on disk, or, for an event of a 0.x store, as this format has
    /// it.
    pub stored_bytes: u64,
    /// Zeros.
    pub reserved_words: [u64; 3],
}

impl batpak_event {
    /// The C form of an event, which points into it.
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            sequence: event.sequence(),
            id: batpak_id::of(event.id()),
            correlation: batpak_id::of(event.correlation()),
            causation: event.causation().map_or(batpak_id::NONE, batpak_id::of),
            timestamp_us: event.timestamp_us(),
            wall_us: event.wall_us(),
            clock: event.clock(),
            lane: event.lane(),
            depth: event.depth(),
            kind: event.kind().0,
            payload_version: event.payload_version(),
            flags: event.flags(),
            batch_continues: event.batch_continues().into(),
            is_erased: event.is_erased().into(),
            reserved: [0; 5],
            entity: batpak_text::of(event.entity_bytes()),
            scope: batpak_text::of(event.scope_bytes()),
            payload: batpak_bytes::of(event.payload()),
            extensions: batpak_bytes::of(event.extension_bytes()),
            hash: batpak_hash::of(event.hash()),
            prev_hash: batpak_hash::of(event.prev_hash()),
            segment: event.segment(),
            offset: event.offset(),
            stored_bytes: event.stored_bytes() as u64,
            reserved_words: [0; 3],
        }
    }
}

/// What a view handle stands for.
struct View {
    /// What the caller reads. It points into `_pins` and is not touched again before both go.
    events: Vec<batpak_event>,
    _pins: Vec<Event>,
}

/// The largest array that is kept for the next view.
const SPARE_BYTES: usize = 1 << 20;

thread_local! {
    /// The array of the view that this thread released last. Scans ask for one page after the
    /// other, and fresh memory would cost more than all else: the system gives it page by page.
    static SPARE: Cell<Vec<batpak_event>> = const { Cell::new(Vec::new()) };
}

impl View {
    fn new(pins: Vec<Event>) -> Self {
        let mut events = SPARE.try_with(Cell::take).unwrap_or_default();
        events.extend(pins.iter().map(batpak_event::of));
        Self { events, _pins: pins }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        if events.capacity() * size_of::<batpak_event>() <= SPARE_BYTES {
            events.clear();
            // A thread that is ending keeps nothing.
            let _ended = SPARE.try_with(|spare| spare.set(events));
        }
    }
}

// SAFETY: the pointers in `events` point into `_pins`, which is immutable, and only the caller
// follows them.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl Handled for View {
    type Pointee = batpak_view;
}

/// The three places that a call writes its events to.
pub(crate) struct ViewOutput {
    view: Output<*mut batpak_view>,
    events: Output<*const batpak_event>,
    count: Output<usize>,
    reservation: Reservation,
}

impl ViewOutput {
    /// Everything that can fail is done here, so that no event is lost once it has been read.
    ///
    /// SAFETY: pointers that are not null can be written until this value is gone.
    pub(crate) unsafe fn new(
        view: *mut *mut batpak_view,
        events: *mut *const batpak_event,
        count: *mut usize,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe {
            Ok(Self {
                view: Output::new("view", view)?,
                events: Output::new("events", events)?,
                count: Output::new("count", count)?,
                reservation: handle::reserve()?,
            })
        }
    }

    pub(crate) fn set(self, pins: Vec<Event>) {
        self.count.set(pins.len());
        if pins.is_empty() {
            self.events.set(std::ptr::null());
            self.view.set(std::ptr::null_mut());
            return;
        }
        let view = View::new(pins);
        self.events.set(view.events.as_ptr());
        self.view.set(self.reservation.fill(view));
    }
}

/// Ends a view: its events, and all that they point to, are gone. Views need no store: they stay
/// valid after it was closed.
///
/// view: may be null, which does nothing.
///
/// Errors: BATPAK_BAD_HANDLE. Threads: any; the caller sees to it that no thread still reads the
/// events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_view_release(
    view: *mut batpak_view,
    error: *mut batpak_error,
) -> batpak_status {
    guard(error, || {
        if view.is_null() {
            return Ok(());
        }
        handle::remove::<View>(view, |_| Ok(()))
    })
}

/// The next extension of an event.
///
/// extensions, length: those of a batpak_event. position: 0 at first; moves behind the extension.
/// extension: gets the key and the value, which point into extensions; left alone at the end.
/// count: gets 1, or 0 when there are no more.
///
/// Errors: BATPAK_INVALID_ARGUMENT. Threads: any, also at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn batpak_extension_next(
    extensions: *const u8,
    length: usize,
    position: *mut usize,
    extension: *mut batpak_extension,
    count: *mut usize,
    error: *mut batpak_error,
) -> batpak_status {
    // SAFETY: the pointers are as the rules at the top of the header say.
    guard(error, || unsafe {
        let bytes = argument::array("extensions", extensions, length)?;
        let at = argument::required("position", position)?;
        let position = Output::new("position", position)?;
        let output = Output::new("extension", extension)?;
        let count = Output::new("count", count)?;
        let malformed = || invalid("extensions and position are not those of an event");
        let rest = bytes.get(at..).ok_or_else(malformed)?;
        if rest.is_empty() {
            count.set(0);
            return Ok(());
        }
        // Each is stored as the key's length and the value's length (u16, little-endian), the
        // key, the value.
        let (lengths, rest) = rest.split_at_checked(4).ok_or_else(malformed)?;
        let key_bytes = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let value_bytes = usize::from(u16::from_le_bytes([lengths[2], lengths[3]]));
        let (key, rest) = rest.split_at_checked(key_bytes).ok_or_else(malformed)?;
        let value = rest.get(..value_bytes).ok_or_else(malformed)?;
        let key = std::str::from_utf8(key).map_err(|_| malformed())?;
        output.set(batpak_extension { key: batpak_text::of(key), value: batpak_bytes::of(value) });
        position.set(at + 4 + key_bytes + value_bytes);
        count.set(1);
        Ok(())
    })
}
