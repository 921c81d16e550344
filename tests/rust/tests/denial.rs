//! What a recorded refusal says: the refused kind, the hash of its payload, and each gate's
//! verdict.

use batpak_core::{
    Error, ErrorKind, Event, EventKind, GateMode, GateSet, NewEvent, OpenOptions, Refusal, Store,
};
use batpak_tests::scratch::Scratch;
use serde::Deserialize;

#[derive(Debug, Deserialize, PartialEq)]
struct Denial {
    kind: u16,
    payload_hash: String,
    gates: Vec<Verdict>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Verdict {
    gate: String,
    verdict: String,
    code: String,
    message: String,
}

fn verdict(gate: &str, verdict: &str, code: &str, message: &str) -> Verdict {
    let [gate, verdict, code, message] = [gate, verdict, code, message].map(str::to_owned);
    Verdict { gate, verdict, code, message }
}

/// Appends `payload` through three gates, of which the second and the third refuse; gives the
/// event that records it.
fn recorded(mode: GateMode) -> Result<Event, Error> {
    let scratch = Scratch::new().unwrap();
    let store = Store::open(scratch.join("store"), &OpenOptions::default())?;
    let refuse = |code: &str| Err(Refusal { code: code.into(), message: format!("no {code}") });
    let mut gates = GateSet::default();
    (gates.mode, gates.record_denial) = (mode, true);
    gates.push("first", |_| Ok(()));
    gates.push("second", |_| refuse("SECOND"));
    gates.push("third", |_| refuse("THIRD"));
    let kind = EventKind::new(7, 9)?;
    let event = NewEvent { lane: 3, ..NewEvent::new("a", "s", kind, b"payload") };
    let error = store.append_gated(&[event], &gates, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let event = store.at(0)?.unwrap();
    assert_eq!(store.head()?.events, 1);
    assert_eq!((event.entity(), event.scope(), event.lane()), ("a", "s", 3));
    assert_eq!(event.kind(), EventKind::DENIAL);
    Ok(event)
}

fn denial(gates: Vec<Verdict>) -> Denial {
    let payload_hash = blake3::hash(b"payload").to_string();
    Denial { kind: 0x7009, payload_hash, gates }
}

#[test]
fn a_record_names_the_gates_that_were_not_asked() {
    let event = recorded(GateMode::FailFast).unwrap();
    let expected = denial(vec![
        verdict("first", "permit", "", ""),
        verdict("second", "deny", "SECOND", "no SECOND"),
        verdict("third", "skipped", "", ""),
    ]);
    assert_eq!(event.decode::<Denial>().unwrap(), expected);
}

#[test]
fn a_record_holds_every_answer() {
    let event = recorded(GateMode::All).unwrap();
    let expected = denial(vec![
        verdict("first", "permit", "", ""),
        verdict("second", "deny", "SECOND", "no SECOND"),
        verdict("third", "deny", "THIRD", "no THIRD"),
    ]);
    assert_eq!(event.decode::<Denial>().unwrap(), expected);
}
