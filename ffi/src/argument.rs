//! Arguments: pointers, lengths and numbers from C, checked once and turned into values.
//!
//! What cannot be checked (that a pointer which is not null points to as much memory as its
//! length says) is the caller's part of the contract, and the reason why these are unsafe.

use crate::status::{batpak_error, cut};
use batpak_core::{Error, ErrorKind, Result};
use std::borrow::Cow;
use std::ffi::c_char;
use std::fmt::Display;

/// A text: UTF-8, pointer and length in bytes. Texts handed in may have the length
/// BATPAK_NUL_TERMINATED; those handed out have no NUL at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_text {
    /// The first byte; may be null when length is 0.
    pub data: *const c_char,
    /// How many bytes.
    pub length: usize,
}

/// Bytes: pointer and length.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_bytes {
    /// The first byte; may be null when length is 0.
    pub data: *const u8,
    /// How many bytes.
    pub length: usize,
}

impl batpak_text {
    pub(crate) const EMPTY: Self = Self { data: std::ptr::null(), length: 0 };

    /// Of UTF-8.
    pub(crate) fn of(text: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        let bytes = text.as_ref();
        Self { data: bytes.as_ptr().cast(), length: bytes.len() }
    }
}

impl batpak_bytes {
    pub(crate) const EMPTY: Self = Self { data: std::ptr::null(), length: 0 };

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }
}

/// The length that says "up to the NUL" for a text that is handed in: `SIZE_MAX` in C.
pub(crate) const NUL_TERMINATED: usize = usize::MAX;

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// An enum's number that is not one of its values.
pub(crate) fn no_such(field: impl Display, value: i32) -> Error {
    invalid(format!("{field} is {value}, which is none of its values"))
}

/// A number that means yes or no.
pub(crate) fn flag(field: impl Display, value: i32) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(no_such(field, value)),
    }
}

/// A number of bytes that are to be kept in memory.
pub(crate) fn in_memory(field: impl Display, bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| invalid(format!("{field} is larger than any memory")))
}

/// Refuses a field that has no meaning yet, so that a later version can give it one.
pub(crate) fn check_reserved(field: impl Display, value: u32) -> Result<()> {
    if value == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, format!("{field} is {value}; it must be 0")))
}

/// Checks that `count` things of `size` bytes at this address can exist at all.
fn check_extent(field: impl Display, address: usize, count: usize, size: usize) -> Result<()> {
    if address == 0 {
        return Err(invalid(format!("{field} is null, but its length is {count}")));
    }
    match count.checked_mul(size) {
        Some(bytes) if bytes <= isize::MAX as usize && address.checked_add(bytes).is_some() => {
            Ok(())
        }
        _ => Err(invalid(format!("{field} has the length {count}, which no memory holds"))),
    }
}

/// Checks a buffer that results are written to.
pub(crate) fn check_capacity<T>(field: impl Display, first: *mut T, capacity: usize) -> Result<()> {
    if capacity == 0 {
        return Ok(());
    }
    check_extent(field, first.addr(), capacity, size_of::<T>())
}

/// SAFETY: a `data` that is not null points to `count` initialised values that stay unchanged
/// for `'a`.
pub(crate) unsafe fn array<'a, T>(
    field: impl Display,
    data: *const T,
    count: usize,
) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    check_extent(&field, data.addr(), count, size_of::<T>())?;
    if !data.is_aligned() {
        return Err(invalid(format!("{field} is not aligned")));
    }
    // SAFETY: not null, aligned and within an address space; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, count) })
}

/// SAFETY: as for `array`; with the length `NUL_TERMINATED`, a NUL follows.
pub(crate) unsafe fn text<'a>(
    field: impl Display,
    data: *const c_char,
    length: usize,
) -> Result<&'a str> {
    let bytes = if length == NUL_TERMINATED {
        if data.is_null() {
            return Err(invalid(format!("{field} is null")));
        }
        // SAFETY: the caller promises a NUL behind the text.
        unsafe { std::ffi::CStr::from_ptr(data) }.to_bytes()
    } else {
        // SAFETY: the caller's promise is the one of `array`.
        unsafe { array(&field, data.cast::<u8>(), length) }?
    };
    std::str::from_utf8(bytes).map_err(|e| {
        invalid(format!("{field} is not UTF-8: the byte at {} is wrong", e.valid_up_to()))
    })
}

/// SAFETY: as for `text`.
pub(crate) unsafe fn text_of<'a>(field: impl Display, value: batpak_text) -> Result<&'a str> {
    // SAFETY: the caller's promise is the one of `text`.
    unsafe { text(field, value.data, value.length) }
}

/// SAFETY: as for `array`.
pub(crate) unsafe fn bytes_of<'a>(field: impl Display, value: batpak_bytes) -> Result<&'a [u8]> {
    // SAFETY: the caller's promise is the one of `array`.
    unsafe { array(field, value.data, value.length) }
}

/// SAFETY: a `value` that is not null points to an initialised `T`.
pub(crate) unsafe fn required<T: Copy>(field: impl Display, value: *const T) -> Result<T> {
    if value.is_null() {
        return Err(invalid(format!("{field} is null")));
    }
    // SAFETY: not null; the rest is the caller's promise.
    Ok(unsafe { value.read_unaligned() })
}

/// A place for a result. It is checked before the work and written after it, so that a call
/// which fails has written nothing.
pub(crate) struct Output<T>(*mut T);

impl<T> Output<T> {
    /// SAFETY: a `target` that is not null can be written until this value is gone.
    pub(crate) unsafe fn new(field: impl Display, target: *mut T) -> Result<Self> {
        if target.is_null() {
            return Err(invalid(format!("{field} is null")));
        }
        Ok(Self(target))
    }

    pub(crate) fn set(self, value: T) {
        // SAFETY: `new` promised that the target can be written.
        unsafe { self.0.write_unaligned(value) }
    }
}

/// An array that results are written to, as many as it has room for.
pub(crate) struct MutableArray<T> {
    first: *mut T,
    capacity: usize,
}

impl<T> MutableArray<T> {
    /// SAFETY: a `first` that is not null can be written for `capacity` values until this value
    /// is gone.
    pub(crate) unsafe fn new(field: impl Display, first: *mut T, capacity: usize) -> Result<Self> {
        check_capacity(field, first, capacity)?;
        Ok(Self { first, capacity })
    }

    pub(crate) fn set(self, values: impl Iterator<Item = T>) {
        for (at, value) in values.take(self.capacity).enumerate() {
            // SAFETY: `new` promised `capacity` values, and `at` is smaller than that.
            unsafe { self.first.add(at).write_unaligned(value) }
        }
    }
}

/// A buffer for a text. As `snprintf` does, the text is cut to what fits and gets a NUL, and the
/// whole length is reported.
pub(crate) struct TextOutput {
    buffer: *mut u8,
    capacity: usize,
    length: Output<usize>,
}

impl TextOutput {
    /// SAFETY: a `buffer` that is not null can be written for `capacity` bytes, and a `length`
    /// that is not null can be written, until this value is gone.
    pub(crate) unsafe fn new(
        buffer: *mut c_char,
        capacity: usize,
        length: *mut usize,
    ) -> Result<Self> {
        check_capacity("buffer", buffer, capacity)?;
        // SAFETY: the caller's promise.
        let length = unsafe { Output::new("length", length) }?;
        Ok(Self { buffer: buffer.cast(), capacity, length })
    }

    pub(crate) fn set(self, text: &str) {
        if self.capacity > 0 {
            let fits = cut(text, self.capacity - 1);
            // SAFETY: `new` promised `capacity` bytes, and `fits` has fewer.
            unsafe {
                self.buffer.copy_from(fits.as_ptr(), fits.len());
                self.buffer.add(fits.len()).write(0);
            }
        }
        self.length.set(text.len());
    }
}

/// A struct that may get further fields at its end. Its first field is `u32 struct_size`, by
/// which caller and library tell each other how much of it they know.
///
/// SAFETY: a type that implements this is `repr(C)`, begins with `struct_size: u32`, has a size
/// that is a multiple of 8 bytes, and every bit pattern of its fields is a value.
pub(crate) unsafe trait Growing: Copy {
    /// The struct as its `_INIT` macro makes it: the value of every field that a caller with an
    /// older header does not know.
    fn initial() -> Self;
}

/// Structs of later versions are not expected to pass this; what is larger was not initialised.
const MAX_STRUCT_BYTES: usize = 4096;

/// The size that a growing struct says it has. Whole words only, so that an older size can never
/// split a pointer.
///
/// SAFETY: `value` is not null and points to at least four readable bytes.
unsafe fn stated_size<T: Growing>(field: impl Display, value: *const T) -> Result<usize> {
    // SAFETY: the caller's promise.
    let size = unsafe { value.cast::<u32>().read_unaligned() } as usize;
    if size == 0 || !size.is_multiple_of(8) || size > MAX_STRUCT_BYTES {
        return Err(invalid(format!(
            "{field}: struct_size is {size}; initialise the struct with its _INIT macro"
        )));
    }
    Ok(size)
}

/// Reads a struct of `size` bytes: what it lacks has its initial value, and what this library
/// does not know must be zero.
///
/// SAFETY: `value` points to `size` initialised bytes.
unsafe fn read_sized<T: Growing>(field: impl Display, value: *const T, size: usize) -> Result<T> {
    let mut known = T::initial();
    // SAFETY: both are as long as the shorter of the two, and every bit pattern is a value.
    unsafe {
        (&raw mut known).cast::<u8>().copy_from(value.cast(), size.min(size_of::<T>()));
    }
    for at in size_of::<T>()..size {
        // SAFETY: `at` lies within the caller's `size` bytes.
        if unsafe { value.cast::<u8>().add(at).read() } != 0 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{field} uses a field that this version of the library does not know"),
            ));
        }
    }
    Ok(known)
}

/// SAFETY: a `value` that is not null points to as many initialised bytes as its `struct_size`
/// says.
pub(crate) unsafe fn growing<T: Growing>(field: impl Display, value: *const T) -> Result<T> {
    if value.is_null() {
        return Err(invalid(format!("{field} is null")));
    }
    // SAFETY: not null, and the caller promises what `struct_size` says.
    unsafe { read_sized(&field, value, stated_size(&field, value)?) }
}

/// An array of growing structs. The `struct_size` of the first is the distance between two, and
/// all have the same. Structs of the size that this library knows are not copied.
///
/// SAFETY: a `values` that is not null points to `count` structs, each as long as the first one's
/// `struct_size` says, that stay unchanged for `'a`.
pub(crate) unsafe fn growing_array<'a, T: Growing>(
    field: impl Display,
    values: *const T,
    count: usize,
    limit: usize,
) -> Result<Cow<'a, [T]>> {
    if count == 0 {
        return Ok(Cow::Borrowed(&[]));
    }
    check_extent(&field, values.addr(), count, 8)?;
    // SAFETY: not null, and there is at least one.
    let size = unsafe { stated_size(&field, values) }?;
    check_extent(&field, values.addr(), count, size)?;
    if count > limit {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("{field} has {count} items; the limit is {limit}"),
        ));
    }
    // SAFETY: `check_extent` found that the sum does not overflow, and the caller promises
    // `count` structs of this size.
    let value = |at: usize| unsafe { values.byte_add(at * size) };
    // SAFETY: as above; a struct begins with its size.
    let differs =
        |at: &usize| unsafe { value(*at).cast::<u32>().read_unaligned() } as usize != size;
    if let Some(at) = (1..count).find(differs) {
        return Err(invalid(format!("{field}[{at}]: struct_size is not that of the first")));
    }
    if size == size_of::<T>() && values.is_aligned() {
        // SAFETY: `count` structs of this very size, aligned, of which every bit pattern is a
        // value; the rest is the caller's promise.
        return Ok(Cow::Borrowed(unsafe { std::slice::from_raw_parts(values, count) }));
    }
    // SAFETY: as for `value`.
    let read = |at| unsafe { read_sized(format_args!("{field}[{at}]"), value(at), size) };
    (0..count).map(read).collect::<Result<Vec<_>>>().map(Cow::Owned)
}

/// A growing struct that a result is written to, as much of it as the caller knows.
pub(crate) struct GrowingOutput<T> {
    target: *mut T,
    size: usize,
}

impl<T: Growing> GrowingOutput<T> {
    /// SAFETY: a `target` that is not null can be written for as many bytes as its `struct_size`
    /// says, until this value is gone.
    pub(crate) unsafe fn new(field: impl Display, target: *mut T) -> Result<Self> {
        if target.is_null() {
            return Err(invalid(format!("{field} is null")));
        }
        // SAFETY: not null, and the caller initialised it.
        let size = unsafe { stated_size(field, target) }?;
        Ok(Self { target, size: size.min(size_of::<T>()) })
    }

    /// Writes everything behind `struct_size`, which stays the caller's.
    pub(crate) fn set(self, value: &T) {
        let own = size_of::<u32>();
        // SAFETY: `new` promised `size` writable bytes, and `value` has no fewer.
        unsafe {
            let from = std::ptr::from_ref(value).cast::<u8>().add(own);
            self.target.cast::<u8>().add(own).copy_from(from, self.size - own);
        }
    }
}

/// Refuses an error struct that was not initialised, before any work is done.
///
/// SAFETY: an `error` that is not null can be written for as many bytes as its `struct_size` says.
pub(crate) unsafe fn check_error(error: *mut batpak_error) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    unsafe { GrowingOutput::new("error", error) }.map(drop)
}

/// Writes what went wrong to an error struct that can take it.
///
/// SAFETY: as for `check_error`.
pub(crate) unsafe fn write_error(error: *mut batpak_error, failure: &Error) {
    // SAFETY: the caller's promise.
    if let Ok(output) = unsafe { GrowingOutput::new("error", error) } {
        output.set(&batpak_error::of(failure));
    }
}
