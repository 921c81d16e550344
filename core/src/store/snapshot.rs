//! Snapshots: a copy of the store as it stands, made while appends go on. To restore one is to open
//! it.

use super::copy::{CopyReport, Copying, end_of};
use super::diff::Diff;
use super::verify::VerifyReport;
use super::{Inner, Store};
use crate::error::{Error, Result};
use crate::format::manifest::Manifest;
use crate::format::segment::{HEADER_BYTES, Header};
use crate::storage::VfsFile;
use crate::storage::files::read_exact;
use std::path::{Path, PathBuf};

/// How a snapshot is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// An earlier snapshot of this store, or of the one that it was forked from: sealed segments that
    /// it has are shared with it, rather than copied.
    pub earlier: Option<PathBuf>,
    /// Share no file with this store, so that damage to the files of one is none to the other. What
    /// an earlier snapshot has is shared with that.
    pub independent: bool,
}

/// What a snapshot is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotCheck {
    /// What verifying the snapshot found.
    pub report: VerifyReport,
    /// How it compares with this store, if it is intact: `ours` are the events of this store, `theirs`
    /// those of the snapshot.
    pub diff: Option<Diff>,
}

impl SnapshotCheck {
    /// Whether the snapshot is intact, and this store's log begins with it.
    pub fn is_prefix(&self) -> bool {
        self.diff.is_some_and(|diff| diff.common == diff.theirs)
    }
}

impl Store {
    /// Makes a snapshot in a new directory, while appends go on: all events that are visible now, and
    /// what the library needs to open them as a store, with the same store id. It must not exist, or
    /// be empty. Nothing of a snapshot that failed is left under its name; one that has its name is
    /// whole, and survives a power cut.
    ///
    /// Sealed segments are shared with this store by hard links where the file system can do that,
    /// and copied otherwise. Only while everything is written and synced, as by
    /// [`sync`](Store::sync), appends wait.
    pub fn snapshot_to(
        &self,
        destination: impl AsRef<Path>,
        options: &SnapshotOptions,
    ) -> Result<CopyReport> {
        self.0.across_compactions(|| self.snapshot_now(destination.as_ref(), options))
    }

    fn snapshot_now(&self, destination: &Path, options: &SnapshotOptions) -> Result<CopyReport> {
        let image = self.image()?;
        let mut manifest = Manifest::new(self.0.store, self.0.lineage, self.0.created_us);
        manifest.ancestors = self.0.ancestors.clone();
        (manifest.generation, manifest.horizon) = (image.generation, image.horizon);
        let independent = options.independent;
        let mut copy = Copying::begin(&self.0, destination, manifest, independent)?;
        if let Some(earlier) = &options.earlier {
            copy.share_with(earlier)?;
        }
        for sealed in image.sealed.iter().filter_map(|part| part.sealed()) {
            copy.add_sealed(sealed)?;
        }
        let Some(newest) = &image.newest else { return copy.finish(None) };
        let header = self.0.header_of(newest.number, &*newest.file)?;
        let before = end_of(image.sealed.last().and_then(|part| part.sealed()))?;
        let tail = copy.add_newest(before, &header, Some((&*newest.file, newest.end)))?;
        if (tail.next_sequence(), tail.tree.root()) != (image.events, image.root) {
            let why = "the newest segment is not what was written to it";
            let path = self.0.files.segment_path(newest.number);
            return Err(Error::corrupt(why).at_path(&path).at(newest.number, HEADER_BYTES as u64));
        }
        copy.finish(Some(tail))
    }

    /// Verifies a snapshot, all of it, and compares it with this store: whether this store's log
    /// begins with it, and otherwise where they part. An error means that it cannot be opened.
    pub fn verify_snapshot(&self, snapshot: impl AsRef<Path>) -> Result<SnapshotCheck> {
        let snapshot = self.0.open_other(snapshot.as_ref())?;
        let report = snapshot.verify()?;
        let diff = if report.is_intact() { Some(self.compare(&snapshot)?) } else { None };
        Ok(SnapshotCheck { report, diff })
    }
}

impl Inner {
    /// The header of a segment that is not sealed.
    fn header_of(&self, number: u64, file: &dyn VfsFile) -> Result<Header> {
        let path = self.files.segment_path(number);
        let bytes = read_exact(file, &path, number, 0, HEADER_BYTES)?;
        Header::decode(&bytes).map_err(|_| {
            Error::corrupt("the segment's header is damaged").at_path(&path).at(number, 0)
        })
    }
}
