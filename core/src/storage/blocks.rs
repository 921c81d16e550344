//! Reading segments through memory. What a segment's file holds below its settled end never
//! changes, so blocks of it are kept, within a budget, and never go stale.
//!
//! The files are read and not mapped: a mapping of a file that somebody cuts, or whose disk fails,
//! ends the process with a signal, and no library can prevent that. A block in memory costs a lock
//! and a copy more.

use super::files::Files;
use super::{VfsFile, read_full_at};
use crate::error::{Error, Result};
use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

const BLOCK_BYTES: u64 = 32 << 10;
/// Slots are made so many at a time, when one of them is first asked for.
const SLOTS: usize = 256;
/// Longer reads go to the file: a scan must not drive out what is read again and again.
const LONGEST_READ_BYTES: usize = 2 * BLOCK_BYTES as usize;
/// A block is kept once it was asked for so many times: often where another must go for it, since
/// reading all of it costs as much as reading ten pieces.
const WANTED: u8 = 2;
const WANTED_INSTEAD: u8 = 64;

/// The blocks of all segments of a store.
pub(crate) struct Cache {
    limit: usize,
    used: AtomicUsize,
    /// Which blocks are kept, the oldest first.
    kept: Mutex<VecDeque<Kept>>,
    /// How many bytes of id filters there may still be.
    filters_left: AtomicUsize,
}

struct Kept {
    owner: Weak<Blocks>,
    number: u32,
    bytes: usize,
}

/// The blocks of one segment.
pub(crate) struct Blocks {
    cache: Arc<Cache>,
    own: Weak<Blocks>,
    slots: Box<[OnceLock<Box<[Slot]>>]>,
}

#[derive(Default)]
struct Slot {
    block: RwLock<Option<Box<[u8]>>>,
    /// How often it was asked for, since it was last let off being driven out.
    asked: AtomicU8,
}

/// From where, and how far, a segment can be read.
pub(crate) struct Place<'a> {
    pub(crate) files: &'a Files,
    pub(crate) number: u64,
    /// The newest segment's file, which is open anyway.
    pub(crate) file: Option<&'a Arc<dyn VfsFile>>,
    /// Nothing below this offset will change.
    pub(crate) settled: u64,
    /// Keep the block at the first reading.
    pub(crate) keep: bool,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            kept: Mutex::default(),
            filters_left: AtomicUsize::new(limit / 4),
        })
    }

    /// Whether a filter of so many bytes may be made.
    pub(crate) fn take_filter_bytes(&self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        self.filters_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub(crate) fn give_filter_bytes_back(&self, bytes: usize) {
        self.filters_left.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) + BLOCK_BYTES as usize > self.limit
    }

    /// Notes a block that is kept from now on, and drives out others until all fit. A block that
    /// was asked for since it was last looked at is let off once.
    fn keep(&self, block: Kept) {
        let mut kept = self.kept.lock();
        let mut used = self.used.fetch_add(block.bytes, Ordering::Relaxed) + block.bytes;
        kept.push_back(block);
        while used > self.limit
            && let Some(block) = kept.pop_front()
        {
            let owner = block.owner.upgrade();
            if let Some(slot) = owner.as_ref().and_then(|blocks| blocks.slot(block.number)) {
                if slot.asked.swap(0, Ordering::Relaxed) > 0 {
                    kept.push_back(block);
                    continue;
                }
                slot.block.write().take();
            }
            used = self.used.fetch_sub(block.bytes, Ordering::Relaxed) - block.bytes;
        }
    }
}

impl Blocks {
    /// For a segment of at most so many bytes.
    pub(crate) fn new(cache: &Arc<Cache>, bytes: u64) -> Arc<Self> {
        let groups = bytes.div_ceil(BLOCK_BYTES * SLOTS as u64);
        Arc::new_cyclic(|own| Self {
            cache: cache.clone(),
            own: own.clone(),
            slots: (0..groups).map(|_| OnceLock::new()).collect(),
        })
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        let group = self.slots.get(number as usize / SLOTS)?;
        let slots = group.get_or_init(|| (0..SLOTS).map(|_| Slot::default()).collect());
        slots.get(number as usize % SLOTS)
    }

    /// Shows these bytes of the segment; they must lie below its settled end.
    pub(crate) fn view<T>(
        &self,
        place: &Place<'_>,
        offset: u64,
        bytes: usize,
        show: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        if let Some(held) = self.held(place, offset, bytes)? {
            return Ok(show(&held));
        }
        let mut buffer = vec![0; bytes];
        self.read(place, &mut buffer, offset)?;
        Ok(show(&buffer))
    }

    /// A copy of these bytes of the segment.
    pub(crate) fn copy(&self, place: &Place<'_>, offset: u64, bytes: usize) -> Result<Arc<[u8]>> {
        if let Some(held) = self.held(place, offset, bytes)? {
            return Ok(Arc::from(&*held));
        }
        let mut copy: Arc<[u8]> = std::iter::repeat_n(0, bytes).collect();
        if let Some(buffer) = Arc::get_mut(&mut copy) {
            self.read(place, buffer, offset)?;
        }
        Ok(copy)
    }

    /// These bytes, if they are of one block that is kept, or is to be.
    fn held(
        &self,
        place: &Place<'_>,
        offset: u64,
        bytes: usize,
    ) -> Result<Option<MappedRwLockReadGuard<'_, [u8]>>> {
        let number = (offset / BLOCK_BYTES) as u32;
        let from = (offset % BLOCK_BYTES) as usize;
        if from + bytes > BLOCK_BYTES as usize {
            return Ok(None);
        }
        let Some(slot) = self.slot(number) else { return Ok(None) };
        let part = |block| {
            RwLockReadGuard::try_map(block, |block: &Option<Box<[u8]>>| {
                block.as_deref().and_then(|block| block.get(from..from + bytes))
            })
            .ok()
        };
        if let Some(held) = part(slot.block.read()) {
            if slot.asked.load(Ordering::Relaxed) < WANTED_INSTEAD {
                slot.asked.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(Some(held));
        }
        if self.is_wanted(slot, place.keep) && self.load(place, slot, number)? {
            return Ok(part(slot.block.read()));
        }
        Ok(None)
    }

    fn is_wanted(&self, slot: &Slot, keep: bool) -> bool {
        let asked = slot.asked.load(Ordering::Relaxed).saturating_add(1);
        slot.asked.store(asked, Ordering::Relaxed);
        let wanted = if self.cache.is_full() { WANTED_INSTEAD } else { WANTED };
        self.cache.limit >= BLOCK_BYTES as usize && (keep || asked >= wanted)
    }

    /// Reads a whole block and keeps it, unless it is not settled yet.
    fn load(&self, place: &Place<'_>, slot: &Slot, number: u32) -> Result<bool> {
        let start = u64::from(number) * BLOCK_BYTES;
        // A sealed segment's last block is a short one; that of the newest segment still grows.
        let bytes = BLOCK_BYTES.min(place.settled.saturating_sub(start));
        if bytes < BLOCK_BYTES && place.file.is_some() {
            return Ok(false);
        }
        let mut block = vec![0; bytes as usize].into_boxed_slice();
        read_from_file(place, &mut block, start)?;
        let mut held = slot.block.write();
        if held.is_none() {
            *held = Some(block);
            // Driving out others takes their locks, and may come to this one.
            drop(held);
            self.cache.keep(Kept { owner: self.own.clone(), number, bytes: bytes as usize });
        }
        Ok(true)
    }

    /// Fills the buffer from the segment; the bytes must lie below its settled end.
    pub(crate) fn read(&self, place: &Place<'_>, buffer: &mut [u8], offset: u64) -> Result<()> {
        if buffer.len() > LONGEST_READ_BYTES {
            return read_from_file(place, buffer, offset);
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let number = (at / BLOCK_BYTES) as u32;
            let from = (at % BLOCK_BYTES) as usize;
            let part = (BLOCK_BYTES as usize - from).min(buffer.len() - done);
            let Some(slot) = self.slot(number) else { break };
            let block = slot.block.read();
            let Some(held) = block.as_deref().and_then(|block| block.get(from..from + part)) else {
                break;
            };
            buffer[done..done + part].copy_from_slice(held);
            done += part;
        }
        match done == buffer.len() {
            true => Ok(()),
            false => read_from_file(place, &mut buffer[done..], offset + done as u64),
        }
    }
}

/// Reads past the cache.
pub(crate) fn read_from_file(place: &Place<'_>, buffer: &mut [u8], offset: u64) -> Result<()> {
    let opened;
    let file = match place.file {
        Some(file) => file,
        None => {
            opened = place.files.segment(place.number)?;
            &opened
        }
    };
    let path = || place.files.segment_path(place.number);
    let failed = |e: &io::Error| Error::io("cannot read the segment", &path(), e);
    let read =
        read_full_at(&**file, buffer, offset).map_err(|e| failed(&e).at(place.number, offset))?;
    if read < buffer.len() {
        let why = "the segment ends before the end of what is listed";
        return Err(Error::corrupt(why).at_path(&path()).at(place.number, offset + read as u64));
    }
    Ok(())
}
