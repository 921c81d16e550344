//! What the black-box tests share: a directory that cleans up after itself, a file system in memory
//! that can crash, forget and fail, one whose calls can be counted and held up, an allocator that
//! counts, and the interpreter of the behaviour scripts in `tests/scripts`.

mod commands;
mod files;
pub mod memory;
pub mod scratch;
pub mod script;
pub mod sim;
pub mod watched;
mod words;
