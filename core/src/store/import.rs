//! Importing: the events of another store, of this format or of the batpak crate 0.x, brought over
//! with their ids, kinds, times, lanes, causes and extensions.
//!
//! Every event keeps its id, which makes an import repeatable: what is there already is left alone,
//! so that an import that was interrupted, or whose source has grown, is simply run again. Where
//! each event comes from is noted in its extension [`ORIGIN`], under its hash.

use super::old::{Doubt, Payloads};
use super::prepare::{Recorded, Request, is_same_of_caller};
use super::{Inner, Store, open};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Causation, Event, Extensions, MAX_EXTENSION_BYTES, push_extension};
use crate::format::hash::payload_hash;
use crate::ids::Id;
use crate::kind::EventKind;
use crate::options::{
    Durability, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_PAYLOAD_BYTES, OpenMode, OpenOptions,
};
use crate::region::{Query, Region};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// The extension that says where an imported event comes from. Its bytes: docs/format.md, "Imported
/// events".
pub(crate) const ORIGIN: &str = "batpak.import";
/// Where the place of an event stands that its source hides.
pub(crate) const HIDDEN_ENTITY: &str = "batpak:import";
/// The scope of such places.
pub(crate) const HIDDEN_SCOPE: &str = "batpak:hidden";

const ORIGIN_FORM: u8 = 1;
/// Beside what speaks against an event: a compaction had erased its payload, which is empty here.
const ERASED: u8 = 0x10;
/// Events are appended in groups of about so many bytes: one write each.
const GROUP_BYTES: usize = 1 << 20;
/// And at most so many events, as long as no batch is cut.
const GROUP_EVENTS: usize = 1024;
/// How many pages of the source are read before they are needed.
const PAGES_AHEAD: usize = 2;
/// An import or an export tells of so many events that it left out; it counts the others.
pub const MOST_DROPS: usize = 1000;
/// What an extension takes that says where an event comes from.
const ORIGIN_BYTES: usize = 4 + ORIGIN.len() + 30;

/// How events are imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Go past damage in the source: import what can still be read, as opening it for salvage
    /// would. Without it, a damaged source is refused.
    pub salvage: bool,
    /// Import also the events of a 0.x store that nothing vouches for, since their payload is not
    /// what their hash says, their predecessor is another than their link says, or their key does
    /// not open them. They are marked.
    pub unvouched: bool,
    /// Import the plaintext of encrypted payloads of a 0.x store whose key is there. Without it the
    /// ciphertext is imported, with what is needed to decrypt it in the extension
    /// `batpak.encryption`.
    pub decrypt: bool,
}

/// What a repair asks of the import that brings over what is behind the first damage.
pub(super) struct Mending<'a> {
    /// These events of the source come over, each to its own sequence.
    pub(super) from: u64,
    pub(super) count: u64,
    /// So many events the log had: the places of those that do not come over are held.
    pub(super) until: u64,
    /// The places of so many at the most.
    pub(super) max_lost: u64,
    /// The events that something speaks against.
    pub(super) doubts: &'a BTreeMap<u64, Doubt>,
}

/// What an import did. The counts add up to the events of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// The source's id: its store id, or for a 0.x store one derived from its first event.
    pub source: Id,
    /// The format of the source: 2, or 1 for the batpak crate 0.x.
    pub format: u32,
    /// Events that were appended.
    pub imported: u64,
    /// Events that were there already, from an earlier import.
    pub already_there: u64,
    /// Events of cancelled fences of a 0.x store, which nobody may see. Where sequences are kept,
    /// an empty event of kind [`EventKind::TOMBSTONE`] holds the place of each.
    pub hidden: u64,
    /// Events that are not in the region.
    pub outside: u64,
    /// Events that were left out; the reasons are in `drops`.
    pub dropped: u64,
    /// Every event of the source that is in this store has the sequence that it has there.
    pub sequences_kept: bool,
    /// Idempotency keys of a 0.x store whose events a compaction has removed: they cannot be kept.
    pub keys_without_events: u64,
    /// Why events were left out: the first [`MOST_DROPS`].
    pub drops: Vec<Dropped>,
}

/// An event, or a place in a file, that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The segment of the source.
    pub segment: u64,
    /// The byte offset in it.
    pub offset: u64,
    /// The sequence in the source, if it has one.
    pub sequence: Option<u64>,
    /// It is an event; otherwise it is bytes that may have been events.
    pub is_event: bool,
    /// Why.
    pub reason: String,
}

impl Dropped {
    pub(super) fn of(event: &Event, reason: String) -> Self {
        Self {
            segment: event.segment(),
            offset: event.offset(),
            sequence: Some(event.sequence()),
            is_event: true,
            reason,
        }
    }
}

/// Adds to what is told one by one, as long as there is room.
pub(super) fn tell(drops: &mut Vec<Dropped>, dropped: Dropped) {
    if drops.len() < MOST_DROPS {
        drops.push(dropped);
    }
}

/// What is known of where an imported event comes from.
pub(crate) struct Origin {
    pub(crate) source: Id,
    pub(crate) sequence: u64,
    pub(crate) clock: u32,
    /// What speaks against it, and whether it was erased.
    pub(crate) marks: u8,
}

impl Origin {
    fn encode(&self) -> [u8; 30] {
        let mut bytes = [0; 30];
        bytes[0] = ORIGIN_FORM;
        bytes[1] = self.marks;
        bytes[2..18].copy_from_slice(&self.source.0);
        bytes[18..26].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[26..30].copy_from_slice(&self.clock.to_le_bytes());
        bytes
    }

    /// Where this event was imported from; `None` if it was not.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let (_, bytes) = event.extensions().find(|(key, _)| *key == ORIGIN)?;
        let bytes: [u8; 30] = bytes.try_into().ok()?;
        let (mut source, mut sequence, mut clock) = (Id::NONE, [0; 8], [0; 4]);
        source.0.copy_from_slice(&bytes[2..18]);
        sequence.copy_from_slice(&bytes[18..26]);
        clock.copy_from_slice(&bytes[26..30]);
        (bytes[0] == ORIGIN_FORM).then_some(Self {
            source,
            sequence: u64::from_le_bytes(sequence),
            clock: u32::from_le_bytes(clock),
            marks: bytes[1],
        })
    }
}

/// Where the place of an event stands that was lost.
const LOST_ENTITY: &str = "batpak:repair";
const LOST_SCOPE: &str = "batpak:lost";

/// Whether the event only holds the place of one that the source hides.
pub(crate) fn is_hidden_place(event: &Event) -> bool {
    event.kind() == EventKind::TOMBSTONE && is_place(event.entity(), event.scope())
}

fn is_place(entity: &str, scope: &str) -> bool {
    (entity, scope) == (HIDDEN_ENTITY, HIDDEN_SCOPE)
}

impl Store {
    /// Imports the events of another store that are in the region: of this format, or of the batpak
    /// crate 0.1 to 0.10. The source is opened for reading and not changed.
    ///
    /// Kept are ids, kinds, times, lanes, depths, flags, correlation, causation, extensions, payload
    /// versions, payloads and batches (one of more than 65,536 events becomes several); and sequences, when everything is imported into an empty
    /// store and nobody appends meanwhile. Clocks and hashes are those of this store. Where an event
    /// comes from is in its extension `batpak.import`.
    ///
    /// An event whose id is here already with the same content is counted and left alone: an import
    /// can be repeated, and goes on where it was interrupted. All of it is durable on return.
    pub fn import_from(
        &self,
        source: impl AsRef<Path>,
        region: &Region,
        options: &ImportOptions,
    ) -> Result<ImportReport> {
        self.0.writer()?;
        region.check()?;
        let source = self.0.open_source(source.as_ref(), options)?;
        let mut import = Import::new(&self.0, &source, region, options);
        let imported = import.run();
        // What was written is synced, also when something went wrong behind it.
        let synced = self.sync();
        imported?;
        synced?;
        Ok(import.report)
    }
}

/// Brings over to the copy of a damaged store what is behind the part that was kept. Gives the events
/// that were left out.
pub(super) fn mend(
    to: &Store,
    source: &Store,
    options: &ImportOptions,
    mending: Mending<'_>,
) -> Result<Vec<Dropped>> {
    let region = Region::all();
    let mut import = Import::new(&to.0, source, &region, options);
    import.doubts = Some(mending.doubts);
    import.mending = Some(mending);
    import.run()?;
    to.sync()?;
    Ok(import.report.drops)
}

impl Inner {
    fn open_source(&self, path: &Path, options: &ImportOptions) -> Result<Store> {
        let mode = if options.salvage { OpenMode::Salvage } else { OpenMode::ReadOnly };
        let open = OpenOptions { mode, cache_bytes: 0, ..OpenOptions::default() };
        let payloads = if options.decrypt { Payloads::Decrypted } else { Payloads::Kept };
        let source = open::open_for_reading(self.files.vfs.clone(), path, &open, payloads)?;
        if source.path() == self.files.dir {
            return Err(Error::invalid("a store cannot be imported into itself").at_path(path));
        }
        Ok(source)
    }
}

/// Whether an event is one that is there, wherever either came from.
fn is_same(event: &Recorded<'_>, extensions: &[u8], found: &Event) -> bool {
    let there = Recorded::of(found);
    let same_kind = event.kind == there.kind || event.appended_kind == there.appended_kind;
    let hash = |of: &Recorded<'_>| of.erased.unwrap_or_else(|| payload_hash(of.payload));
    let same_payload = event.payload == there.payload && event.erased == there.erased
        || hash(event) == hash(&there)
        || event.erased.is_some() && there.payload.is_empty();
    // When it was recorded here, and in which batch, is this store's affair; so is what a compaction
    // has made of it, here or there.
    let there = Recorded {
        wall_us: event.wall_us,
        batch_continues: event.batch_continues,
        kind: event.kind,
        payload: event.payload,
        appended_kind: event.appended_kind,
        erased: event.erased,
        ..there
    };
    let same = same_kind && same_payload && *event == there;
    same && is_same_of_caller(extensions, found.extension_bytes())
}

/// Whether there is room among its extensions to say where an event comes from, if they do not yet.
fn has_room(extensions: &[u8]) -> bool {
    Extensions::of(extensions).any(|(key, _)| key == ORIGIN)
        || extensions.len() + ORIGIN_BYTES <= MAX_EXTENSION_BYTES
}

struct Import<'a> {
    to: &'a Inner,
    source: &'a Store,
    region: &'a Region,
    unvouched: bool,
    /// The events that nothing vouches for.
    doubts: Option<&'a BTreeMap<u64, Doubt>>,
    mending: Option<Mending<'a>>,
    report: ImportReport,
    /// The next group, and the ids in it.
    request: Box<Request>,
    ids: HashSet<Id>,
    /// The sequence in the source of the event that was added last.
    last: Option<u64>,
    /// When the event was that was taken last, and when it was recorded.
    times: (i64, i64),
    /// The sequence that the next event to be appended gets, if nobody else appends.
    next: u64,
    extensions: Vec<u8>,
}

impl<'a> Import<'a> {
    fn new(to: &'a Inner, source: &'a Store, region: &'a Region, options: &ImportOptions) -> Self {
        let report = ImportReport {
            source: source.0.store,
            format: source.0.report.format,
            hidden: source.0.report.hidden,
            sequences_kept: *region == Region::all(),
            keys_without_events: source.0.old.as_ref().map_or(0, |old| old.keys_without_events),
            ..ImportReport::default()
        };
        Self {
            to,
            source,
            region,
            unvouched: options.unvouched,
            doubts: source.0.old.as_ref().map(|old| &old.doubts),
            mending: None,
            report,
            request: Request::settling(Durability::Written),
            ids: HashSet::new(),
            last: None,
            times: (source.0.created_us, source.0.created_us),
            next: to.live.read().visible(),
            extensions: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<()> {
        for dropped in self.source.0.old.iter().flat_map(|old| &old.dropped) {
            tell(&mut self.report.drops, dropped.clone());
        }
        self.report.dropped = self.source.0.old.as_ref().map_or(0, |old| old.dropped_events);
        // One thread reads while this one appends.
        let mut query = Query::new(self.region.clone());
        if let Some(mending) = &self.mending {
            query = query.from(mending.from).limit(mending.count);
        }
        let mut scan = self.source.read(query)?;
        let (sender, pages) = flume::bounded(PAGES_AHEAD);
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().name("batpak-import".to_owned());
            let reading = reader.spawn_scoped(scope, move || {
                loop {
                    let page = scan.next_page(GROUP_EVENTS, GROUP_BYTES);
                    let is_last = page.as_ref().map_or(true, Vec::is_empty);
                    // The import ends early only with an error.
                    if sender.send(page).is_err() || is_last {
                        break;
                    }
                }
            });
            reading.map_err(|e| Error::io("cannot start a thread", self.source.path(), &e))?;
            self.take_pages(pages)
        })
    }

    /// Takes the receiver, so that the thread that sends does not wait for one that has stopped.
    fn take_pages(&mut self, pages: flume::Receiver<Result<Vec<Event>>>) -> Result<()> {
        let mut inside = 0;
        for page in pages {
            let page = page?;
            inside += page.len() as u64;
            for event in &page {
                self.take(event)?;
            }
            let ends_batch = page.last().is_none_or(|last| !last.batch_continues());
            if ends_batch || self.is_full() {
                self.append()?;
            }
        }
        if let Some(Mending { until, .. }) = self.mending {
            self.keep_places(until, self.times)?;
        }
        self.append()?;
        self.report.outside = self.source.0.shown_events().saturating_sub(inside);
        self.report.sequences_kept &= self.report.imported + self.report.already_there > 0;
        Ok(())
    }

    /// Whether even a batch goes on in another group.
    fn is_full(&self) -> bool {
        self.request.len() >= MAX_BATCH_EVENTS || self.request.frame_bytes() >= MAX_BATCH_BYTES / 2
    }

    /// Adds an event to the group, or says why not.
    fn take(&mut self, event: &Event) -> Result<()> {
        if let Err(reason) = self.check(event) {
            self.drop(Dropped::of(event, reason));
            return Ok(());
        }
        if self.ids.contains(&event.id()) {
            self.append()?;
        }
        self.report.hidden += u64::from(is_hidden_place(event));
        self.times = (event.timestamp_us(), event.wall_us());
        self.keep_places(event.sequence(), self.times)?;
        let Doubt(doubt) = self.doubt_of(event.sequence()).unwrap_or_default();
        let marks = doubt | if event.is_erased() { ERASED } else { 0 };
        let place = (event.sequence(), event.clock());
        self.add(&Recorded::of(event), event.extension_bytes(), place, marks)
    }

    fn drop(&mut self, dropped: Dropped) {
        self.report.dropped += 1;
        self.report.sequences_kept = false;
        match self.mending {
            Some(_) => self.report.drops.push(dropped),
            None => tell(&mut self.report.drops, dropped),
        }
    }

    /// Why an event cannot be imported, or is not without being asked for.
    fn check(&self, event: &Event) -> std::result::Result<(), String> {
        if let Some(doubt) = self.doubt_of(event.sequence())
            && !self.unvouched
        {
            return Err(format!("{}; it is taken over on request", doubt.reasons()));
        }
        if event.id().is_none() {
            return Err("its id is all zeros, which means `none`".to_owned());
        }
        let longest = event.entity().len().max(event.scope().len());
        if longest > crate::MAX_COORDINATE_BYTES {
            return Err(format!("its entity or scope has {longest} bytes"));
        }
        if event.payload().len() > MAX_PAYLOAD_BYTES as usize {
            return Err(format!("its payload has {} bytes", event.payload().len()));
        }
        if !has_room(event.extension_bytes()) && self.mending.is_none() {
            return Err("its extensions leave no room for where it comes from".to_owned());
        }
        Ok(())
    }

    fn doubt_of(&self, sequence: u64) -> Option<Doubt> {
        self.doubts?.get(&sequence).copied()
    }

    /// Puts an empty event in the place of each that the source hides, or has lost, up to this
    /// sequence, if that is what keeps it. `times` are those of the event behind them.
    fn keep_places(&mut self, until: u64, times: (i64, i64)) -> Result<()> {
        let places = self.next + self.request.len() as u64..until;
        if places.is_empty() {
            return Ok(());
        }
        let (domain, entity, scope) = match (&mut self.mending, &self.source.0.old) {
            (Some(mending), _) => {
                let count = until - places.start;
                mending.max_lost = mending.max_lost.checked_sub(count).ok_or_else(|| {
                    let why = format!("{count} events are lost before event {until}");
                    Error::new(ErrorKind::TooLarge, why + "; allow for more to hold their places")
                })?;
                ("batpak.repair.lost", LOST_ENTITY, LOST_SCOPE)
            }
            (None, Some(old))
                if self.report.sequences_kept
                    && places.clone().all(|place| old.hidden.binary_search(&place).is_ok()) =>
            {
                ("batpak.import.hidden", HIDDEN_ENTITY, HIDDEN_SCOPE)
            }
            _ => return Ok(()),
        };
        self.request.end_batch();
        for sequence in places {
            let parts: [&[u8]; 2] = [&self.report.source.0, &sequence.to_le_bytes()];
            let id = Id::for_operation(domain, &parts);
            let place = Recorded {
                id,
                correlation: id,
                entity,
                scope,
                kind: EventKind::TOMBSTONE.0,
                appended_kind: EventKind::TOMBSTONE.0,
                erased: None,
                timestamp_us: times.0,
                wall_us: times.1,
                ..Recorded::default()
            };
            self.add(&place, &[], (sequence, 0), 0)?;
            if self.is_full() {
                self.append()?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        event: &Recorded<'_>,
        extensions: &[u8],
        (sequence, clock): (u64, u32),
        marks: u8,
    ) -> Result<()> {
        let is_place = is_place(event.entity, event.scope);
        let follows = self.last.is_some_and(|last| last.checked_add(1) == Some(sequence));
        if !follows {
            // An event of its batch is missing before it.
            self.request.end_batch();
        }
        self.last = Some(sequence);

        let origin = Origin { source: self.report.source, sequence, clock, marks };
        self.extensions.clear();
        // One that was imported into the source keeps where it first came from.
        if has_room(extensions) {
            push_extension(extensions, ORIGIN, &origin.encode(), &mut self.extensions);
        } else {
            self.extensions.extend_from_slice(extensions);
        }
        self.request.add_recorded(event, &self.extensions);

        let known = self.to.find(event.id)?;
        let Some(found) = known else {
            let place = self.next + self.request.len() as u64 - 1;
            self.report.sequences_kept &= place == sequence;
            self.ids.insert(event.id);
            return Ok(());
        };
        let same = is_same(event, extensions, &found);
        self.request.remove_last();
        self.request.end_batch();
        self.last = None;
        if same && self.mending.is_none() {
            self.report.already_there += u64::from(!is_place);
            self.report.sequences_kept &= found.sequence() == sequence;
            return Ok(());
        }
        self.tell_taken(event.id, Some(sequence), found.sequence());
        Ok(())
    }

    fn tell_taken(&mut self, id: Id, sequence: Option<u64>, by: u64) {
        let reason = match self.mending {
            Some(_) => format!("its id {id} is that of event {by}"),
            None => format!("its id {id} is taken by event {by} with other content"),
        };
        self.drop(Dropped { segment: 0, offset: 0, sequence, is_event: true, reason });
    }

    /// Appends the group.
    fn append(&mut self) -> Result<()> {
        if self.request.len() == 0 {
            return Ok(());
        }
        self.request.end_batch();
        self.request.hash_payloads();
        let blank = Request::settling(Durability::Written);
        let mut request = std::mem::replace(&mut self.request, blank);
        self.ids.clear();
        self.last = None;
        loop {
            let places =
                request.events().filter(|event| is_place(event.entity(), event.scope())).count();
            let added = request.len();
            request = self.to.submit(self.to.writer()?, request);
            let failure = request.failure.as_ref().map(Error::kind);
            if failure == Some(ErrorKind::IdempotencyConflict) {
                // Somebody has appended some of them meanwhile.
                self.leave_out_known(&mut request)?;
                self.report.sequences_kept = false;
                if request.len() == 0 {
                    return Ok(());
                }
                continue;
            }
            let receipts = request.finish().map_err(|error| {
                let kind = error.kind();
                let why = "the import stopped; running it again goes on from there";
                let is_told = kind == ErrorKind::Indeterminate || self.mending.is_some();
                if is_told { error } else { error.into_kind(kind, why) }
            })?;
            let first = receipts.first().map_or(self.next, |receipt| receipt.sequence);
            self.report.sequences_kept &= first == self.next;
            let events = (added - places) as u64;
            if receipts.iter().all(|receipt| receipt.duplicate) {
                // All of them were appended by somebody else.
                self.report.already_there += events;
                self.next = self.to.live.read().visible();
            } else {
                self.report.imported += events;
                self.next = first + added as u64;
            }
            return Ok(());
        }
    }

    /// Takes those events out of a group that are in the store by now.
    fn leave_out_known(&mut self, request: &mut Request) -> Result<()> {
        let mut taken = Vec::new();
        let mut failure = None;
        let (mut known, to) = (0, self.to);
        request.retain(|event| {
            let Some(id) = event.id else { return true };
            let cause = match event.causation {
                Causation::Event(id) => id,
                _ => Id::NONE,
            };
            match to.find(id) {
                Ok(None) => return true,
                Ok(Some(found)) if event.made(&found.frame(), found.bytes(), cause) => {
                    known += u64::from(!is_place(event.entity(), event.scope()));
                }
                Ok(Some(found)) => taken.push((id, found.sequence())),
                Err(error) => failure = Some(error),
            }
            false
        });
        self.report.already_there += known;
        taken.into_iter().for_each(|(id, by)| self.tell_taken(id, None, by));
        self.next = to.live.read().visible();
        failure.map_or(Ok(()), Err)
    }
}
