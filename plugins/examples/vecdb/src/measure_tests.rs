use super::*;

fn object(kind: &str, namespace: &str, name: &str, body: &str) -> Object {
    Object {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        labels: Vec::new(),
        body: body.into(),
    }
}

fn node(name: &str, cpu: &str) -> Object {
    object("Node", "", name, &format!(r#"{{"status":{{"capacity":{{"cpu":"{cpu}"}}}}}}"#))
}

fn pod(namespace: &str, name: &str, node: &str, phase: &str, cpu: &[&str]) -> Object {
    let containers: Vec<String> =
        cpu.iter().map(|cpu| format!(r#"{{"resources":{{"requests":{{"cpu":"{cpu}"}}}}}}"#)).collect();
    let body = format!(
        r#"{{"spec":{{"nodeName":"{node}","containers":[{}]}},"status":{{"phase":"{phase}"}}}}"#,
        containers.join(",")
    );
    object("Pod", namespace, name, &body)
}

fn sample(labels: &[(&str, &str)], value: f64) -> Sample {
    let labels =
        labels.iter().map(|(key, value)| Tag { key: (*key).into(), value: (*value).into() }).collect();
    Sample { name: BYTES_SCANNED.into(), labels, value }
}

fn input(name: &str, data: Data) -> Input {
    Input { name: name.into(), data }
}

fn inputs(nodes: Vec<Object>, pods: Vec<Object>, engine: Vec<Sample>) -> Vec<Input> {
    vec![
        input("nodes", Data::Objects(nodes)),
        input("pods", Data::Objects(pods)),
        input("engine", Data::Samples(engine)),
    ]
}

/// `dimension[tags] value` or `dimension[tags] total from source`.
fn shown(readings: &[Reading]) -> Vec<String> {
    let show = |reading: &Reading| {
        let tags: Vec<String> = reading.tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect();
        let value = match &reading.value {
            Value::Gauge(value) => value.clone(),
            Value::Counter(counter) => format!("{} from {}", counter.total, counter.source),
        };
        format!("{}[{}] {value}", reading.dimension, tags.join(","))
    };
    readings.iter().map(show).collect()
}

fn measured(config: &str, inputs: &[Input]) -> (Vec<String>, Vec<String>) {
    let (readings, remarks) = measure(&Config::parse(config).unwrap(), inputs).unwrap();
    (shown(&readings), remarks)
}

fn missing(config: &str, inputs: &[Input]) -> String {
    match measure(&Config::parse(config).unwrap(), inputs) {
        Err(Failure::MissingInput(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn running_pods_and_their_cores_are_added_by_namespace() {
    let pods = vec![
        pod("red", "a", "n1", "Running", &["500m", "1"]),
        pod("blue", "b", "n1", "Running", &["250m"]),
        pod("red", "c", "n1", "Running", &[]),
        pod("red", "d", "", "Pending", &["1"]),
        pod("red", "e", "n1", "Succeeded", &["1"]),
        object("Pod", "red", "f", "{}"),
    ];
    let (readings, remarks) = measured("", &inputs(vec![node("n1", "4")], pods, vec![]));
    assert_eq!(
        readings,
        [
            "instances[Namespace=blue] 1.000000",
            "cpu_hours[Namespace=blue] 0.250000",
            "instances[Namespace=red] 2.000000",
            "cpu_hours[Namespace=red] 1.500000",
        ]
    );
    assert_eq!(remarks, Vec::<String>::new());
}

#[test]
fn a_pod_counts_no_more_cores_than_its_node_has_and_nothing_without_its_node() {
    let pods = || vec![pod("red", "a", "n1", "Running", &["64"]), pod("red", "b", "gone", "Running", &["2"])];
    let checked = measured("", &inputs(vec![node("n1", "4")], pods(), vec![]));
    assert_eq!(checked.0, ["instances[Namespace=red] 1.000000", "cpu_hours[Namespace=red] 4.000000"]);
    assert_eq!(checked.1, ["pod red/b is not counted: its node `gone` does not exist"]);

    let unchecked = measured(r#"{"checkNodes": false}"#, &inputs(vec![], pods(), vec![]));
    assert_eq!(unchecked.0, ["instances[Namespace=red] 2.000000", "cpu_hours[Namespace=red] 66.000000"]);
}

#[test]
fn every_series_is_a_counter_of_its_own() {
    let engine = vec![
        sample(&[("namespace", "red"), ("pod", "a")], 1_234_567_890_123.0),
        sample(&[("namespace", "red"), ("pod", "b"), ("shard", "0")], 1e9),
        sample(&[("namespace", "red"), ("pod", "b"), ("shard", "1")], 2e9),
        sample(&[], 3e9),
        Sample { name: "vecdb_queries_total".into(), labels: vec![], value: 7.0 },
    ];
    let (readings, remarks) =
        measured(r#"{"dimensions": ["gb_scanned"]}"#, &[input("engine", Data::Samples(engine))]);
    assert_eq!(
        readings,
        [
            "gb_scanned[Namespace=red] 1234.567890 from a",
            "gb_scanned[Namespace=red] 1.000000 from b{shard=0}",
            "gb_scanned[Namespace=red] 2.000000 from b{shard=1}",
            "gb_scanned[] 3.000000 from ",
        ]
    );
    assert_eq!(remarks, Vec::<String>::new());
}

#[test]
fn a_sample_that_no_counter_gives_is_ignored_and_said() {
    let labels = [("namespace", "red"), ("pod", "a")];
    let engine =
        vec![sample(&labels, f64::NAN), sample(&labels, -1.0), sample(&labels, 1e9), sample(&labels, 2e9)];
    let (readings, remarks) = measured(
        r#"{"dimensions": ["gb_scanned"], "namespaceTag": ""}"#,
        &[input("engine", Data::Samples(engine))],
    );
    assert_eq!(readings, ["gb_scanned[] 1.000000 from a"]);
    assert_eq!(
        remarks,
        [
            "vecdb_bytes_scanned_total of red/a is ignored: it says NaN",
            "vecdb_bytes_scanned_total of red/a is ignored: it says -1",
            "vecdb_bytes_scanned_total of red/a is there twice; the first holds",
        ]
    );
}

#[test]
fn a_needed_input_that_is_missing_stops_the_measuring() {
    let mut all = inputs(vec![node("n1", "4")], vec![], vec![]);
    assert_eq!(missing("", &inputs(vec![], vec![], vec![])), "`nodes` is empty, but every cluster has nodes");
    all[2].data = Data::Unavailable("connection refused".into());
    assert_eq!(missing("", &all), "`engine`: connection refused");
    assert_eq!(measured(r#"{"dimensions": ["instances"]}"#, &all).0, Vec::<String>::new());
    all[2].data = Data::Scalar(1.0);
    assert_eq!(missing("", &all), "`engine` holds something else than samples");
    assert_eq!(missing("", &all[..2]), "the product declares no input `engine`");
    all[1].data = Data::Json("[]".into());
    assert_eq!(missing("", &all), "`pods` holds something else than objects");
}

#[test]
fn a_quantity_that_nobody_understands_stops_the_measuring() {
    let pods = vec![pod("red", "a", "n1", "Running", &["many"])];
    let failure = measure(&Config::default(), &inputs(vec![node("n1", "4")], pods, vec![])).unwrap_err();
    assert!(matches!(failure, Failure::Internal(why)
        if why == "Pod a: `spec.containers.resources.requests.cpu` is many, not a number of cores"));
}

#[test]
fn numbers_without_quotes_are_quantities_too() {
    let body = r#"{"spec":{"nodeName":"n1","containers":[{"resources":{"requests":{"cpu":0.5}}}]},"status":{"phase":"Running"}}"#;
    let pods = vec![object("Pod", "red", "a", body)];
    let nodes = vec![object("Node", "", "n1", r#"{"status":{"capacity":{"cpu":8}}}"#)];
    let (readings, _) = measured("", &inputs(nodes, pods, vec![]));
    assert_eq!(readings, ["instances[Namespace=red] 1.000000", "cpu_hours[Namespace=red] 0.500000"]);
}
