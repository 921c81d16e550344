//! Arguments from JavaScript, as the core wants them.

use batpak_core::{
    CompactOptions, Direction, Durability, EntityFilter, Error, ErrorKind, EventKind,
    ExportOptions, FenceOptions, ForkOptions, ImportOptions, KeyOverflow, Keys, KindFilter, Link,
    OpenMode, OpenOptions, Query, Region, RepairOptions, Result, Retention, SnapshotOptions,
    Unwanted,
};
use napi::bindgen_prelude::BigInt;
use napi_derive::napi;

/// How to open a store; what is absent has the core's default.
#[napi(object, object_to_js = false)]
pub struct OpenArguments {
    /// The number of the mode.
    pub mode: Option<u32>,
    /// A segment of this size is sealed.
    pub segment_bytes: Option<BigInt>,
    /// The largest payload.
    pub max_payload_bytes: Option<u32>,
    /// The number of the durability of an append that names none.
    pub durability: Option<u32>,
    /// Buffered events are written when so many bytes have gathered.
    pub buffer_bytes: Option<u32>,
    /// Buffered events are written after so many milliseconds.
    pub buffer_ms: Option<u32>,
    /// The most files kept open.
    pub max_open_files: Option<u32>,
    /// How much of the segments is kept in memory.
    pub cache_bytes: Option<BigInt>,
    /// How often the store goes on by itself after a defect.
    pub restarts: Option<u32>,
    /// The defects of how many milliseconds count.
    pub restart_window_ms: Option<u32>,
    /// Makes ids and times functions of the seed and the sequence.
    pub seed: Option<BigInt>,
}

impl OpenArguments {
    pub(crate) fn options(&self) -> Result<OpenOptions> {
        let defaults = OpenOptions::default();
        Ok(OpenOptions {
            mode: self.mode.map_or(Ok(defaults.mode), open_mode)?,
            segment_bytes: u64_or(&self.segment_bytes, defaults.segment_bytes)?,
            max_payload_bytes: self.max_payload_bytes.unwrap_or(defaults.max_payload_bytes),
            durability: self
                .durability
                .map_or(Ok(None), durability)?
                .unwrap_or(defaults.durability),
            buffer_bytes: self.buffer_bytes.map_or(defaults.buffer_bytes, |bytes| bytes as usize),
            buffer_ms: self.buffer_ms.unwrap_or(defaults.buffer_ms),
            max_open_files: self.max_open_files.unwrap_or(defaults.max_open_files),
            cache_bytes: usize_or(&self.cache_bytes, defaults.cache_bytes)?,
            restarts: self.restarts.unwrap_or(defaults.restarts),
            restart_window_ms: self.restart_window_ms.unwrap_or(defaults.restart_window_ms),
            seed: self.seed.as_ref().map(u64_of).transpose()?,
        })
    }
}

/// A query; what is absent does not restrict it.
#[napi(object, object_to_js = false)]
pub struct QueryArguments {
    /// Only this entity.
    pub entity: Option<String>,
    /// Only this entity and what is below it.
    pub prefix: Option<String>,
    /// Only this scope.
    pub scope: Option<String>,
    /// Only this kind.
    pub kind: Option<u32>,
    /// Only kinds of this category.
    pub category: Option<u32>,
    /// Only this lane.
    pub lane: Option<u32>,
    /// Only clocks from here.
    pub first_clock: Option<u32>,
    /// Only clocks up to here.
    pub last_clock: Option<u32>,
    /// The first sequence to look at.
    pub from: Option<BigInt>,
    /// By falling sequence.
    pub backward: bool,
    /// At most so many events.
    pub limit: Option<BigInt>,
}

impl QueryArguments {
    pub(crate) fn query(self) -> Result<Query> {
        let direction = if self.backward { Direction::Backward } else { Direction::Forward };
        let from = self.from.as_ref().map(u64_of).transpose()?;
        let limit = self.limit.as_ref().map(u64_of).transpose()?;
        Ok(Query { region: self.region()?, direction, from, limit })
    }

    /// What events must match, wherever they are.
    pub(crate) fn region(self) -> Result<Region> {
        let entity = match (self.entity, self.prefix) {
            (None, None) => EntityFilter::Any,
            (Some(entity), None) => EntityFilter::Exact(entity),
            (None, Some(prefix)) => EntityFilter::Prefix(prefix),
            _ => return Err(invalid("a query has an entity or a prefix, not both")),
        };
        let kind = match (self.kind, self.category) {
            (None, None) => KindFilter::Any,
            (Some(kind), None) => KindFilter::Exact(EventKind(narrow(kind)?)),
            (None, Some(category)) => KindFilter::Category(narrow(category)?),
            _ => return Err(invalid("a query has a kind or a category, not both")),
        };
        let clocks = self.first_clock.zip(self.last_clock);
        Ok(Region { entity, scope: self.scope, kind, lane: self.lane, clocks })
    }
}

/// What to import, and how.
#[napi(object, object_to_js = false)]
pub struct ImportArguments {
    /// Only what matches this.
    pub region: QueryArguments,
    /// Go past damage.
    pub salvage: bool,
    /// Also what nothing vouches for.
    pub unvouched: bool,
    /// Plaintext instead of ciphertext.
    pub decrypt: bool,
}

impl ImportArguments {
    pub(crate) fn split(self) -> Result<(Region, ImportOptions)> {
        let Self { region, salvage, unvouched, decrypt } = self;
        Ok((region.region()?, ImportOptions { salvage, unvouched, decrypt }))
    }
}

/// What to export, and how.
#[napi(object, object_to_js = false)]
pub struct ExportArguments {
    /// Only what matches this.
    pub region: QueryArguments,
    /// What the crate 0.1 reads, too.
    pub plain: bool,
    /// A segment of this size is ended.
    pub segment_bytes: Option<BigInt>,
}

impl ExportArguments {
    pub(crate) fn split(self) -> Result<(Region, ExportOptions)> {
        let Self { region, plain, segment_bytes } = self;
        let segment_bytes = u64_or(&segment_bytes, ExportOptions::default().segment_bytes)?;
        Ok((region.region()?, ExportOptions { plain, segment_bytes }))
    }
}

/// How a store is repaired.
#[napi(object, object_to_js = false)]
pub struct RepairArguments {
    /// Also what something speaks against.
    pub keep_altered: bool,
    /// The places of so many lost events are held.
    pub max_lost: Option<BigInt>,
    /// The size of segments for what is appended anew.
    pub segment_bytes: Option<BigInt>,
    /// Makes the copy a function of the damage.
    pub seed: Option<BigInt>,
}

impl RepairArguments {
    pub(crate) fn options(&self) -> Result<RepairOptions> {
        let defaults = RepairOptions::default();
        Ok(RepairOptions {
            keep_altered: self.keep_altered,
            max_lost: u64_or(&self.max_lost, defaults.max_lost)?,
            segment_bytes: u64_or(&self.segment_bytes, defaults.segment_bytes)?,
            seed: self.seed.as_ref().map(u64_of).transpose()?,
        })
    }
}

/// How a fence is kept.
#[napi(object, object_to_js = false)]
pub struct FenceArguments {
    /// How much of it is kept in memory.
    pub memory_bytes: Option<BigInt>,
}

impl FenceArguments {
    pub(crate) fn options(&self) -> Result<FenceOptions> {
        let default = FenceOptions::default().memory_bytes;
        Ok(FenceOptions { memory_bytes: usize_or(&self.memory_bytes, default)? })
    }
}

/// How a snapshot is made.
#[napi(object, object_to_js = false)]
pub struct SnapshotArguments {
    /// The directory of an earlier one.
    pub earlier: Option<String>,
    /// Share no file with the store.
    pub independent: bool,
}

impl SnapshotArguments {
    pub(crate) fn options(self) -> SnapshotOptions {
        let Self { earlier, independent } = self;
        SnapshotOptions { earlier: earlier.map(Into::into), independent }
    }
}

/// How a fork is made.
#[napi(object, object_to_js = false)]
pub struct ForkArguments {
    /// How many events are common.
    pub at: Option<BigInt>,
    /// Share no file with the store.
    pub independent: bool,
}

impl ForkArguments {
    pub(crate) fn options(&self) -> Result<ForkOptions> {
        let at = self.at.as_ref().map(u64_of).transpose()?;
        Ok(ForkOptions { at, independent: self.independent })
    }
}

/// What a compaction does, but for the functions that it asks.
#[napi(object, object_to_js = false)]
pub struct CompactArguments {
    /// Which events go.
    pub retention: Option<RetentionArguments>,
    /// How many bytes are read and written in a second, at the most.
    pub bytes_per_second: BigInt,
}

/// Which events are no longer wanted, and what becomes of them.
#[napi(object, object_to_js = false)]
pub struct RetentionArguments {
    /// Events that do not match this stay.
    pub region: QueryArguments,
    /// Events from this sequence on stay.
    pub before: Option<BigInt>,
    /// Events of this timestamp or later stay.
    pub older_than_us: Option<BigInt>,
    /// So many newest events of each entity stay.
    pub newest_per_entity: Option<BigInt>,
    /// The number of what becomes of the others.
    pub unwanted: u32,
    /// Keys of so many sequences are kept.
    pub key_window: Option<BigInt>,
    /// The most keys to be kept.
    pub most_keys: Option<BigInt>,
    /// The number of what happens when there are more.
    pub key_overflow: u32,
}

impl CompactArguments {
    pub(crate) fn options<'a>(self) -> Result<CompactOptions<'a>> {
        Ok(CompactOptions {
            retention: self.retention.map(RetentionArguments::retention).transpose()?,
            bytes_per_second: u64_of(&self.bytes_per_second)?,
            progress: None,
        })
    }
}

impl RetentionArguments {
    fn retention<'a>(self) -> Result<Retention<'a>> {
        let keys = Keys::default();
        Ok(Retention {
            region: self.region.region()?,
            before: self.before.as_ref().map(u64_of).transpose()?,
            older_than_us: self.older_than_us.as_ref().map(i64_of).transpose()?,
            newest_per_entity: self.newest_per_entity.as_ref().map(u64_of).transpose()?,
            keep: None,
            unwanted: match self.unwanted {
                0 => Unwanted::Drop,
                1 => Unwanted::Tombstone,
                2 => Unwanted::Erase,
                _ => return Err(invalid("there is no such end of an event")),
            },
            keys: Keys {
                window: u64_or(&self.key_window, keys.window)?,
                most: u64_or(&self.most_keys, keys.most)?,
                overflow: match self.key_overflow {
                    0 => KeyOverflow::Warn,
                    1 => KeyOverflow::Refuse,
                    _ => return Err(invalid("there is no such overflow")),
                },
            },
        })
    }
}

/// A gate's verdict on a refused event.
#[napi(object, object_to_js = false)]
pub struct OutcomeArguments {
    /// The gate.
    pub gate: String,
    /// `permit`, `deny` or `skipped`.
    pub verdict: String,
    /// Of a denial: why, for programs.
    pub code: Option<String>,
    /// Of a denial: why, for people.
    pub message: Option<String>,
}

impl OutcomeArguments {
    pub(crate) fn outcome(self) -> Result<batpak_core::GateOutcome> {
        use batpak_core::{Refusal, Verdict};
        let verdict = match self.verdict.as_str() {
            "permit" => Verdict::Permit,
            "skipped" => Verdict::Skipped,
            "deny" => Verdict::Deny(Refusal {
                code: self.code.unwrap_or_default(),
                message: self.message.unwrap_or_default(),
            }),
            _ => return Err(invalid("a verdict is `permit`, `deny` or `skipped`")),
        };
        Ok(batpak_core::GateOutcome { gate: self.gate, verdict })
    }
}

/// The durability of an append; the last number stands for that of the store.
pub(crate) fn durability(number: u32) -> Result<Option<Durability>> {
    Ok(match number {
        0 => Some(Durability::Durable),
        1 => Some(Durability::Written),
        2 => Some(Durability::Buffered),
        3 => None,
        _ => return Err(invalid("there is no such durability")),
    })
}

pub(crate) fn link(number: u32) -> Result<Link> {
    match number {
        0 => Ok(Link::Stream),
        1 => Ok(Link::Causation),
        _ => Err(invalid("there is no such link")),
    }
}

fn open_mode(number: u32) -> Result<OpenMode> {
    match number {
        0 => Ok(OpenMode::Create),
        1 => Ok(OpenMode::Existing),
        2 => Ok(OpenMode::CreateNew),
        3 => Ok(OpenMode::ReadOnly),
        4 => Ok(OpenMode::Salvage),
        _ => Err(invalid("there is no such mode")),
    }
}

/// The number, if it is a u64. Zero may come without any word.
pub(crate) fn u64_of(number: &BigInt) -> Result<u64> {
    match number.words.as_slice() {
        [] => Ok(0),
        [word] if !number.sign_bit || *word == 0 => Ok(*word),
        _ => Err(invalid("a number is out of the range of 64 bits without sign")),
    }
}

/// The number, if it is an i64.
fn i64_of(number: &BigInt) -> Result<i64> {
    let size = match number.words.as_slice() {
        [] => 0,
        [word] => i128::from(*word),
        _ => i128::MAX,
    };
    let signed = if number.sign_bit { -size } else { size };
    signed.try_into().map_err(|_| invalid("a number is out of the range of 64 bits with sign"))
}

fn u64_or(number: &Option<BigInt>, default: u64) -> Result<u64> {
    number.as_ref().map_or(Ok(default), u64_of)
}

/// The number as a size; what is more than any size is as good as the largest.
fn usize_or(number: &Option<BigInt>, default: usize) -> Result<usize> {
    u64_or(number, default as u64).map(|size| usize::try_from(size).unwrap_or(usize::MAX))
}

fn narrow<T: TryFrom<u32>>(number: u32) -> Result<T> {
    number.try_into().map_err(|_| Error::new(ErrorKind::InvalidKind, "a kind is out of range"))
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}
