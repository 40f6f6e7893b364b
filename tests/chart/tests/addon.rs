//! The rules of AWS Marketplace for EKS add-ons (seller guide, container product policies), without a cluster.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // Helpers of tests fail by panicking.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;
use tollkeeper_chart_tests::{
    chart, files, helm, json, objects, of_kind, read, repository, templates, text, values,
};

/// The versions of Kubernetes that EKS offers; AWS renders the chart for each.
const VERSIONS: [&str; 4] = ["1.31", "1.33", "1.34", "1.36"];

/// AWS's own command, with default values.
fn as_aws_renders(version: &str) -> String {
    let folder = chart();
    let setting = format!("k8version={version}");
    helm(&[
        "template",
        "toll",
        &folder.to_string_lossy(),
        "--set",
        &setting,
        "--kube-version",
        version,
        "--namespace",
        "metering",
        "--include-crds",
        "--no-hooks",
    ])
    .unwrap()
}

/// Functions that add-ons may not use: they read the cluster, differ at each call, or fail with default values.
const FORBIDDEN_FUNCTIONS: [&str; 15] = [
    "lookup",
    "now",
    "required",
    "randAlpha",
    "randAlphaNum",
    "randAscii",
    "randBytes",
    "randInt",
    "randNumeric",
    "uuidv4",
    "genCA",
    "genSelfSignedCert",
    "genSignedCert",
    "genPrivateKey",
    "htpasswd",
];

/// What a template holds that add-ons may not.
fn faults(template: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if template.contains("helm.sh/hook") {
        faults.push("a hook".to_owned());
    }
    for action in actions(template) {
        let used = |word: &str| words(&action).any(|found| found == word);
        faults.extend(
            FORBIDDEN_FUNCTIONS.iter().filter(|function| used(function)).map(|name| (*name).to_owned()),
        );
        if action.contains("APIVersions") {
            faults.push("Capabilities.APIVersions".to_owned());
        }
        for part in action.split(".Release.").skip(1) {
            let field: String = part.chars().take_while(|letter| letter.is_alphanumeric()).collect();
            if !["Name", "Namespace"].contains(&field.as_str()) {
                faults.push(format!("Release.{field}"));
            }
        }
    }
    faults
}

#[test]
fn templates_use_nothing_that_add_ons_forbid() {
    for (name, template) in templates() {
        assert_eq!(faults(&template), Vec::<String>::new(), "templates/{name}");
    }
}

#[test]
fn the_scan_sees_what_add_ons_forbid() {
    for (template, fault) in [
        ("a: {{ .Release.Service }}", "Release.Service"),
        ("{{- if $.Release.IsUpgrade }}", "Release.IsUpgrade"),
        ("{{ (lookup \"v1\" \"Secret\" \"a\" \"b\").data }}", "lookup"),
        ("a: {{ randAlphaNum 8 | quote }}", "randAlphaNum"),
        ("{{ if .Capabilities.APIVersions.Has \"a/v1\" }}", "Capabilities.APIVersions"),
        ("annotations: {helm.sh/hook: test}", "a hook"),
        ("a: {{ required \"b\" .Values.c }}", "required"),
    ] {
        assert_eq!(faults(template), [fault], "{template}");
    }
    let harmless = "{{/* lookup */}} {{ .Release.Name }} {{ .Values.nowhere }} {{ fail \"lookup\" }}";
    assert_eq!(faults(harmless), Vec::<String>::new());
}

/// The parts of a template that Helm evaluates, comments left out.
fn actions(template: &str) -> Vec<String> {
    template
        .split("{{")
        .skip(1)
        .map(|rest| rest.split("}}").next().unwrap_or_default().to_owned())
        .filter(|action| !action.trim_start_matches('-').trim_start().starts_with("/*"))
        .collect()
}

fn words(action: &str) -> impl Iterator<Item = &str> {
    action
        .split(|letter: char| letter.is_whitespace() || "()|,".contains(letter))
        .filter(|word| !word.starts_with('"'))
}

#[test]
fn the_chart_depends_on_no_other() {
    assert!(!read(&chart().join("Chart.yaml")).contains("dependencies"));
    assert!(!chart().join("charts").exists());
    assert!(!chart().join("Chart.lock").exists());
}

#[test]
fn helm_finds_no_fault() {
    helm(&["lint", "--strict", &chart().to_string_lossy()]).unwrap();
}

#[test]
fn rendering_as_aws_does_gives_the_same_text_every_time() {
    for version in VERSIONS {
        assert_eq!(as_aws_renders(version), as_aws_renders(version), "{version}");
    }
}

#[test]
fn what_aws_renders_is_a_deployment_its_kinds_and_no_object_of_them() {
    let objects = objects(&as_aws_renders("1.33"));
    assert_eq!(of_kind(&objects, "Deployment").count(), 1);
    assert_eq!(of_kind(&objects, "CustomResourceDefinition").count(), 4);
    assert_eq!(of_kind(&objects, "ServiceAccount").count(), 1, "the default makes a service account");
    for object in &objects {
        assert!(!text(object, "/apiVersion").starts_with("tollkeeper.dev"), "a custom object: {object}");
        if text(object, "/kind") != "CustomResourceDefinition" {
            assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
        }
        let namespace = text(object, "/metadata/namespace");
        assert!(namespace.is_empty() || namespace == "metering", "a fixed namespace: {object}");
    }
}

#[test]
fn every_image_is_one_of_the_values() {
    let values = values();
    let image = format!("{}:{}", text(&values, "/image/repository"), text(&values, "/image/tag"));
    let objects = objects(&as_aws_renders("1.33"));
    let found: BTreeSet<_> = of_kind(&objects, "Deployment")
        .flat_map(|object| object["spec"]["template"]["spec"]["containers"].as_array().unwrap())
        .map(|container| container["image"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, BTreeSet::from([image.clone()]));
    assert!(!image.ends_with(":latest"));
}

#[test]
fn the_committed_definitions_of_the_chart_are_those_of_the_code() {
    let folder = chart().join("crds");
    let mut expected = tollkeeper_api::crds_yaml().unwrap();
    expected.sort();
    if std::env::var_os("UPDATE").is_some() {
        for (name, yaml) in &expected {
            std::fs::write(folder.join(name), yaml).unwrap();
        }
    }
    assert!(files(&folder) == expected, "charts/tollkeeper/crds differs from the code: run `make generate`");
    assert!(files(&repository().join("crds")) == expected, "crds/ differs from the code");
}

#[test]
fn values_that_do_not_exist_are_refused_but_for_those_of_aws() {
    let with = |setting: &str| {
        helm(&["template", "toll", &chart().to_string_lossy(), "--namespace", "metering", "--set", setting])
    };
    with("k8version=1.33").unwrap();
    for wrong in
        ["replica=1", "image.name=x", "inputs.extraRules[0].verbs[0]=delete", "watchNamespaces[0]=A_b"]
    {
        assert!(with(wrong).is_err(), "{wrong} was taken");
    }
    let everything = r#"inputs.extraRules=[{"apiGroups":["*"],"resources":["*"],"verbs":["get"]}]"#;
    let secrets = r#"inputs.extraRules=[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]"#;
    for wrong in [everything, secrets] {
        let folder = chart();
        let arguments = ["template", "toll", &folder.to_string_lossy(), "--set-json", wrong];
        assert!(helm(&arguments).is_err(), "{wrong} was taken");
    }
}

#[test]
fn every_value_has_a_place_in_the_schema() {
    let schema = json("values.schema.json");
    let known: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    for key in values().as_object().unwrap().keys() {
        assert!(known.contains(key), "values.schema.json does not know `{key}`");
        assert!(
            read(&chart().join("README.md")).contains(&format!("`{key}")),
            "README.md does not tell of `{key}`"
        );
    }
}

#[test]
fn the_add_on_schema_is_one_that_aws_takes() {
    let schema = json("aws_mp_configuration_schema.json");
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let mut seen = Vec::new();
    walk(&schema, "", &mut seen);
    for (path, name, property) in &seen {
        let camel = name.starts_with(|letter: char| letter.is_ascii_lowercase())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric());
        assert!(camel, "{path} is not in camel case");
        assert!(
            property["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{path} has no description"
        );
        let lower = name.to_lowercase();
        for word in
            ["password", "passwd", "secret", "apikey", "token", "certificate", "privatekey", "license"]
        {
            assert!(!lower.contains(word), "{path} looks like a credential to AWS's scan");
        }
    }
    let not_for_buyers =
        ["image", "imagePullSecrets", "serviceAccount", "nameOverride", "aws", "extraEnv", "extraArgs"];
    for (path, name, _) in &seen {
        assert!(!not_for_buyers.contains(&name.as_str()), "{path} is not for buyers to configure");
    }
}

#[test]
fn the_defaults_of_the_add_on_schema_are_those_of_the_values() {
    let mut seen = Vec::new();
    walk(&json("aws_mp_configuration_schema.json"), "", &mut seen);
    let values = values();
    for (path, _, property) in seen {
        let value = values.pointer(&path);
        if let Some(default) = property.get("default") {
            assert_eq!(value, Some(default), "{path}");
        }
        let shallow = path.matches('/').count() == 1;
        assert!(value.is_some() || !shallow, "values.yaml has no {path}");
    }
}

fn walk(schema: &Value, path: &str, seen: &mut Vec<(String, String, Value)>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        seen.push((path.clone(), name.clone(), property.clone()));
        walk(property, &path, seen);
    }
}

#[test]
fn the_chart_holds_what_aws_looks_for() {
    for name in
        ["Chart.yaml", "values.yaml", "values.schema.json", "aws_mp_configuration_schema.json", "README.md"]
    {
        assert!(chart().join(name).exists(), "{name} is missing");
    }
    assert!(
        !Path::exists(&chart().join("aws_mp_addon_parameters.json")),
        "metered add-ons use IRSA, not Pod Identity"
    );
}
