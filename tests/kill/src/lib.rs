//! What the parent and the workers of the kill test agree on. See README.md.

pub mod plan;
