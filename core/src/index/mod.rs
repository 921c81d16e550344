//! Where events are.
