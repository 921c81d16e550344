//! Region: a filter over events; Query: a region read in an order from a place.

use crate::coordinate::check_component;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::format::frame::Frame;
use crate::kind::EventKind;

/// Which entities a region holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EntityFilter {
    /// All of them.
    #[default]
    Any,
    /// This one.
    Exact(String),
    /// This one and everything below it: `user:1` matches `user:1` and `user:1:cart`, but not
    /// `user:10`. A prefix that ends in `:` matches only what is below it.
    Prefix(String),
}

/// Which kinds a region holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KindFilter {
    /// All of them.
    #[default]
    Any,
    /// This one.
    Exact(EventKind),
    /// Every kind of this category, 0 to 15.
    Category(u8),
}

/// A filter over events. Every part that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Which entities.
    pub entity: EntityFilter,
    /// Only this scope.
    pub scope: Option<String>,
    /// Which kinds.
    pub kind: KindFilter,
    /// Only this lane.
    pub lane: Option<u32>,
    /// Only clocks from the first to the second, both included.
    pub clocks: Option<(u32, u32)>,
}

impl Region {
    /// Every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// One entity's events, on every lane.
    pub fn entity(entity: impl Into<String>) -> Self {
        Self { entity: EntityFilter::Exact(entity.into()), ..Self::default() }
    }

    /// An entity and everything below it.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { entity: EntityFilter::Prefix(prefix.into()), ..Self::default() }
    }

    /// The same region, of this scope only.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// The same region, of this kind only.
    #[must_use]
    pub fn with_kind(mut self, kind: EventKind) -> Self {
        self.kind = KindFilter::Exact(kind);
        self
    }

    /// The same region, of this category only.
    #[must_use]
    pub fn with_category(mut self, category: u8) -> Self {
        self.kind = KindFilter::Category(category);
        self
    }

    /// The same region, on this lane only.
    #[must_use]
    pub fn with_lane(mut self, lane: u32) -> Self {
        self.lane = Some(lane);
        self
    }

    /// The same region, of the clocks `first..=last` only.
    #[must_use]
    pub fn with_clocks(mut self, first: u32, last: u32) -> Self {
        self.clocks = Some((first, last));
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.check_names()?;
        self.check_ranges()
    }

    fn check_names(&self) -> Result<()> {
        match &self.entity {
            EntityFilter::Any => {}
            EntityFilter::Exact(entity) => check_component("entity", entity)?,
            EntityFilter::Prefix(prefix) => check_component("entity prefix", prefix)?,
        }
        match &self.scope {
            Some(scope) => check_component("scope", scope),
            None => Ok(()),
        }
    }

    /// Everything but the names: those in a 0.x store may break today's rules.
    pub(crate) fn check_ranges(&self) -> Result<()> {
        if let KindFilter::Category(category) = self.kind
            && category > 0xF
        {
            return Err(Error::new(
                ErrorKind::InvalidKind,
                format!("category {category} is out of range (0..=15)"),
            ));
        }
        if let Some((first, last)) = self.clocks
            && first > last
        {
            return Err(Error::invalid(format!("clock range {first}..={last} is inverted")));
        }
        Ok(())
    }

    pub(crate) fn matches_entity(&self, entity: &str) -> bool {
        match &self.entity {
            EntityFilter::Any => true,
            EntityFilter::Exact(exact) => entity == exact,
            EntityFilter::Prefix(prefix) => below(entity, prefix),
        }
    }

    pub(crate) fn matches_kind(&self, kind: EventKind) -> bool {
        match self.kind {
            KindFilter::Any => true,
            KindFilter::Exact(exact) => kind == exact,
            KindFilter::Category(category) => kind.category() == category,
        }
    }

    /// Whether the event is in the region.
    pub fn matches(&self, event: &Event) -> bool {
        self.matches_frame(&event.frame())
    }

    pub(crate) fn matches_frame(&self, frame: &Frame<'_>) -> bool {
        self.lane.is_none_or(|lane| frame.lane() == lane)
            && self.clocks.is_none_or(|(a, b)| (a..=b).contains(&frame.clock()))
            && self.matches_kind(EventKind(frame.kind()))
            && self.scope.as_ref().is_none_or(|scope| frame.scope() == scope)
            && (self.entity == EntityFilter::Any || self.matches_entity(frame.entity()))
    }
}

/// Whether `entity` is `prefix` or lies below it at a `:` boundary.
pub(crate) fn below(entity: &str, prefix: &str) -> bool {
    match entity.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || rest.starts_with(':') || prefix.ends_with(':'),
        None => false,
    }
}

/// The order in which a query gives events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// By rising sequence.
    #[default]
    Forward,
    /// By falling sequence.
    Backward,
}

/// A region read in an order, from a place, up to a number of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Which events.
    pub region: Region,
    /// In which order.
    pub direction: Direction,
    /// The first sequence to look at, included; without it, the log's start (or its end when
    /// reading backwards).
    pub from: Option<u64>,
    /// At most so many events; without it, all up to what is visible when the read begins.
    pub limit: Option<u64>,
}

impl Query {
    /// All of a region, forwards.
    pub fn new(region: Region) -> Self {
        Self { region, ..Self::default() }
    }

    /// The same query, backwards.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// The same query from this sequence on, included.
    #[must_use]
    pub fn from(mut self, sequence: u64) -> Self {
        self.from = Some(sequence);
        self
    }

    /// The same query for at most so many events.
    #[must_use]
    pub fn limit(mut self, events: u64) -> Self {
        self.limit = Some(events);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_match_at_boundaries() {
        assert!(below("user:1", "user:1"));
        assert!(below("user:1:cart", "user:1"));
        assert!(!below("user:10", "user:1"));
        assert!(below("user:10", "user:"));
        assert!(!below("use", "user"));
    }

    #[test]
    fn inverted_and_out_of_range_filters_are_refused() {
        let kind = |region: Region| region.check().unwrap_err().kind();
        assert_eq!(kind(Region::all().with_clocks(2, 1)), ErrorKind::InvalidArgument);
        assert_eq!(kind(Region::all().with_category(16)), ErrorKind::InvalidKind);
        assert_eq!(kind(Region::entity("a/b")), ErrorKind::InvalidCoordinate);
    }
}
