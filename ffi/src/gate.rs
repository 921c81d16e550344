//! Gates: checks of the caller's that an append asks before it goes ahead.

use crate::append::{batpak_extension, batpak_new_event};
use crate::argument::{
    Growing, batpak_bytes, batpak_text, check_reserved, growing_array, invalid, no_such, text_of,
};
use batpak_core::{
    Error, ErrorKind, GateMode, GateOutcome, GateSet, NewEvent, Refusal, Result, Verdict,
};
use std::cell::OnceCell;
use std::ffi::{c_char, c_void};
use std::rc::Rc;

/// Whether the gates after a refusal are still asked.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_gate_mode {
    /// The first refusal ends the evaluation; the rest are skipped.
    BATPAK_GATE_MODE_FAIL_FAST = 0,
    /// Every gate is asked.
    BATPAK_GATE_MODE_ALL = 1,
}

pub(crate) fn gate_mode(value: i32) -> Result<GateMode> {
    match value {
        0 => Ok(GateMode::FailFast),
        1 => Ok(GateMode::All),
        _ => Err(no_such("mode", value)),
    }
}

/// What a gate says of an event.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum batpak_verdict {
    /// The event may pass.
    BATPAK_VERDICT_PERMIT = 0,
    /// It may not.
    BATPAK_VERDICT_DENY = 1,
    /// The gate was not asked, since an earlier one refused.
    BATPAK_VERDICT_SKIPPED = 2,
}

/// The size of the code in a batpak_refusal, its NUL included.
pub const BATPAK_REFUSAL_CODE_BYTES: usize = 64;
/// The size of the message in a batpak_refusal, its NUL included.
pub const BATPAK_REFUSAL_MESSAGE_BYTES: usize = 440;

/// Where a gate writes why it refuses. It comes to the gate initialised and empty.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_refusal {
    /// sizeof(batpak_refusal) in the library: what the gate may write to.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// A short code for programs, such as "LIMIT_EXCEEDED", that ends with a NUL.
    pub code: [c_char; BATPAK_REFUSAL_CODE_BYTES],
    /// A sentence for people, that ends with a NUL.
    pub message: [c_char; BATPAK_REFUSAL_MESSAGE_BYTES],
}

/// A gate's check. It returns BATPAK_VERDICT_PERMIT or BATPAK_VERDICT_DENY. Any other number says
/// that the gate itself failed: the event is refused with the code "GATE_DEFECT", and the append
/// ends with BATPAK_CALLBACK. The event and the refusal are valid until it
/// returns. It must return: it may neither jump out (longjmp) nor let a C++ exception through.
pub type batpak_gate_check = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        event: *const batpak_new_event,
        refusal: *mut batpak_refusal,
    ) -> i32,
>;

/// A named check. Initialise it with BATPAK_GATE_INIT. In an array, all have the same struct_size,
/// which is the distance between two.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_gate {
    /// sizeof(batpak_gate).
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The gate's name, which recorded refusals carry.
    pub name: batpak_text,
    /// The check.
    pub check: batpak_gate_check,
    /// Handed to the check.
    pub user_data: *mut c_void,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_gate {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            name: batpak_text::EMPTY,
            check: None,
            user_data: std::ptr::null_mut(),
        }
    }
}

/// A gate's name with its verdict. Initialise it with BATPAK_GATE_OUTCOME_INIT. In an array, all
/// have the same struct_size, which is the distance between two.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct batpak_gate_outcome {
    /// sizeof(batpak_gate_outcome).
    pub struct_size: u32,
    /// What it said, a batpak_verdict.
    pub verdict: i32,
    /// The gate.
    pub gate: batpak_text,
    /// The code of a refusal; empty for the other verdicts.
    pub code: batpak_text,
    /// The message of a refusal; empty for the other verdicts.
    pub message: batpak_text,
}

// SAFETY: `repr(C)`, begins with its size, and every bit pattern is a value.
unsafe impl Growing for batpak_gate_outcome {
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            verdict: 0,
            gate: batpak_text::EMPTY,
            code: batpak_text::EMPTY,
            message: batpak_text::EMPTY,
        }
    }
}

/// SAFETY: the texts of `outcome` are as the rules at the top of the header say.
pub(crate) unsafe fn gate_outcome(at: usize, outcome: &batpak_gate_outcome) -> Result<GateOutcome> {
    // SAFETY: the caller's promise.
    let (gate, code, message) = unsafe {
        (
            text_of(format_args!("outcomes[{at}].gate"), outcome.gate)?,
            text_of(format_args!("outcomes[{at}].code"), outcome.code)?,
            text_of(format_args!("outcomes[{at}].message"), outcome.message)?,
        )
    };
    let verdict = match outcome.verdict {
        0 => Verdict::Permit,
        1 => Verdict::Deny(Refusal { code: code.into(), message: message.into() }),
        2 => Verdict::Skipped,
        other => return Err(no_such(format_args!("outcomes[{at}].verdict"), other)),
    };
    Ok(GateOutcome { gate: gate.into(), verdict })
}

/// The most gates of one call.
const MAX_GATES: usize = 4096;

/// Gates, and what the first of them that failed itself did.
pub(crate) struct Gates<'a> {
    pub(crate) set: GateSet<'a>,
    failure: Rc<OnceCell<String>>,
}

impl Gates<'_> {
    /// The result of an append that asked these gates, unless one of them failed meanwhile.
    pub(crate) fn result_of<T>(&self, appended: Result<T>) -> Result<T> {
        match self.failure.get() {
            Some(failure) => Err(Error::new(ErrorKind::Callback, failure)),
            None => appended,
        }
    }
}

/// SAFETY: the array is as the rules at the top of the header say, and its checks may be called
/// until the gates are gone.
pub(crate) unsafe fn gate_set<'a>(gates: *const batpak_gate, count: usize) -> Result<Gates<'a>> {
    let mut set = GateSet::default();
    let failure = Rc::new(OnceCell::new());
    // SAFETY: the caller's promise, here and below.
    let given = unsafe { growing_array("gates", gates, count, MAX_GATES) }?;
    for (at, gate) in given.iter().copied().enumerate() {
        check_reserved(format_args!("gates[{at}].reserved"), gate.reserved)?;
        let Some(check) = gate.check else {
            return Err(invalid(format!("gates[{at}].check is null")));
        };
        // SAFETY: as above.
        let name = unsafe { text_of(format_args!("gates[{at}].name"), gate.name) }?;
        let failure = Rc::clone(&failure);
        set.push(name, move |event: &NewEvent<'_>| {
            let extensions: Vec<_> = event
                .extensions
                .iter()
                .map(|(key, value)| batpak_extension {
                    key: batpak_text::of(key),
                    value: batpak_bytes::of(value),
                })
                .collect();
            let event = batpak_new_event::of(event, &extensions);
            let mut refusal = batpak_refusal {
                struct_size: size_of::<batpak_refusal>() as u32,
                reserved: 0,
                code: [0; BATPAK_REFUSAL_CODE_BYTES],
                message: [0; BATPAK_REFUSAL_MESSAGE_BYTES],
            };
            // SAFETY: the caller promised that the check may be called; both structs outlive it.
            match unsafe { check(gate.user_data, &event, &mut refusal) } {
                0 => Ok(()),
                1 => Err(Refusal {
                    code: inline_string(&refusal.code),
                    message: inline_string(&refusal.message),
                }),
                other => {
                    let message = format!("the gate returned {other}, which is no verdict");
                    failure.get_or_init(|| format!("gate `{name}`: {message}"));
                    Err(Refusal { code: "GATE_DEFECT".into(), message })
                }
            }
        });
    }
    Ok(Gates { set, failure })
}

/// The text in an array, up to its NUL or its end. What is not UTF-8 is replaced, since a gate's
/// verdict counts more than its spelling.
fn inline_string(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
