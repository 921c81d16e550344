//! Copying a store as it stands at one moment: what snapshots and forks have in common.
//!
//! Nobody who appends waits for it, but for one sync: sealed segments never change, and of the newest
//! one nothing below the end that was taken.

use super::close::TAIL_INDEX;
use super::unfinished::Unfinished;
use super::{Inner, Store, open};
use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{self, ClosedEnd, Entry, Manifest};
use crate::format::segment::{self, HEADER_BYTES, Header};
use crate::format::tree::Tree;
use crate::ids::{Hash, Id};
use crate::index::Part;
use crate::index::sealed::Sealed;
use crate::index::tail::Tail;
use crate::options::OpenMode;
use crate::storage::files::Files;
use crate::storage::{Access, VfsFile, read_full_at, write_all_at};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How much is copied at once.
const COPY_BYTES: usize = 1 << 20;
/// Files of a copy that are open at once.
const OPEN_FILES: usize = 8;

/// What a snapshot or a fork holds, and how it came there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// The store id of the copy: of a snapshot the same, of a fork a new one.
    pub store_id: Id,
    /// The events in it.
    pub events: u64,
    /// The root of the tree over those.
    pub root: Hash,
    /// Its segments.
    pub segments: u64,
    /// Segments that it shares with another store, by hard links.
    pub linked: u64,
    /// Segments that were copied, the newest one included.
    pub copied: u64,
    /// The bytes of those.
    pub bytes_copied: u64,
}

/// A store at one moment. All of it survives a power cut.
pub(super) struct Image {
    /// Held for as long as the files are needed.
    pub(super) sealed: Arc<Vec<Arc<Part>>>,
    pub(super) newest: Option<NewestImage>,
    pub(super) events: u64,
    pub(super) root: Hash,
    pub(super) generation: u64,
    pub(super) horizon: u64,
}

pub(super) struct NewestImage {
    pub(super) number: u64,
    pub(super) first_sequence: u64,
    pub(super) end: u64,
    pub(super) file: Arc<dyn VfsFile>,
}

impl Store {
    /// Takes the store as it is. A writer writes and syncs what it has first.
    pub(super) fn image(&self) -> Result<Image> {
        self.0.check_usable()?;
        self.0.require_whole()?;
        let Some(writer) = &self.0.writer else {
            self.refresh()?;
            let image = self.0.image_now()?;
            // A power cut must not take from the store what its copy has, nor make a sealed segment
            // the newest one again, which a writer may cut.
            let files = &self.0.files;
            let synced = files.vfs.sync_dir(&files.dir);
            synced.map_err(|e| Error::io("cannot sync the directory", &files.dir, &e))?;
            if let Some(newest) = &image.newest {
                let path = files.segment_path(newest.number);
                let synced = newest.file.sync();
                synced.map_err(|e| Error::io("cannot sync the segment", &path, &e))?;
            }
            return Ok(image);
        };
        let mut commit = writer.commit.lock();
        if self.0.closed.load(Ordering::Acquire) {
            return Err(self.0.closed_error());
        }
        writer.check_poison()?;
        self.0.write_buffered(writer, &mut commit)?;
        self.0.sync_segment(writer, &mut commit)?;
        self.0.live.write().settle(commit.written_end);
        self.0.announce(&mut commit, true);
        self.0.image_now()
    }
}

impl Inner {
    /// Refuses a store whose files are not those of a whole one of this format.
    pub(super) fn require_whole(&self) -> Result<()> {
        if self.old.is_none() && self.options.mode != OpenMode::Salvage {
            return Ok(());
        }
        let why = "that takes an intact store of this format; import this one into a new store";
        Err(Error::new(ErrorKind::Unsupported, why).at_path(&self.files.dir))
    }

    fn image_now(&self) -> Result<Image> {
        let live = self.live.read();
        let newest = live.tail.as_ref().zip(live.newest.as_ref());
        Ok(Image {
            sealed: live.parts.clone(),
            newest: newest.map(|(tail, newest)| NewestImage {
                number: tail.number,
                first_sequence: tail.first_sequence,
                end: tail.end,
                file: newest.file.clone(),
            }),
            events: live.visible(),
            generation: live.generation,
            horizon: live.horizon,
            // A store of this format has sealed segments only before a newest one.
            root: live
                .tail
                .as_ref()
                .map_or_else(|| Tree::default().root(), |tail| tail.tree.root()),
        })
    }
}

/// Sealed segments of another copy, which may be the same.
struct Earlier {
    files: Arc<Files>,
    segments: Vec<Entry>,
}

/// A copy being written.
pub(super) struct Copying<'a> {
    from: &'a Inner,
    to: Unfinished,
    files: Arc<Files>,
    earlier: Option<Earlier>,
    independent: bool,
    /// The manifest as far as segments are there.
    pub(super) manifest: Manifest,
    report: CopyReport,
}

impl<'a> Copying<'a> {
    /// Begins a copy of the store with this manifest, which lists no segments yet.
    pub(super) fn begin(
        from: &'a Inner,
        destination: &Path,
        manifest: Manifest,
        independent: bool,
    ) -> Result<Self> {
        let vfs = from.files.vfs.clone();
        let to = Unfinished::begin(vfs.clone(), destination, &from.files.dir)?;
        let files = Arc::new(Files::new(vfs, to.directory.clone(), OPEN_FILES, 0));
        let report = CopyReport { store_id: manifest.store, ..CopyReport::default() };
        Ok(Self { from, to, files, earlier: None, independent, manifest, report })
    }

    /// Shares sealed segments with this earlier copy where it has them, too.
    pub(super) fn share_with(&mut self, earlier: &Path) -> Result<()> {
        open::check_path(earlier)?;
        let files =
            Arc::new(Files::new(self.from.files.vfs.clone(), earlier.to_path_buf(), OPEN_FILES, 0));
        let manifest = open::read_manifest(&files)?.ok_or_else(|| open::no_store(&files))?;
        if manifest.lineage != self.from.lineage {
            let why = "it is no earlier snapshot of this store, nor of a relative";
            return Err(Error::invalid(why).at_path(earlier));
        }
        self.earlier = Some(Earlier { files, segments: manifest.segments });
        Ok(())
    }

    /// Adds a sealed segment, which follows the ones before it: by a link if that can be.
    pub(super) fn add_sealed(&mut self, sealed: &Sealed) -> Result<()> {
        let entry = sealed.entry;
        let name = segment::file_name(entry.number);
        if self.link(sealed)? {
            self.report.linked += 1;
        } else {
            let path = self.from.files.segment_path(entry.number);
            let source = self.from.files.segment(entry.number)?;
            let (to, file) = self.to.create(&name)?;
            self.copy_bytes((&*source, &path), (&*file, &to), 0, entry.length)?;
            file.sync().map_err(|e| Error::io("cannot sync the segment", &to, &e))?;
            self.report.copied += 1;
        }
        if !is_same(&Sealed::open(&self.files, entry, None)?, sealed) {
            let why = "the copy of a sealed segment is not what was copied";
            return Err(Error::corrupt(why).at_path(&self.files.segment_path(entry.number)));
        }
        self.manifest.segments.push(entry);
        Ok(())
    }

    fn link(&self, sealed: &Sealed) -> Result<bool> {
        let number = sealed.entry.number;
        let from_store = (!self.independent).then(|| self.from.files.segment_path(number));
        let from_earlier = self.earlier.as_ref().filter(|earlier| {
            let same = |found: Sealed| is_same(&found, sealed);
            earlier.segments.contains(&sealed.entry)
                && Sealed::open(&earlier.files, sealed.entry, None).is_ok_and(same)
        });
        let from_earlier = from_earlier.map(|earlier| earlier.files.segment_path(number));
        let to = self.files.segment_path(number);
        for from in from_store.iter().chain(&from_earlier) {
            match self.files.vfs.link(from, &to) {
                Ok(()) => return Ok(true),
                Err(failure) if cannot_be_shared(&failure) => {}
                Err(failure) => return Err(Error::io("cannot share the segment", from, &failure)),
            }
        }
        Ok(false)
    }

    /// Adds the newest segment, with the tree and the last hash of the log before it: a header, and
    /// behind it what another file holds up to an offset. Gives its index.
    pub(super) fn add_newest(
        &mut self,
        (tree, last_hash): (Tree, Hash),
        header: &Header,
        source: Option<(&dyn VfsFile, u64)>,
    ) -> Result<Tail> {
        let number = header.number;
        let (lineage, first) = (header.lineage, header.first_sequence);
        let (to, file) = self.to.create(&segment::file_name(number))?;
        let failed = |e: &io::Error| Error::io("cannot write the segment", &to, e);
        write_all_at(&*file, &header.encode(), 0).map_err(|e| failed(&e))?;
        self.report.bytes_copied += HEADER_BYTES as u64;
        let mut tail = Tail::new(lineage, number, first, tree, last_hash);
        if let Some((source, end)) = source {
            let path = self.from.files.segment_path(number);
            self.copy_bytes((source, &path), (&*file, &to), HEADER_BYTES as u64, end)?;
            tail.extend(&*file, &to, end, |_| {})?;
        }
        file.sync().map_err(|e| failed(&e))?;
        let (events, length) = (0, 0);
        self.manifest.segments.push(Entry { number, first_sequence: first, events, length });
        self.report.copied += 1;
        Ok(tail)
    }

    /// Seals the newest segment, so that another one can follow.
    pub(super) fn seal_newest(&mut self, newest: &Tail) -> Result<()> {
        let name = segment::file_name(newest.number);
        let (file, footer) = (self.files.open(&name, Access::Write)?, newest.footer());
        write_all_at(&*file, &footer, newest.end)
            .and_then(|()| file.sync())
            .map_err(|e| Error::io("cannot seal the segment", &self.files.path(&name), &e))?;
        if let Some(entry) = self.manifest.segments.last_mut() {
            (entry.events, entry.length) = (newest.events(), newest.end + footer.len() as u64);
        }
        Ok(())
    }

    fn copy_bytes(
        &mut self,
        (from, from_path): (&dyn VfsFile, &Path),
        (to, to_path): (&dyn VfsFile, &Path),
        mut at: u64,
        end: u64,
    ) -> Result<()> {
        let mut buffer = vec![0; COPY_BYTES.min((end - at) as usize)];
        while at < end {
            let bytes = buffer.len().min((end - at) as usize);
            let read = read_full_at(from, &mut buffer[..bytes], at)
                .map_err(|e| Error::io("cannot read the segment", from_path, &e))?;
            if read < bytes {
                let why = "the segment is shorter than its log";
                return Err(Error::corrupt(why).at_path(from_path));
            }
            write_all_at(to, &buffer[..bytes], at)
                .map_err(|e| Error::io("cannot write the segment", to_path, &e))?;
            at += bytes as u64;
            self.report.bytes_copied += bytes as u64;
        }
        Ok(())
    }

    /// Leaves the copy as a clean close would, and gives it its name.
    pub(super) fn finish(mut self, newest: Option<Tail>) -> Result<CopyReport> {
        self.complete(newest)?;
        self.name()
    }

    /// The files of the copy, which has no name yet.
    pub(super) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// Gives the copy its name.
    pub(super) fn name(self) -> Result<CopyReport> {
        self.to.finish()?;
        Ok(self.report)
    }

    /// Leaves the copy as a clean close would.
    pub(super) fn complete(&mut self, newest: Option<Tail>) -> Result<()> {
        self.report.root = Tree::default().root();
        if let Some(tail) = newest {
            (self.report.events, self.report.root) = (tail.next_sequence(), tail.tree.root());
            self.manifest.closed = Some(ClosedEnd {
                segment: tail.number,
                offset: tail.end,
                events: self.report.events,
                root: self.report.root,
            });
            if tail.events() > 0 {
                self.to.write(TAIL_INDEX, &tail.footer())?;
            }
        }
        self.report.segments = self.manifest.segments.len() as u64;
        self.to.write(manifest::FILE_NAME, &self.manifest.encode())
    }
}

/// The tree and the last hash of the log where a segment ends, or where it begins.
pub(super) fn end_of(sealed: Option<&Sealed>) -> Result<(Tree, Hash)> {
    let end = sealed.map(|sealed| Ok((sealed.tree()?, sealed.footer.summary.last_hash)));
    end.unwrap_or_else(|| Ok(Default::default()))
}

/// Whether two segments are one, as far as their headers and the beginnings of their footers say,
/// which hold the root and the checksum of every section.
fn is_same(one: &Sealed, other: &Sealed) -> bool {
    (one.entry, &one.header, &one.footer) == (other.entry, &other.header, &other.footer)
}

/// Whether a file cannot have a second name there, whatever the disk's state: the other directory is
/// on another file system, or the system or its owner does not allow it.
fn cannot_be_shared(failure: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(failure.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
}
