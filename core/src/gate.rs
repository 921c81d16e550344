//! Gates: named checks that a caller evaluates before an append.

use crate::event::NewEvent;

/// Why a gate refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A short code for programs, such as `LIMIT_EXCEEDED`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// What one gate said of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event may pass.
    Permit,
    /// It may not.
    Deny(Refusal),
    /// The gate was not asked, since an earlier one refused.
    Skipped,
}

/// A gate's name with its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateOutcome {
    /// The gate.
    pub gate: String,
    /// What it said.
    pub verdict: Verdict,
}

/// Whether the gates after a refusal are still asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum GateMode {
    /// The first refusal ends the evaluation; the rest are skipped.
    #[default]
    FailFast = 0,
    /// Every gate is asked.
    All = 1,
}

type Check<'a> = Box<dyn Fn(&NewEvent<'_>) -> Result<(), Refusal> + 'a>;

/// A list of named checks, evaluated in order on the caller's thread before an append.
///
/// ```
/// use batpak_core::{EventKind, GateSet, NewEvent, Refusal};
/// let mut gates = GateSet::default();
/// gates.push("small", |event| match event.payload.len() {
///     0..=100 => Ok(()),
///     n => Err(Refusal { code: "TOO_BIG".into(), message: format!("{n} bytes") }),
/// });
/// let event = NewEvent::new("user:1", "app", EventKind::DATA, b"hello");
/// assert!(gates.evaluate(&event).is_none());
/// ```
#[derive(Default)]
pub struct GateSet<'a> {
    /// Whether the gates after a refusal are still asked.
    pub mode: GateMode,
    /// Whether a refusal is recorded in the log, as an event of kind [`DENIAL`].
    ///
    /// [`DENIAL`]: crate::EventKind::DENIAL
    pub record_denial: bool,
    gates: Vec<(String, Check<'a>)>,
}

impl<'a> GateSet<'a> {
    /// Adds a gate at the end. A check that panics counts as a refusal with code `GATE_DEFECT`.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        check: impl Fn(&NewEvent<'_>) -> Result<(), Refusal> + 'a,
    ) {
        self.gates.push((name.into(), Box::new(check)));
    }

    /// Asks the gates. `None` when every gate permits the event; otherwise each gate's verdict.
    pub fn evaluate(&self, event: &NewEvent<'_>) -> Option<Vec<GateOutcome>> {
        let mut denied = false;
        let mut outcomes = Vec::with_capacity(self.gates.len());
        for (name, check) in &self.gates {
            let verdict = if denied && self.mode == GateMode::FailFast {
                Verdict::Skipped
            } else {
                // A gate only reads its event, so nothing half-changed is seen after a panic.
                let asked = std::panic::AssertUnwindSafe(|| check(event));
                match std::panic::catch_unwind(asked) {
                    Ok(Ok(())) => Verdict::Permit,
                    Ok(Err(refusal)) => Verdict::Deny(refusal),
                    Err(_) => Verdict::Deny(Refusal {
                        code: "GATE_DEFECT".into(),
                        message: "the gate panicked".into(),
                    }),
                }
            };
            denied |= matches!(verdict, Verdict::Deny(_));
            outcomes.push(GateOutcome { gate: name.clone(), verdict });
        }
        denied.then_some(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::EventKind;

    fn refuse(code: &str) -> Result<(), Refusal> {
        Err(Refusal { code: code.into(), message: String::new() })
    }

    fn codes(gates: &GateSet<'_>) -> Vec<String> {
        let event = NewEvent::new("e", "s", EventKind::DATA, b"");
        let outcomes = gates.evaluate(&event).unwrap();
        let code = |o: GateOutcome| match o.verdict {
            Verdict::Permit => "permit".to_owned(),
            Verdict::Skipped => "skipped".to_owned(),
            Verdict::Deny(refusal) => refusal.code,
        };
        outcomes.into_iter().map(code).collect()
    }

    #[test]
    fn modes_differ_after_the_first_refusal() {
        let mut gates = GateSet::default();
        gates.push("a", |_| Ok(()));
        gates.push("b", |_| refuse("B"));
        gates.push("c", |_| refuse("C"));
        assert_eq!(codes(&gates), ["permit", "B", "skipped"]);
        gates.mode = GateMode::All;
        assert_eq!(codes(&gates), ["permit", "B", "C"]);
    }

    #[test]
    fn a_panicking_gate_refuses() {
        let mut gates = GateSet::default();
        gates.push("broken", |_| panic!("defect"));
        assert_eq!(codes(&gates), ["GATE_DEFECT"]);
    }
}
