use super::{wire::Number, *};
use crate::{
    input::{Input, InputData, InputObject, Origin, Problem, Sample, SampleGroup},
    plan::fixture::{binding, hour, product, tally},
    product::Rounding,
    tags::TagSet,
};

fn collected() -> Collected {
    let object = InputObject {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: Some("vecdb".into()),
        name: "vecdb-0".into(),
        uid: "uid".into(),
        labels: [("app".to_owned(), "vecdb".to_owned())].into(),
        body: "{\"status\":{}}".into(),
    };
    let sample = |value| Sample { name: "bytes".into(), labels: [].into(), value };
    let group = SampleGroup {
        origin: Some(Origin { namespace: "vecdb".into(), labels: [].into() }),
        samples: [0.1 + 0.2, 1e300, -0.0, f64::INFINITY].map(sample).into(),
    };
    let input = |name: &str, data| Input { name: name.into(), data };
    Collected {
        inputs: vec![
            input("pods", InputData::Objects(vec![Arc::new(object)])),
            input("engine", InputData::Samples(vec![Arc::new(group)])),
            input("stored", InputData::Scalar(5e-324)),
            input("seats", InputData::Json("{\"seats\": 3}".into())),
            input("gone", InputData::Unavailable("connection refused".into())),
        ],
        problems: vec![Problem { input: "engine".into(), message: "one pod did not answer".into() }],
    }
}

fn tick() -> RecordedTick {
    RecordedTick {
        at: hour().start(),
        plugin: Digest::of(b"plugin"),
        bindings: [("prod".to_owned(), None), ("test".to_owned(), Some("PluginTrapped".to_owned()))].into(),
        inputs: RecordedInput::all(&collected()),
        problems: RecordedProblem::all(&collected()),
    }
}

#[test]
fn a_recording_is_what_was_recorded() {
    let product = product(Rounding::Carry);
    let header = Header::new(product.key.clone(), hour());
    let start =
        Start { binding: binding(TagSet::default()), tally: tally(&[("5.250000", TagSet::default())]) };
    let late = LateUsage {
        dimension: "gb_hours".parse().unwrap(),
        hour: hour().previous(),
        quantity: "3".parse().unwrap(),
    };
    let seal = Seal {
        cluster: "cluster".into(),
        previous: None,
        late: vec![late],
        bindings: ["prod".to_owned()].into(),
        report: None,
    };
    let entries = vec![
        Entry::Terms(Terms::of(&product)),
        Entry::Start(Box::new(start)),
        Entry::Tick(tick()),
        Entry::Seal(Box::new(seal)),
    ];
    let text: String = [line(&header)].into_iter().chain(entries.iter().map(line)).collect();
    let recording = Recording::parse(&text).unwrap();
    assert_eq!(recording, Recording { header, entries });
    assert_eq!(tick().collected(), collected());
    assert_eq!(recording.seal().map(|seal| seal.cluster.as_str()), Some("cluster"));
}

#[test]
fn the_terms_are_all_of_a_product_that_decides_its_numbers() {
    let product = product(Rounding::Nearest);
    let again = Terms::of(&product).product(product.key.clone()).unwrap();
    assert_eq!(again, Product { mode: Mode::Shadow, ..product });
}

#[test]
fn every_bit_of_a_number_survives() {
    for bits in
        [0, 1, 0x8000_0000_0000_0000, 0x7ff8_0000_0000_0000, 0x7ff8_0000_dead_beef, 0xfff0_0000_0000_0000]
    {
        let number = Number(f64::from_bits(bits));
        let json = serde_json::to_string(&number).unwrap();
        assert_eq!(serde_json::from_str::<Number>(&json).unwrap(), number, "{json}");
    }
    assert_eq!(serde_json::to_string(&Number(0.25)).unwrap(), "\"0.25\"");
}

#[test]
fn another_format_is_refused_with_its_name() {
    let error = Recording::parse("{\"format\":\"tollkeeper.dev/recording/v9\"}\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the recording has the format `tollkeeper.dev/recording/v9`, and tollkeeper.dev/recording/v1 is read here"
    );
    assert!(matches!(Recording::parse("\n"), Err(InvalidRecording::Empty)));
    let text = line(&Header::new(ObjectKey::new("a", "b"), hour())) + "{\"tick\":{}}\n";
    assert!(matches!(Recording::parse(&text), Err(InvalidRecording::Line { line: 2, .. })));
}
