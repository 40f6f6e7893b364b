use super::*;
use crate::input::{Origin, Sample};

fn object(name: &str, body: &str) -> InputObject {
    InputObject {
        api_version: "v1".into(),
        kind: "Secret".into(),
        namespace: Some("prod".into()),
        name: name.into(),
        uid: format!("uid-of-{name}"),
        labels: [("team".to_owned(), "payments".to_owned())].into(),
        body: body.into(),
    }
}

fn objects(name: &str, all: Vec<InputObject>) -> Input {
    Input { name: name.into(), data: InputData::Objects(all.into_iter().map(Arc::new).collect()) }
}

fn samples() -> Input {
    let labels = [("pod".to_owned(), "b".to_owned()), ("user".to_owned(), String::new())].into();
    let group = SampleGroup {
        origin: None::<Origin>,
        samples: vec![Sample { name: "bytes".into(), labels, value: 7.5 }],
    };
    Input { name: "engine".into(), data: InputData::Samples(vec![Arc::new(group)]) }
}

fn secrets() -> Input {
    let body = r#"{"data":{"token":"aHVudGVyMg=="},"replicas":3,"env":[{"value":"x"},{"value":"y"}]}"#;
    objects("secrets", vec![object("b", body), object("a", "no JSON: hunter2")])
}

fn shown(input: &Input) -> String {
    format!("{:?}", input.data)
}

fn place(text: &str) -> Place {
    let Keep { input, part } = text.parse().unwrap();
    Place { input, part }
}

#[test]
fn nothing_that_comes_from_the_cluster_is_left() {
    let (secrets, samples) = (secrets(), samples());
    let redactor = Redactor::of([&secrets, &samples]);
    let shown = shown(&redactor.redacted(&secrets, &BTreeSet::new()));
    for text in ["prod", "uid-of", "payments", "aHVudGVyMg", "hunter2", "\\\"x\\\"", "\\\"y\\\""] {
        assert!(!shown.contains(text), "{text} in {shown}");
    }
    for text in ["Secret", "team", "token", "\\\"replicas\\\":3"] {
        assert!(shown.contains(text), "{text} not in {shown}");
    }
}

#[test]
fn equal_texts_stay_equal_and_in_their_order() {
    let (secrets, samples) = (secrets(), samples());
    let redactor = Redactor::of([&secrets, &samples]);
    let InputData::Objects(objects) = redactor.redacted(&secrets, &BTreeSet::new()).data else { panic!() };
    let InputData::Samples(groups) = redactor.redacted(&samples, &BTreeSet::new()).data else { panic!() };
    let sample = &groups[0].samples[0];
    assert_eq!(objects[0].name, sample.labels["pod"]);
    assert!(objects[1].name < objects[0].name, "{objects:?}");
    assert_eq!((sample.value, sample.labels["user"].as_str(), sample.name.as_str()), (7.5, "", "bytes"));
}

#[test]
fn what_is_kept_is_kept_at_its_place_alone() {
    let secrets = secrets();
    let redactor = Redactor::of([&secrets]);
    let kept = BTreeSet::from([place("secrets:/env/*/value"), place("secrets:name")]);
    let InputData::Objects(objects) = redactor.redacted(&secrets, &kept).data else { panic!() };
    assert_eq!(objects[0].name, "b");
    assert_ne!(objects[0].uid, "uid-of-b");
    assert!(objects[0].body.contains(r#""env":[{"value":"x"},{"value":"y"}]"#), "{}", objects[0].body);
    // Two names, two texts of `env` are kept of: prod, a, b, two UIDs, payments, a token, x, y, a whole body.
    assert_eq!((redactor.replaced(&BTreeSet::new()), redactor.replaced(&kept)), (10, 6));
}

#[test]
fn places_that_share_a_text_are_a_group() {
    let (secrets, samples) = (secrets(), samples());
    let groups = Redactor::of([&secrets, &samples]).groups();
    let of = |text: &str| groups.iter().find(|group| group.contains(&place(text))).unwrap();
    assert_eq!(of("secrets:name"), &BTreeSet::from([place("secrets:name"), place("engine:labels.pod")]));
    assert_eq!(of("secrets:uid").len(), 1);
}

#[test]
fn what_to_keep_covers_what_is_below_it() {
    let covers = |keep: &str, at: &str| keep.parse::<Keep>().unwrap().covers(&place(at));
    assert!(covers("nodes", "nodes:labels.zone") && covers("nodes", "nodes:/status/phase"));
    assert!(covers("nodes:labels", "nodes:labels.zone") && covers("nodes:labels.zone", "nodes:labels.zone"));
    assert!(covers("nodes:/status", "nodes:/status/phase"));
    assert!(!covers("nodes:labels.app", "nodes:labels.app.kubernetes.io/name"));
    assert!(!covers("nodes:/status", "nodes:/statuses/phase") && !covers("nodes", "pods:name"));
    assert!("state".parse::<Keep>().unwrap().covers(&Place::state()));
}

#[test]
fn a_document_and_a_reason_are_texts_too() {
    let input = |data| Input { name: "seats".into(), data };
    let document = input(InputData::Json(r#"{"seats":3,"who":["alice"]}"#.into()));
    let reason = input(InputData::Unavailable("no route to 10.0.0.7".into()));
    let redactor = Redactor::of([&document, &reason]);
    let none = BTreeSet::new();
    assert_eq!(
        redactor.redacted(&document, &none).data,
        InputData::Json(r#"{"seats":3,"who":["text-1"]}"#.into())
    );
    assert_eq!(redactor.redacted(&reason, &none).data, InputData::Unavailable("text-2".into()));
}
