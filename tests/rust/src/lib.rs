//! What the black-box tests share: a directory that cleans up after itself, a file system whose
//! calls can be counted, held up and made to fail, and the interpreter of the behaviour scripts in
//! `tests/scripts`.

mod commands;
mod files;
pub mod scratch;
pub mod script;
pub mod watched;
mod words;
