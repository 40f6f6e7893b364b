//! Traces that people hand to `simulate` and to a plugin's bench: what can be read is read again as it was, to the last bit, and
//! its objects are reduced to their fields; what cannot be read is refused in one sentence with its line.
#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tollkeeper_core::{
    input::{InputData, InputSource},
    trace::{Contents, FIRST, InvalidTrace, LAST, State, Trace},
};
use tollkeeper_fuzz::assert_refusal;

/// Private to the controller, whose dependencies are none of its own.
#[path = "../../operator/crates/controller/src/collect/fields.rs"]
mod fields;

type Object = BTreeMap<String, Box<RawValue>>;

fuzz_target!(|text: &str| {
    match Trace::parse("t.jsonl", text, None) {
        Ok(trace) => {
            reads_again(&trace);
            is_within_its_years(&trace);
            is_reduced(&trace);
        }
        Err(refusal) => is_refused(&refusal, text),
    }
    let inputs = BTreeSet::from(["pods".to_owned()]);
    match Trace::parse("t.jsonl", text, Some(&inputs)) {
        Ok(trace) => assert!(trace.states().iter().all(|state| state.input == "pods")),
        Err(refusal) => is_refused(&refusal, text),
    }
});

fn is_refused(refusal: &InvalidTrace, text: &str) {
    match refusal {
        InvalidTrace::Empty { .. } => assert!(text.trim().is_empty()),
        InvalidTrace::Line { .. } => assert_refusal(&refusal.to_string(), "t.jsonl", text),
    }
}

fn reads_again(trace: &Trace) {
    let text: String = trace.states().iter().map(written).collect();
    let again = Trace::parse("t.jsonl", &text, None).expect("what was written is read");
    let without_lines = |trace: &Trace| -> Vec<State> {
        trace.states().iter().map(|state| State { line: 0, ..state.clone() }).collect()
    };
    assert_eq!(without_lines(&again), without_lines(trace));
}

fn written(state: &State) -> String {
    let quoted = |text: &str| serde_json::to_string(text).expect("a text is JSON");
    let mut line = format!(r#"{{"at":"{}","input":{},"#, state.at, quoted(&state.input));
    let _ = match &state.contents {
        Contents::Objects(objects) => write!(line, r#""objects":[{}]"#, objects.join(",")),
        Contents::Ready(InputData::Scalar(value)) => write!(line, r#""scalar":{value}"#),
        Contents::Ready(InputData::Json(json)) => write!(line, r#""json":{json}"#),
        Contents::Ready(InputData::Unavailable(why)) => write!(line, r#""missing":{}"#, quoted(why)),
        Contents::Ready(InputData::Samples(groups)) => {
            let samples = groups.iter().flat_map(|group| &group.samples).map(|sample| {
                let labels = serde_json::to_string(&sample.labels).expect("texts are JSON");
                format!(r#"{{"name":{},"labels":{labels},"value":{}}}"#, quoted(&sample.name), sample.value)
            });
            write!(line, r#""samples":[{}]"#, samples.collect::<Vec<_>>().join(","))
        }
        Contents::Ready(InputData::Objects(_)) => unreachable!("objects are not reduced yet"),
    };
    line + "}\n"
}

fn is_within_its_years(trace: &Trace) {
    let (first, last) = trace.span();
    assert!(first <= last);
    for moment in [first, last] {
        let year: i16 = moment.to_string()[..4].parse().expect("a year has four digits");
        assert!((FIRST..LAST).contains(&year), "{moment}");
    }
    assert_eq!(&trace.clone().moved_to(first), trace);
    let (start, end) = trace.clone().moved_to(last).span();
    assert_eq!(end.duration_since(start), last.duration_since(first));
}

/// What a product would declare that shows everything does so, and reducing an object twice is reducing it once.
fn is_reduced(trace: &Trace) {
    let declared: BTreeMap<_, _> = trace
        .declarations()
        .into_iter()
        .map(|declaration| match declaration.source {
            InputSource::Objects { fields, .. } => (declaration.name, fields),
            other => unreachable!("a trace declares objects, not {other:?}"),
        })
        .collect();
    for state in trace.states() {
        let Contents::Objects(objects) = &state.contents else { continue };
        let all = fields::Fields::new(declared[&state.input].iter().map(String::as_str));
        let one = fields::Fields::new([state.input.as_str()]);
        for object in objects {
            // Deeper than is read.
            let (Ok(whole), Ok(some)) = (all.prune(object), one.prune(object)) else { continue };
            assert_eq!(all.prune(&whole).as_ref().ok(), Some(&whole));
            assert_eq!(one.prune(&some).as_ref().ok(), Some(&some));
            if let Ok(object) = serde_json::from_str::<Object>(object) {
                shows_all(&object, &serde_json::from_str(&whole).expect("an object is left"));
            }
        }
    }
}

fn shows_all(object: &Object, shown: &Object) {
    let is_plain =
        |key: &&String| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./-_".contains(&byte));
    let is_shown =
        |key: &&String| !key.is_empty() && !["apiVersion", "kind", "metadata"].contains(&key.as_str());
    for key in object.keys().filter(is_plain).filter(is_shown) {
        assert_eq!(shown.get(key).map(|value| value.get()), Some(object[key].get()), "{key}");
    }
}
