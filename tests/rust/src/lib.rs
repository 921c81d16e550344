//! What the black-box tests share: a directory that cleans up after itself, and the interpreter
//! of the behaviour scripts in `tests/scripts`.

mod commands;
mod files;
pub mod scratch;
pub mod script;
mod words;
