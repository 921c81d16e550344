//! Rotation: sealing the newest segment and starting the next one.
//!
//! The manifest is the commit point. Until it is replaced, the old segment is the newest one, a
//! footer at its end is a leftover to be cut, and a successor without frames is a leftover to be
//! removed. No event is written to the successor before the manifest names it.

use super::commit::{Commit, SEEDED_EPOCH_US, Writer};
use super::{Inner, Newest};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{self, Entry};
use crate::format::segment::{self, Header};
use crate::index::Part;
use crate::index::sealed::Sealed;
use crate::index::tail::Tail;
use crate::storage::files::failed_sync;
use crate::storage::{Access, VfsFile, write_all_at};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

impl Inner {
    /// Seals the newest segment, if there is one, and starts its successor.
    pub(super) fn rotate(&self, writer: &Writer, commit: &mut Commit) -> Result<()> {
        let sealed = self.live.read().tail.as_ref().map(|tail| tail.number);
        // A full disk, or a want of descriptors, leaves the old segment in place, and the next
        // append tries again. After any other failure it is not known what the next one would meet.
        self.seal_and_start(writer, commit, sealed).map_err(|error| match error.kind() {
            _ if writer.check_poison().is_err() => error,
            ErrorKind::DiskFull | ErrorKind::Poisoned | ErrorKind::Indeterminate => error,
            _ if [Some(libc::EMFILE), Some(libc::ENFILE)].contains(&error.os_code()) => error,
            kind => {
                writer.poison(error.clone());
                error.into_kind(kind, "nothing was appended, since no new segment could be started")
            }
        })
    }

    fn seal_and_start(
        &self,
        writer: &Writer,
        commit: &mut Commit,
        sealed: Option<u64>,
    ) -> Result<()> {
        // 1. Everything visible is in the file and durable.
        self.write_buffered(writer, commit)?;
        self.sync_segment(writer, commit)?;
        self.live.write().settle(commit.written_end);

        // 2. The footer, synced.
        let mut manifest = commit.manifest.clone();
        if let (Some(number), Some(file)) = (sealed, commit.file.clone()) {
            let length = self.seal(writer, commit, number, &file)?;
            if let Some(entry) = manifest.segments.last_mut() {
                entry.events = self.live.read().visible() - entry.first_sequence;
                entry.length = length;
            }
        }

        // 3. The successor, complete before its name appears.
        let first_sequence = self.live.read().visible();
        // It is taken at the end: a leftover under it, from a rotation that failed, is replaced.
        let number = commit.next_number;
        let (tail, file) = self.start_segment(number, first_sequence)?;

        // 4. The manifest names both. Nothing can fail behind it.
        let part = match manifest.segments.last() {
            None => None,
            Some(entry) => {
                let blocks = self.live.read().newest.as_ref().map(|newest| newest.blocks.clone());
                Some(Arc::new(Part::Sealed(Sealed::open(&self.files, *entry, blocks)?)))
            }
        };
        manifest.segments.push(Entry { number, first_sequence, events: 0, length: 0 });
        manifest.retired = self.files.retired();
        self.files.replace(manifest::FILE_NAME, &manifest.encode()).inspect_err(|error| {
            // It may be there or not, unless there was no space for it.
            if error.kind() != ErrorKind::DiskFull {
                writer.poison(error.clone());
            }
        })?;
        commit.manifest = manifest;
        commit.next_number = number + 1;

        // 5. Readers find the old segment through its footer from now on.
        let mut live = self.live.write();
        if let Some(part) = part {
            let mut parts = Vec::clone(&live.parts);
            parts.push(part);
            live.parts = Arc::new(parts);
        }
        let end = tail.end;
        let newest =
            Newest::new(&self.files, number, file.clone(), end, self.options.segment_bytes);
        live.newest = Some(newest);
        live.tail = Some(tail);
        (commit.written_end, commit.durable_end, commit.file_end) = (end, end, end);
        commit.file = Some(file);
        self.note(commit, &live);
        drop(live);
        // A head that could not be written is written by the next append.
        if self.publish_head(commit, true).is_err() {
            commit.open_ended = None;
        }
        Ok(())
    }

    /// Writes the footer and syncs it; gives the file's length. A footer that does not fit on
    /// the disk is cut off again.
    fn seal(
        &self,
        writer: &Writer,
        commit: &mut Commit,
        number: u64,
        file: &Arc<dyn VfsFile>,
    ) -> Result<u64> {
        let (footer, end) = {
            let live = self.live.read();
            let footer = live.tail.as_ref().map(Tail::footer).unwrap_or_default();
            (footer, live.newest.as_ref().map_or(0, |newest| newest.written_end))
        };
        let path = self.files.segment_path(number);
        let length = end + footer.len() as u64;
        // What was reserved behind the footer goes; the sync below covers that too.
        let write = write_all_at(&**file, &footer, end);
        if let Err(failure) = write.and_then(|()| file.set_len(length)) {
            let error = Error::io("cannot write the footer", &path, &failure).at(number, end);
            match file.set_len(end).and_then(|()| file.sync()) {
                Ok(()) => commit.file_end = end,
                Err(_) => writer.poison(error.clone()),
            }
            return Err(error);
        }
        file.sync().map_err(|failure| {
            failed_sync(Error::io("cannot sync the footer", &path, &failure).at(number, end))
        })?;
        Ok(length)
    }

    /// Creates a segment: under a temporary name, synced, renamed, the directory synced.
    fn start_segment(&self, number: u64, first_sequence: u64) -> Result<(Tail, Arc<dyn VfsFile>)> {
        let (tree, last_hash) = {
            let live = self.live.read();
            live.tail.as_ref().map(|tail| (tail.tree.clone(), tail.last_hash)).unwrap_or_default()
        };
        let header = Header {
            number,
            created_ns: self.now_ns(),
            store: self.store,
            lineage: self.lineage,
            first_sequence,
            root_before: tree.root(),
            generation: 0,
        };
        let name = segment::file_name(number);
        self.files.replace(&name, &header.encode())?;
        let file = self.files.open(&name, Access::Write)?;
        Ok((Tail::new(self.lineage, number, first_sequence, tree, last_hash), file))
    }

    pub(super) fn now_ns(&self) -> i64 {
        if self.options.seed.is_some() {
            return SEEDED_EPOCH_US * 1000;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |after| after.as_nanos() as i64)
    }
}
