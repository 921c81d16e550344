//! Times of single operations.

use crate::print;

/// In nanoseconds.
#[derive(Default)]
pub struct Samples(Vec<u64>);

impl Samples {
    pub fn push(&mut self, nanoseconds: u64) {
        self.0.push(nanoseconds);
    }

    pub fn all(&self) -> &[u64] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Prints these percentiles, of which each has a measure of its own.
    pub fn print(&mut self, subject: &str, measure: &str, percentiles: &[f64]) {
        self.0.sort_unstable();
        for percentile in percentiles {
            let last = self.0.len().saturating_sub(1);
            let at = (percentile / 100.0 * last as f64).round() as usize;
            if let Some(nanoseconds) = self.0.get(at) {
                let measure = format!("{measure}, p{percentile}");
                print(subject, &measure, "µs", *nanoseconds as f64 / 1e3);
            }
        }
    }
}
