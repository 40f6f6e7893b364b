//! Recordings and tapes, which come from other people's clusters: what can be read is read again as it was, redacted or not.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use tollkeeper_core::{
    recording::{
        Recording,
        tape::{Tape, bindings},
    },
    redaction::Redactor,
};

fuzz_target!(|text: &str| {
    if let Ok(tape) = Tape::parse(text) {
        plays_as_it_was(&tape);
    }
    if let Ok(recording) = Recording::parse(text) {
        for binding in bindings(&recording) {
            if let Ok(tape) = Tape::cut(&recording, &binding) {
                plays_as_it_was(&tape);
            }
        }
    }
});

fn plays_as_it_was(tape: &Tape) {
    assert_eq!(Tape::parse(&tape.text()).as_ref().ok(), Some(tape));
    let redactor = Redactor::of(&tape.inputs());
    let shown: BTreeSet<_> = redactor.groups().into_iter().flatten().collect();
    assert_eq!(redactor.replaced(&shown), 0);
    let redacted = tape.redacted(&redactor, &BTreeSet::new());
    assert_eq!(Tape::parse(&redacted.text()).ok(), Some(redacted));
}
