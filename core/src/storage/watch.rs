//! Being woken when files in a directory change: inotify.

use super::Watch;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

pub(super) struct DirectoryWatch {
    changes: File,
    /// Readable once somebody asked for a wake-up.
    woken: File,
}

impl DirectoryWatch {
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        let changes = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // The head is overwritten, segments grow, the manifest is renamed into place.
        let wanted = WatchFlags::MODIFY | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&changes, dir, wanted)?;
        let woken = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { changes: changes.into(), woken: woken.into() })
    }
}

impl Watch for DirectoryWatch {
    fn wait(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut files =
            [PollFd::new(&self.changes, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
        match poll(&mut files, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // What has changed does not matter, only that something has.
        let mut changes = [0; 4096];
        while matches!((&self.changes).read(&mut changes), Ok(1..)) {}
        Ok(())
    }

    fn wake(&self) {
        let _ = (&self.woken).write(&1u64.to_ne_bytes());
    }
}
