//! What is wrong with the files is said in one sentence, with the place where it is.

use std::fs;

use super::{Simulation, scenarios, scratch, stderr, with_digest};

/// A simulation of the shared files, of which one is changed.
fn broken(name: &str, change: impl FnOnce(&mut Simulation, String, String)) -> Simulation {
    let folder = scratch(name);
    let read = |name: &str| fs::read_to_string(scenarios().join("shared").join(name)).unwrap();
    let (manifest, signals) = (read("manifest.yaml"), read("signals.jsonl"));
    let mut simulation = Simulation {
        manifest: folder.join("manifest.yaml"),
        signals: folder.join("signals.jsonl"),
        ..Simulation::of("throttle.scenario")
    };
    simulation.faults = None;
    fs::write(&simulation.manifest, with_digest(&manifest)).unwrap();
    fs::write(&simulation.signals, &signals).unwrap();
    change(&mut simulation, with_digest(&manifest), signals);
    simulation
}

fn refuses(simulation: &Simulation, sentence: &str) {
    let output = simulation.run(&[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("tollkeeper: ") && said.contains(sentence), "{said}\nwithout: {sentence}");
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap() + 1
}

#[test]
fn a_manifest_with_an_unknown_value_is_refused_with_its_line() {
    let mut place = String::new();
    let simulation = broken("yaml", |simulation, manifest, _| {
        place = format!("manifest.yaml:{}: ", line_of(&manifest, "fold: TimeWeighted"));
        fs::write(&simulation.manifest, manifest.replace("fold: TimeWeighted", "fold: Average")).unwrap();
    });
    refuses(&simulation, &place);
    refuses(&simulation, "Average");
}

#[test]
fn a_manifest_that_is_no_yaml_is_refused_with_its_line() {
    let simulation = broken("no-yaml", |simulation, _, _| {
        fs::write(&simulation.manifest, "apiVersion: v1\nkind: ConfigMap\ndata: [\n").unwrap();
    });
    refuses(&simulation, "manifest.yaml:4: ");
}

#[test]
fn a_line_of_a_trace_that_is_no_json_is_refused_with_line_and_column() {
    let simulation = broken("trace", |simulation, _, signals| {
        fs::write(&simulation.signals, format!("{signals}{{\"at\": yesterday}}\n")).unwrap();
    });
    refuses(&simulation, "signals.jsonl:3:8: ");
}

#[test]
fn an_input_that_no_product_declares_is_refused_with_its_line() {
    let simulation = broken("input", |simulation, _, signals| {
        let unknown = r#"{"at":"2026-11-01T01:00:00Z","input":"podz","objects":[]}"#;
        fs::write(&simulation.signals, format!("{signals}{unknown}\n")).unwrap();
    });
    refuses(&simulation, "signals.jsonl:3: no product declares the input `podz`; they declare pods");
}

#[test]
fn a_trace_without_a_line_is_refused() {
    let simulation = broken("empty", |simulation, _, _| fs::write(&simulation.signals, "\n").unwrap());
    refuses(&simulation, "signals.jsonl: the trace is empty");
}

#[test]
fn a_plugin_with_another_digest_is_refused() {
    let simulation = broken("digest", |simulation, manifest, _| {
        let start = manifest.find("sha256:").unwrap();
        let wrong = format!("{}sha256:{}{}", &manifest[..start], "0".repeat(64), &manifest[start + 71..]);
        fs::write(&simulation.manifest, wrong).unwrap();
    });
    refuses(&simulation, "the plugin of the product vecdb/vecdb cannot be used: ");
    refuses(&simulation, &format!("sha256:{}", "0".repeat(64)));
}

#[test]
fn a_plugin_that_is_not_there_is_refused_with_its_path() {
    let simulation = broken("plugin", |simulation, _, _| simulation.plugins = scratch("no-plugins"));
    refuses(&simulation, "the component of the product vecdb/vecdb cannot be read: /plugins/vecdb.wasm: ");
}

#[test]
fn a_product_without_a_binding_is_refused() {
    let simulation = broken("unbound", |simulation, manifest, _| {
        fs::write(&simulation.manifest, manifest.split("---").next().unwrap()).unwrap();
    });
    refuses(&simulation, "the product vecdb/vecdb has no LicenseBinding");
}

#[test]
fn two_bindings_of_one_workload_are_refused() {
    let simulation = broken("overlap", |simulation, manifest, _| {
        let binding = manifest.split("---").last().unwrap().replace("name: prod,", "name: twin,");
        fs::write(&simulation.manifest, format!("{manifest}\n---\n{binding}")).unwrap();
    });
    refuses(&simulation, "WorkloadOverlap: the bindings vecdb/prod and vecdb/twin");
}

#[test]
fn two_products_of_one_code_are_refused() {
    let simulation = broken("code", |simulation, manifest, _| {
        let twin =
            manifest.replace("name: vecdb,", "name: vecdb2,").replace("{name: vecdb}", "{name: vecdb2}");
        fs::write(&simulation.manifest, format!("{manifest}\n---\n{twin}")).unwrap();
    });
    refuses(&simulation, "ProductCodeTaken: ");
}

#[test]
fn a_product_of_saas_is_refused() {
    let simulation = broken("saas", |simulation, manifest, _| {
        fs::write(&simulation.manifest, manifest.replace("delivery: Container", "delivery: SaaS")).unwrap();
    });
    refuses(&simulation, "DeliveryNotSupported: ");
}

#[test]
fn a_binding_without_its_product_is_refused() {
    let simulation = broken("other-product", |simulation, manifest, _| {
        let other = manifest.replace("productRef: {name: vecdb}", "productRef: {name: other}");
        fs::write(&simulation.manifest, other).unwrap();
    });
    refuses(&simulation, "the binding vecdb/prod names the product vecdb/other");
}

#[test]
fn a_fault_script_with_an_unknown_effect_is_refused_with_its_file() {
    let simulation = broken("faults", |simulation, _, _| {
        let path = scratch("faults").join("faults.yaml");
        fs::write(&path, "faults: [{effect: earthquake}]\n").unwrap();
        simulation.faults = Some(path);
    });
    refuses(&simulation, "faults.yaml: ");
    refuses(&simulation, "earthquake");
}

#[test]
fn an_end_before_the_start_is_refused() {
    let simulation = broken("span", |_, _, _| {});
    let output = simulation.run(&["--to", "2026-10-01T00:00:00Z"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not after its start"), "{}", stderr(&output));
}

#[test]
fn wrong_usage_ends_with_two() {
    let simulation = broken("usage", |_, _, _| {});
    for arguments in
        [["--from", "yesterday"], ["--output", "xml"], ["--seed", "many"], ["--no-such-flag", "1"]]
    {
        let output = simulation.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
}
