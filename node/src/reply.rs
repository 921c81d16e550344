//! What calls give back, as JavaScript values.

use crate::error;
use crate::fence::NativeFence;
use crate::scan::{NativeScan, Source};
use crate::slab;
use crate::store::NativeStore;
use batpak_core::{
    Ancestry, Boundary, Committed, CompactReport, CopyReport, Diff, Dropped, Event, ExportReport,
    Fence, Finding, Frontier, Head, ImportReport, Inspection, LeftOut, LostEvents, OpenReport,
    Parent, Receipt, RepairReport, Result, Scan, SnapshotCheck, Stats, Store, StreamHead,
    VerifyReport,
};
use napi::bindgen_prelude::*;
use napi_derive::napi;

/// A value that a pool thread may make and the JavaScript thread turns into a JavaScript value.
pub(crate) trait Reply: Send + 'static {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>>;
}

impl Reply for () {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        self.into_unknown(env)
    }
}

impl Reply for u64 {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        BigInt::from(self).into_unknown(env)
    }
}

impl<T: Reply> Reply for Option<T> {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        match self {
            Some(value) => value.into_js(env),
            None => ().into_unknown(env),
        }
    }
}

/// Bytes that become one ArrayBuffer. They are copied into memory of the JavaScript engine:
/// memory of ours could be written to by JavaScript, and some hosts forbid it.
pub(crate) struct Block(Vec<u8>);

impl Reply for Block {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        Ok(ArrayBuffer::copy_from(env, &self.0)?.to_unknown())
    }
}

impl Block {
    pub(crate) fn of_events(events: &[Event]) -> Result<Self> {
        slab::events(events).map(Self)
    }

    pub(crate) fn of_receipts(receipts: &[Receipt]) -> Self {
        Self(slab::receipts(receipts))
    }

    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Reply for Store {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        Ok(NativeStore::new(self).into_instance(env)?.to_unknown())
    }
}

impl Reply for Scan {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        Source::Store(Box::new(self)).into_js(env)
    }
}

impl Reply for Source {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        Ok(NativeScan::new(self).into_instance(env)?.to_unknown())
    }
}

impl Reply for Fence {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        Ok(NativeFence::new(self).into_instance(env)?.to_unknown())
    }
}

/// The events of an ancestry as a block, and why there are no more.
pub(crate) struct AncestryReply {
    block: Block,
    boundary: Boundary,
}

impl AncestryReply {
    pub(crate) fn new(ancestry: &Ancestry) -> Result<Self> {
        Ok(Self { block: Block::of_events(&ancestry.events)?, boundary: ancestry.boundary })
    }
}

impl Reply for AncestryReply {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        let boundary = match self.boundary {
            Boundary::Genesis => "genesis",
            Boundary::Limit => "limit",
            Boundary::Missing => "missing",
            Boundary::Cycle => "cycle",
        };
        let mut object = Object::new(env)?;
        object.set("events", self.block.into_js(env)?)?;
        object.set("boundary", boundary)?;
        Ok(object.to_unknown())
    }
}

/// The end of a log.
#[napi(object, object_from_js = false)]
pub struct HeadObject {
    /// Visible events.
    pub events: BigInt,
    /// The hash of the last one.
    pub last_hash: String,
    /// The root of the tree.
    pub root: String,
}

impl Reply for Head {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        HeadObject {
            events: self.events.into(),
            last_hash: self.last_hash.to_string(),
            root: self.root.to_string(),
        }
        .into_unknown(env)
    }
}

/// The end of a stream.
#[napi(object, object_from_js = false)]
pub struct StreamHeadObject {
    /// The clock of its last event.
    pub clock: u32,
    /// The sequence of its last event.
    pub sequence: BigInt,
    /// The hash of its last event.
    pub hash: String,
}

impl Reply for StreamHead {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        StreamHeadObject {
            clock: self.clock,
            sequence: self.sequence.into(),
            hash: self.hash.to_string(),
        }
        .into_unknown(env)
    }
}

/// How far events have come.
#[napi(object, object_from_js = false)]
pub struct FrontierObject {
    /// Ordered, in memory.
    pub accepted: BigInt,
    /// Bytes in the file.
    pub written: BigInt,
    /// Confirmed by a sync.
    pub durable: BigInt,
    /// Shown to readers.
    pub visible: BigInt,
}

impl Reply for Frontier {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        FrontierObject {
            accepted: self.accepted.into(),
            written: self.written.into(),
            durable: self.durable.into(),
            visible: self.visible.into(),
        }
        .into_unknown(env)
    }
}

/// Sizes and identity of a store.
#[napi(object, object_from_js = false)]
pub struct StatsObject {
    /// Events that are shown.
    pub events: BigInt,
    /// Segments.
    pub segments: BigInt,
    /// Bytes of all segments.
    pub bytes: BigInt,
    /// Entities.
    pub entities: BigInt,
    /// Pairs of entity and lane.
    pub streams: BigInt,
    /// This directory's id.
    pub store_id: String,
    /// The id that forks share.
    pub lineage_id: String,
}

impl Reply for Stats {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        StatsObject {
            events: self.events.into(),
            segments: self.segments.into(),
            bytes: self.bytes.into(),
            entities: self.entities.into(),
            streams: self.streams.into(),
            store_id: self.store_id.to_string(),
            lineage_id: self.lineage_id.to_string(),
        }
        .into_unknown(env)
    }
}

/// What opening found and did.
#[napi(object, object_from_js = false)]
pub struct OpenReportObject {
    /// The store was created.
    pub created: bool,
    /// The store had been closed cleanly.
    pub clean: bool,
    /// The number of the format.
    pub format: u32,
    /// Events found.
    pub events: BigInt,
    /// Events that are not shown.
    pub hidden: BigInt,
    /// Segments found.
    pub segments: BigInt,
    /// Bytes cut from the unsynced end.
    pub cut_bytes: BigInt,
    /// Where they were cut.
    pub cut_at: Option<PlaceObject>,
    /// Why they were cut.
    pub cut_reason: String,
    /// Leftovers that were removed.
    pub removed: Vec<String>,
    /// Files that were left alone.
    pub ignored: Vec<String>,
    /// What was passed over.
    pub damage: Vec<String>,
}

/// A place in the files of a store.
#[napi(object, object_from_js = false)]
pub struct PlaceObject {
    /// The segment.
    pub segment: BigInt,
    /// The byte offset in it.
    pub offset: BigInt,
}

impl Reply for OpenReport {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        let place = |(segment, offset): (u64, u64)| PlaceObject {
            segment: segment.into(),
            offset: offset.into(),
        };
        OpenReportObject {
            created: self.created,
            clean: self.clean,
            format: self.format,
            events: self.events.into(),
            hidden: self.hidden.into(),
            segments: self.segments.into(),
            cut_bytes: self.cut_bytes.into(),
            cut_at: self.cut_at.map(place),
            cut_reason: self.cut_reason,
            removed: self.removed,
            ignored: self.ignored,
            damage: self.damage,
        }
        .into_unknown(env)
    }
}

impl Reply for Inspection {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        let refusal = self.refusal.map(|refusal| error::describe(env, &refusal)).transpose()?;
        let mut object = Object::new(env)?;
        object.set("opening", self.opening.name())?;
        object.set("refusal", refusal)?;
        object.set("storeId", self.store_id.to_string())?;
        object.set("lineageId", self.lineage_id.to_string())?;
        object.set("bytes", BigInt::from(self.bytes))?;
        object.set("report", self.report.into_js(env)?)?;
        Ok(object.to_unknown())
    }
}

/// What a verification found.
#[napi(object, object_from_js = false)]
pub struct VerifyReportObject {
    /// Whether nothing was found.
    pub intact: bool,
    /// Events that were checked.
    pub events: BigInt,
    /// Of those, events that were dropped.
    pub dropped: BigInt,
    /// Events that have become tombstones.
    pub tombstones: BigInt,
    /// Tombstones whose payload was erased.
    pub erased: BigInt,
    /// Segments that were checked.
    pub segments: BigInt,
    /// The hash of the last event, recomputed.
    pub last_hash: String,
    /// The root of the tree, recomputed.
    pub root: String,
    /// Every damage, in log order.
    pub findings: Vec<FindingObject>,
}

/// One damage.
#[napi(object, object_from_js = false)]
pub struct FindingObject {
    /// What kind.
    pub kind: String,
    /// In which segment.
    pub segment: BigInt,
    /// At which byte offset.
    pub offset: BigInt,
    /// What was expected and what was found.
    pub message: String,
}

impl From<VerifyReport> for VerifyReportObject {
    fn from(report: VerifyReport) -> Self {
        let finding = |finding: Finding| FindingObject {
            kind: finding.kind.name().to_owned(),
            segment: finding.segment.into(),
            offset: finding.offset.into(),
            message: finding.message,
        };
        Self {
            intact: report.is_intact(),
            events: report.events.into(),
            dropped: report.dropped.into(),
            tombstones: report.tombstones.into(),
            erased: report.erased.into(),
            segments: report.segments.into(),
            last_hash: report.last_hash.to_string(),
            root: report.root.to_string(),
            findings: report.findings.into_iter().map(finding).collect(),
        }
    }
}

impl Reply for VerifyReport {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        VerifyReportObject::from(self).into_unknown(env)
    }
}

/// What a repair did.
#[napi(object, object_from_js = false)]
pub struct RepairReportObject {
    /// The damaged store's id.
    pub source: String,
    /// The copy's own id.
    pub store_id: String,
    /// Events that were kept as they were.
    pub kept: BigInt,
    /// Events that were appended anew.
    pub appended: BigInt,
    /// Events behind those kept that had been dropped.
    pub dropped: BigInt,
    /// Events that were lost.
    pub lost: BigInt,
    /// Which.
    pub lost_events: Vec<LostEventsObject>,
    /// Bytes that the copy lacks.
    pub left_out: Vec<LeftOutObject>,
    /// What was found damaged.
    pub damage: Vec<String>,
    /// What verifying the copy found.
    pub verify: VerifyReportObject,
}

/// Lost events that follow each other.
#[napi(object, object_from_js = false)]
pub struct LostEventsObject {
    /// The sequence of the first.
    pub first_sequence: BigInt,
    /// How many.
    pub events: BigInt,
}

/// Bytes that a repaired copy lacks.
#[napi(object, object_from_js = false)]
pub struct LeftOutObject {
    /// In which segment.
    pub segment: BigInt,
    /// At which byte offset.
    pub offset: BigInt,
    /// How many.
    pub bytes: BigInt,
    /// The sequence of the first event there.
    pub first_sequence: BigInt,
    /// How many events.
    pub events: BigInt,
    /// Why.
    pub why: String,
}

impl Reply for RepairReport {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        let lost = |run: LostEvents| LostEventsObject {
            first_sequence: run.first_sequence.into(),
            events: run.events.into(),
        };
        let left_out = |left: LeftOut| LeftOutObject {
            segment: left.segment.into(),
            offset: left.offset.into(),
            bytes: left.bytes.into(),
            first_sequence: left.first_sequence.into(),
            events: left.events.into(),
            why: left.why,
        };
        RepairReportObject {
            source: self.source.to_string(),
            store_id: self.store_id.to_string(),
            kept: self.kept.into(),
            appended: self.appended.into(),
            dropped: self.dropped.into(),
            lost: self.lost.into(),
            lost_events: self.lost_events.into_iter().map(lost).collect(),
            left_out: self.left_out.into_iter().map(left_out).collect(),
            damage: self.damage,
            verify: self.verify.into(),
        }
        .into_unknown(env)
    }
}

/// What an import did.
#[napi(object, object_from_js = false)]
pub struct ImportReportObject {
    /// The source's id.
    pub source: String,
    /// The number of the source's format.
    pub format: u32,
    /// Events that were appended.
    pub imported: BigInt,
    /// Events that were there already.
    pub already_there: BigInt,
    /// Events that nobody may see.
    pub hidden: BigInt,
    /// Events that do not match.
    pub outside: BigInt,
    /// Events that were left out.
    pub dropped: BigInt,
    /// Whether the sequences are those of the source.
    pub sequences_kept: bool,
    /// Idempotency keys whose events are gone.
    pub keys_without_events: BigInt,
    /// Why events were left out.
    pub drops: Vec<DroppedObject>,
}

/// An event, or a place in a file, that was left out.
#[napi(object, object_from_js = false)]
pub struct DroppedObject {
    /// In which segment.
    pub segment: BigInt,
    /// At which byte offset.
    pub offset: BigInt,
    /// Its sequence in the store that was read.
    pub sequence: Option<BigInt>,
    /// Whether it is an event.
    pub is_event: bool,
    /// Why.
    pub reason: String,
}

impl From<Dropped> for DroppedObject {
    fn from(dropped: Dropped) -> Self {
        Self {
            segment: dropped.segment.into(),
            offset: dropped.offset.into(),
            sequence: dropped.sequence.map(BigInt::from),
            is_event: dropped.is_event,
            reason: dropped.reason,
        }
    }
}

impl Reply for ImportReport {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        ImportReportObject {
            source: self.source.to_string(),
            format: self.format,
            imported: self.imported.into(),
            already_there: self.already_there.into(),
            hidden: self.hidden.into(),
            outside: self.outside.into(),
            dropped: self.dropped.into(),
            sequences_kept: self.sequences_kept,
            keys_without_events: self.keys_without_events.into(),
            drops: self.drops.into_iter().map(DroppedObject::from).collect(),
        }
        .into_unknown(env)
    }
}

/// What an export did.
#[napi(object, object_from_js = false)]
pub struct ExportReportObject {
    /// Events that were written.
    pub exported: BigInt,
    /// Places of hidden events that were written.
    pub hidden: BigInt,
    /// Events that were left out.
    pub dropped: BigInt,
    /// Segments that were written.
    pub segments: BigInt,
    /// Their bytes.
    pub bytes: BigInt,
    /// Why events were left out.
    pub drops: Vec<DroppedObject>,
}

impl Reply for ExportReport {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        ExportReportObject {
            exported: self.exported.into(),
            hidden: self.hidden.into(),
            dropped: self.dropped.into(),
            segments: self.segments.into(),
            bytes: self.bytes.into(),
            drops: self.drops.into_iter().map(DroppedObject::from).collect(),
        }
        .into_unknown(env)
    }
}

/// What committing a fence did.
#[napi(object, object_from_js = false)]
pub struct CommittedObject {
    /// The sequence of its first event.
    pub first_sequence: BigInt,
    /// How many events it has.
    pub events: BigInt,
    /// Whether its events were there before.
    pub duplicate: bool,
}

impl Reply for Committed {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        CommittedObject {
            first_sequence: self.first_sequence.into(),
            events: self.events.into(),
            duplicate: self.duplicate,
        }
        .into_unknown(env)
    }
}

/// What a compaction did.
#[napi(object, object_from_js = false)]
pub struct CompactReportObject {
    /// Segments before.
    pub segments_before: BigInt,
    /// Segments afterwards.
    pub segments_after: BigInt,
    /// Segments that others took the place of.
    pub segments_replaced: BigInt,
    /// Segments that took their place.
    pub segments_written: BigInt,
    /// Bytes of all segments before.
    pub bytes_before: BigInt,
    /// Bytes of all segments afterwards.
    pub bytes_after: BigInt,
    /// Events that were dropped.
    pub events_dropped: BigInt,
    /// Events that became tombstones, or were erased.
    pub tombstones: BigInt,
    /// Keys of dropped events in the window.
    pub keys_kept: BigInt,
    /// How many of those are too many.
    pub keys_over: BigInt,
}

impl Reply for CompactReport {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        CompactReportObject {
            segments_before: self.segments_before.into(),
            segments_after: self.segments_after.into(),
            segments_replaced: self.segments_replaced.into(),
            segments_written: self.segments_written.into(),
            bytes_before: self.bytes_before.into(),
            bytes_after: self.bytes_after.into(),
            events_dropped: self.events_dropped.into(),
            tombstones: self.tombstones.into(),
            keys_kept: self.keys_kept.into(),
            keys_over: self.keys_over.into(),
        }
        .into_unknown(env)
    }
}

/// What a snapshot or a fork holds.
#[napi(object, object_from_js = false)]
pub struct CopyReportObject {
    /// The store id of the copy.
    pub store_id: String,
    /// The events in it.
    pub events: BigInt,
    /// The root of the tree over those.
    pub root: String,
    /// Its segments.
    pub segments: BigInt,
    /// Segments that it shares with another store.
    pub linked: BigInt,
    /// Segments that were copied.
    pub copied: BigInt,
    /// The bytes of those.
    pub bytes_copied: BigInt,
}

impl Reply for CopyReport {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        CopyReportObject {
            store_id: self.store_id.to_string(),
            events: self.events.into(),
            root: self.root.to_string(),
            segments: self.segments.into(),
            linked: self.linked.into(),
            copied: self.copied.into(),
            bytes_copied: self.bytes_copied.into(),
        }
        .into_unknown(env)
    }
}

/// How two logs compare.
#[napi(object, object_from_js = false)]
pub struct DiffObject {
    /// So many events are the same in both.
    pub common: BigInt,
    /// The events of this store.
    pub ours: BigInt,
    /// The events of the other store.
    pub theirs: BigInt,
}

impl From<Diff> for DiffObject {
    fn from(diff: Diff) -> Self {
        Self { common: diff.common.into(), ours: diff.ours.into(), theirs: diff.theirs.into() }
    }
}

impl Reply for Diff {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        DiffObject::from(self).into_unknown(env)
    }
}

/// What a snapshot is worth.
#[napi(object, object_from_js = false)]
pub struct SnapshotCheckObject {
    /// Whether it is intact, and the log begins with it.
    pub is_prefix: bool,
    /// What verifying it found.
    pub report: VerifyReportObject,
    /// How it compares with the store.
    pub diff: Option<DiffObject>,
}

impl Reply for SnapshotCheck {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        SnapshotCheckObject {
            is_prefix: self.is_prefix(),
            report: self.report.into(),
            diff: self.diff.map(DiffObject::from),
        }
        .into_unknown(env)
    }
}

/// What a store was forked from.
#[napi(object, object_from_js = false)]
pub struct ParentObject {
    /// The store.
    pub store_id: String,
    /// So many events are common.
    pub events: BigInt,
    /// The root of the tree over those.
    pub root: String,
}

impl Reply for Parent {
    fn into_js(self, env: &Env) -> napi::Result<Unknown<'_>> {
        ParentObject {
            store_id: self.store_id.to_string(),
            events: self.events.into(),
            root: self.root.to_string(),
        }
        .into_unknown(env)
    }
}
