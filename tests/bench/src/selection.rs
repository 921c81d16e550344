//! What is to be measured, of all that could be. The environment says it, so that the programs of
//! every language are told in the same way.

/// `BENCH_MEASURES` holds parts of names of measures, and `BENCH_SUBJECTS` whole names of what is
/// measured, both with `|` between them; what is unset or empty selects everything.
pub struct Selection {
    measures: Vec<String>,
    subjects: Vec<String>,
}

impl Selection {
    pub fn from_environment() -> Self {
        Self { measures: list("BENCH_MEASURES"), subjects: list("BENCH_SUBJECTS") }
    }

    pub fn has_measure(&self, measure: &str) -> bool {
        self.measures.is_empty() || self.measures.iter().any(|part| measure.contains(&**part))
    }

    pub fn has(&self, subject: &str, measure: &str) -> bool {
        self.has_measure(measure)
            && (self.subjects.is_empty() || self.subjects.iter().any(|name| name == subject))
    }
}

fn list(variable: &str) -> Vec<String> {
    let text = std::env::var(variable).unwrap_or_default();
    text.split('|').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
