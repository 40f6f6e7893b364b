use super::{super::*, *};
use crate::{
    input::{InputObject, Origin, Sample},
    plan::fixture::{binding, hour, product, tally},
    product::Rounding,
    tags::TagSet,
};

fn group(namespace: &str) -> Arc<SampleGroup> {
    let samples = vec![Sample { name: namespace.into(), labels: [].into(), value: 0.1 + 0.2 }];
    Arc::new(SampleGroup { origin: Some(Origin { namespace: namespace.into(), labels: [].into() }), samples })
}

fn tick(minute: i64, bindings: &[(&str, Option<&str>)]) -> Entry {
    let object = |namespace: &str| {
        Arc::new(InputObject {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: Some(namespace.into()),
            name: "a".into(),
            uid: "u".into(),
            labels: [].into(),
            body: "{}".into(),
        })
    };
    let inputs = vec![
        Input { name: "pods".into(), data: InputData::Objects(vec![object("vecdb"), object("other")]) },
        Input { name: "engine".into(), data: InputData::Samples(vec![group("vecdb"), group("other")]) },
    ];
    let missed = |(name, missed): &(&str, Option<&str>)| ((*name).to_owned(), missed.map(str::to_owned));
    Entry::Tick(RecordedTick {
        at: hour().start() + jiff::SignedDuration::from_mins(minute),
        plugin: Digest::of(b"plugin"),
        bindings: bindings.iter().map(missed).collect(),
        inputs: RecordedInput::all(&Collected { inputs, problems: vec![] }),
        problems: vec![],
    })
}

fn recording() -> Recording {
    let product = product(Rounding::Carry);
    let start = Start { binding: binding(TagSet::default()), tally: tally(&[]) };
    let entries = vec![
        Entry::Terms(Terms::of(&product)),
        Entry::Start(Box::new(start)),
        tick(0, &[("prod", None)]),
        tick(1, &[("test", None)]),
        tick(2, &[("prod", Some("PluginTrapped")), ("test", None)]),
    ];
    Recording { header: super::super::Header::new(product.key, hour()), entries }
}

#[test]
fn a_tape_has_the_ticks_of_one_binding_and_what_it_saw() {
    let tape = Tape::cut(&recording(), "prod").unwrap();
    assert_eq!(
        tape.ticks.iter().map(|tick| tick.missed.as_deref()).collect::<Vec<_>>(),
        [None, Some("PluginTrapped")]
    );
    assert_eq!((&tape.ticks[0].state, &tape.ticks[1].state), (&Some(Bytes::default()), &None));
    let inputs = tape.inputs();
    let InputData::Objects(objects) = &inputs[0].data else { panic!() };
    assert_eq!(objects.iter().map(|one| one.namespace.as_deref()).collect::<Vec<_>>(), [Some("vecdb")]);
    let InputData::Samples(groups) = &inputs[1].data else { panic!() };
    assert_eq!((groups.len(), &groups[0].origin, groups[0].samples[0].value), (1, &None, 0.1 + 0.2));
}

#[test]
fn a_binding_that_did_not_run_is_told_which_did() {
    let error = Tape::cut(&recording(), "staging").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the recording has no tick of a binding `staging`; it has those of prod, test"
    );
    let mut headless = recording();
    headless.entries.remove(1);
    assert_eq!(Tape::cut(&headless, "prod").unwrap_err(), Uncut::Unordered(hour().start()));
}

#[test]
fn a_tape_is_what_was_written() {
    let mut tape = Tape::cut(&recording(), "prod").unwrap();
    tape.components.insert(Digest::of(b"plugin"), b"plugin".to_vec());
    tape.ticks[0].outcome = serde_json::json!({"readings": [], "state": "", "log": []});
    assert_eq!(Tape::parse(&tape.text()).unwrap(), tape);
    let damaged = tape.text().replace("\"tick\"", "\"tock\"");
    assert!(matches!(Tape::parse(&damaged), Err(InvalidRecording::Line { line: 3, .. })));
    let recording = line(&recording().header);
    assert!(matches!(Tape::parse(&recording), Err(InvalidRecording::Format { .. })));
}

#[test]
fn a_state_is_redacted_as_a_whole() {
    let mut tape = Tape::cut(&recording(), "prod").unwrap();
    assert!(!tape.has_state());
    tape.ticks[0].state = Some(Bytes(b"alice".to_vec()));
    assert!(tape.has_state());
    let redactor = Redactor::of(&tape.inputs());
    assert!(!tape.redacted(&redactor, &BTreeSet::new()).has_state());
    assert!(tape.redacted(&redactor, &[Place::state()].into()).has_state());
}
