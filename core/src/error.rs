//! The one error type: a kind with a stable number, where it happened, and what to do next.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of every fallible call.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. The numbers are the C status codes and are the same in every language;
/// a number is never given to another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is out of range, malformed or contradicts another one.
    InvalidArgument = 1,
    /// An entity or a scope breaks the rules for coordinates.
    InvalidCoordinate = 2,
    /// A kind is reserved for the library or out of range.
    InvalidKind = 3,
    /// A payload, a batch or an extension is larger than its limit.
    TooLarge = 4,
    /// The stream is not at the clock that the caller expected.
    ClockConflict = 5,
    /// The event id is taken by an event with other content.
    IdempotencyConflict = 6,
    /// A gate refused the append.
    Denied = 7,
    /// There is no such store, event or file.
    NotFound = 8,
    /// The store was closed, or the fence has ended.
    Closed = 9,
    /// Another writer has the store open.
    Locked = 10,
    /// The store was opened for reading only.
    ReadOnly = 11,
    /// The operating system refused an operation.
    Io = 12,
    /// There is no space left; nothing was appended, and appends go on when space returns.
    DiskFull = 13,
    /// Bytes on disk are not what was written.
    Corrupt = 14,
    /// The directory holds a format that this version does not read.
    Unsupported = 15,
    /// An earlier failure stopped all appends until the store is reopened.
    Poisoned = 16,
    /// It is not known whether the events were appended; reopening the store decides.
    Indeterminate = 17,
    /// The handle was inherited over a fork; open the store again in the child.
    Forked = 18,
    /// The handle is null, closed, of another type, or was never given out.
    BadHandle = 19,
    /// A defect in the library was caught before it could reach the caller.
    Panic = 20,
    /// A function that the caller supplied failed.
    Callback = 21,
    /// A payload is not the MessagePack that was asked for.
    Decode = 22,
}

impl ErrorKind {
    /// Every kind, in the order of its number.
    pub const ALL: [ErrorKind; 22] = [
        Self::InvalidArgument,
        Self::InvalidCoordinate,
        Self::InvalidKind,
        Self::TooLarge,
        Self::ClockConflict,
        Self::IdempotencyConflict,
        Self::Denied,
        Self::NotFound,
        Self::Closed,
        Self::Locked,
        Self::ReadOnly,
        Self::Io,
        Self::DiskFull,
        Self::Corrupt,
        Self::Unsupported,
        Self::Poisoned,
        Self::Indeterminate,
        Self::Forked,
        Self::BadHandle,
        Self::Panic,
        Self::Callback,
        Self::Decode,
    ];

    /// The stable number.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The stable name, such as `CLOCK_CONFLICT`. C puts `BATPAK_` before it, Node too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::InvalidCoordinate => "INVALID_COORDINATE",
            Self::InvalidKind => "INVALID_KIND",
            Self::TooLarge => "TOO_LARGE",
            Self::ClockConflict => "CLOCK_CONFLICT",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::Denied => "DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::Closed => "CLOSED",
            Self::Locked => "LOCKED",
            Self::ReadOnly => "READ_ONLY",
            Self::Io => "IO",
            Self::DiskFull => "DISK_FULL",
            Self::Corrupt => "CORRUPT",
            Self::Unsupported => "UNSUPPORTED",
            Self::Poisoned => "POISONED",
            Self::Indeterminate => "INDETERMINATE",
            Self::Forked => "FORKED",
            Self::BadHandle => "BAD_HANDLE",
            Self::Panic => "PANIC",
            Self::Callback => "CALLBACK",
            Self::Decode => "DECODE",
        }
    }

    /// What a caller can do about it.
    pub const fn retry(self) -> Retry {
        match self {
            Self::Locked | Self::DiskFull => Retry::Later,
            Self::ClockConflict => Retry::AfterReading,
            Self::Poisoned | Self::Indeterminate | Self::Forked => Retry::AfterReopening,
            _ => Retry::Never,
        }
    }
}

/// Whether, and after what, the same call can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Retry {
    /// The same call fails again.
    Never = 0,
    /// The same call can succeed later, unchanged.
    Later = 1,
    /// Read the stream again, decide again, then call.
    AfterReading = 2,
    /// Reopen the store first; an event id makes the repeated append safe.
    AfterReopening = 3,
}

impl Retry {
    /// The stable name, such as `AFTER_READING`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "NEVER",
            Self::Later => "LATER",
            Self::AfterReading => "AFTER_READING",
            Self::AfterReopening => "AFTER_REOPENING",
        }
    }
}

/// An error: its kind, a message that says what happened and what to do, and where it happened.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    segment: Option<u64>,
    offset: Option<u64>,
    os_code: Option<i32>,
}

impl Error {
    /// An error of this kind. The message says what happened and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            segment: None,
            offset: None,
            os_code: None,
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// An operating-system failure of `operation` on `path`.
    pub(crate) fn io(operation: &str, path: &Path, source: &std::io::Error) -> Self {
        use std::io::ErrorKind as Os;
        let kind = match source.kind() {
            Os::NotFound => ErrorKind::NotFound,
            Os::StorageFull | Os::QuotaExceeded => ErrorKind::DiskFull,
            _ => ErrorKind::Io,
        };
        let mut error = Self::new(kind, format!("{operation}: {source}")).at_path(path);
        error.0.os_code = source.raw_os_error();
        error
    }

    #[must_use]
    pub(crate) fn at_path(mut self, path: &Path) -> Self {
        self.0.path.get_or_insert_with(|| path.to_path_buf());
        self
    }

    #[must_use]
    pub(crate) fn at(mut self, segment: u64, offset: u64) -> Self {
        self.0.segment.get_or_insert(segment);
        self.0.offset.get_or_insert(offset);
        self
    }

    /// The same place and cause under another kind, with a sentence before the message.
    #[must_use]
    pub(crate) fn into_kind(mut self, kind: ErrorKind, because: &str) -> Self {
        self.0.kind = kind;
        self.0.message = format!("{because}: {}", self.0.message);
        self
    }

    /// The same error, naming the item of the batch that it is about.
    #[must_use]
    pub(crate) fn of_item(mut self, index: usize) -> Self {
        self.0.message = format!("item {index} of the batch: {}", self.0.message);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What a caller can do about it.
    pub fn retry(&self) -> Retry {
        self.0.kind.retry()
    }

    /// What happened, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file or directory, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The segment number, where there is one.
    pub fn segment(&self) -> Option<u64> {
        self.0.segment
    }

    /// The byte offset in the segment, where there is one.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The operating system's error number, where there is one.
    pub fn os_code(&self) -> Option<i32> {
        self.0.os_code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(path) = &self.0.path {
            write!(f, " [{}]", path.display())?;
        }
        match (self.0.segment, self.0.offset) {
            (Some(segment), Some(offset)) => write!(f, " [segment {segment}, offset {offset}]"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind.name())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_names_are_unique() {
        for (index, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(kind.code(), index as i32 + 1);
        }
        let names: std::collections::HashSet<_> = ErrorKind::ALL.iter().map(|k| k.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn display_names_message_path_and_place() {
        let error = Error::corrupt("bad frame").at_path(Path::new("/s")).at(3, 192);
        assert_eq!(error.to_string(), "bad frame [/s] [segment 3, offset 192]");
    }
}
