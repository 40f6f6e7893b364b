//! What the operator may do, and as whom its pod runs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // Helpers of tests fail by panicking.

use std::collections::BTreeSet;

use serde_json::Value;
use tollkeeper_chart_tests::{of_kind, rendered, text};

const SCOPED: &str = r#"watchNamespaces=["blue","red"]"#;

/// Group, resource and verb of every rule.
type Rights = BTreeSet<(String, String, String)>;

fn rights(role: &Value) -> Rights {
    let list = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = Rights::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in list(rule, "apiGroups") {
            for resource in list(rule, "resources") {
                for verb in list(rule, "verbs") {
                    rights.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    rights
}

fn named<'a>(objects: &'a [Value], kind: &'a str, namespace: &str, name: &str) -> &'a Value {
    of_kind(objects, kind)
        .find(|object| {
            text(object, "/metadata/name") == name && text(object, "/metadata/namespace") == namespace
        })
        .unwrap_or_else(|| panic!("no {kind} {namespace}/{name}"))
}

fn expected(list: &[(&str, &str, &[&str])]) -> Rights {
    list.iter()
        .flat_map(|(group, resource, verbs)| {
            verbs.iter().map(|verb| ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned()))
        })
        .collect()
}

/// What the code does in every namespace. Keep it in step with the verbs that the operator uses.
fn everywhere() -> Rights {
    expected(&[
        ("tollkeeper.dev", "marketplaceproducts", &["get", "list", "watch", "patch"]),
        ("tollkeeper.dev", "licensebindings", &["get", "list", "watch", "patch"]),
        ("tollkeeper.dev", "marketplaceproducts/status", &["update", "patch"]),
        ("tollkeeper.dev", "licensebindings/status", &["update", "patch"]),
        ("tollkeeper.dev", "marketplaceproducts/finalizers", &["update", "patch"]),
        ("tollkeeper.dev", "licensebindings/finalizers", &["update", "patch"]),
        ("tollkeeper.dev", "usagereports", &["create", "get", "list", "patch", "delete"]),
        ("tollkeeper.dev", "usagestatements", &["create", "list", "patch", "delete"]),
        ("events.k8s.io", "events", &["create", "patch"]),
        ("", "pods", &["get", "list"]),
        ("", "configmaps", &["get"]),
        ("", "serviceaccounts", &["get", "create", "update", "patch", "delete"]),
    ])
}

#[test]
fn the_cluster_wide_role_grants_what_the_code_needs_and_no_more() {
    let objects = rendered(&[]);
    let mut needed = everywhere();
    needed.extend(expected(&[("", "nodes", &["get", "list"]), ("", "namespaces", &["get", "list"])]));
    assert_eq!(rights(named(&objects, "ClusterRole", "", "toll-tollkeeper")), needed);
}

#[test]
fn nobody_may_decide_about_records_until_somebody_says_so() {
    let objects = rendered(&[]);
    let role = named(&objects, "ClusterRole", "", "toll-tollkeeper-decide");
    let needed = expected(&[("tollkeeper.dev", "usagereports", &["get", "list", "patch"])]);
    assert_eq!(rights(role), needed);
    let labels = role["metadata"]["labels"].as_object().unwrap();
    assert!(labels.keys().all(|label| !label.contains("aggregate-to")), "{labels:?}");
    let bindings = of_kind(&objects, "ClusterRoleBinding").chain(of_kind(&objects, "RoleBinding"));
    assert_eq!(
        bindings.filter(|binding| text(binding, "/roleRef/name") == "toll-tollkeeper-decide").count(),
        0
    );
}

#[test]
fn with_watched_namespaces_there_is_no_cluster_role() {
    let objects = rendered(&[SCOPED]);
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        assert_eq!(of_kind(&objects, kind).count(), 0, "{kind}");
    }
    let mut needed = everywhere();
    needed.extend(expected(&[("", "namespaces", &["get"])]));
    for namespace in ["blue", "red"] {
        let role = named(&objects, "Role", namespace, "toll-tollkeeper");
        assert_eq!(rights(role), needed);
        let own = role["rules"].as_array().unwrap().last().unwrap();
        assert_eq!(own["resourceNames"][0], namespace);
    }
}

#[test]
fn nodes_are_an_opt_in_of_their_own() {
    let objects = rendered(&[SCOPED, "inputs.nodes=true"]);
    let roles: Vec<_> = of_kind(&objects, "ClusterRole").collect();
    assert_eq!(roles.len(), 1);
    assert_eq!(rights(roles[0]), expected(&[("", "nodes", &["get", "list"])]));
}

#[test]
fn secrets_are_granted_by_namespace_only() {
    let settings: [&[&str]; 4] =
        [&[], &[SCOPED], &[r#"secretNamespaces=["green"]"#], &[SCOPED, r#"secretNamespaces=["green"]"#]];
    let namespaces: [&[&str]; 4] = [&[], &["blue", "red"], &["green"], &["green"]];
    for (settings, namespaces) in settings.iter().zip(namespaces) {
        let objects = rendered(settings);
        let holders: Vec<_> = of_kind(&objects, "Role")
            .filter(|role| rights(role).iter().any(|(_, resource, _)| resource == "secrets"))
            .map(|role| text(role, "/metadata/namespace"))
            .collect();
        assert_eq!(holders, namespaces, "{settings:?}");
        for role in of_kind(&objects, "Role").chain(of_kind(&objects, "ClusterRole")) {
            let cluster = text(role, "/kind") == "ClusterRole";
            for (_, resource, verb) in
                rights(role).iter().filter(|(_, resource, _)| resource.starts_with("secrets"))
            {
                assert!(!cluster, "{resource} in a ClusterRole");
                assert!(!["list", "watch"].contains(&verb.as_str()), "secrets may be listed");
            }
        }
    }
}

#[test]
fn no_role_holds_a_wildcard() {
    for settings in [&[][..], &[SCOPED], &[SCOPED, "inputs.nodes=true"]] {
        let objects = rendered(settings);
        for role in of_kind(&objects, "Role").chain(of_kind(&objects, "ClusterRole")) {
            for right in rights(role) {
                assert!(!format!("{right:?}").contains('*'), "{right:?}");
            }
            for rule in role["rules"].as_array().unwrap() {
                assert!(rule.get("nonResourceURLs").is_none());
            }
        }
    }
}

#[test]
fn the_lease_is_one_by_name() {
    let objects = rendered(&[]);
    let role = named(&objects, "Role", "metering", "toll-tollkeeper-lease");
    let lease = "coordination.k8s.io";
    assert_eq!(rights(role), expected(&[(lease, "leases", &["create", "get", "update"])]));
    for rule in role["rules"].as_array().unwrap() {
        let creates = rule["verbs"] == serde_json::json!(["create"]);
        assert!(creates || rule["resourceNames"] == serde_json::json!(["tollkeeper"]));
    }
}

#[test]
fn further_inputs_are_granted_where_the_others_are() {
    let rule =
        r#"inputs.extraRules=[{"apiGroups":["apps"],"resources":["deployments"],"verbs":["get","list"]}]"#;
    let right = ("apps".to_owned(), "deployments".to_owned(), "list".to_owned());
    let objects = rendered(&[rule]);
    assert!(rights(named(&objects, "ClusterRole", "", "toll-tollkeeper")).contains(&right));
    let objects = rendered(&[rule, SCOPED]);
    assert!(rights(named(&objects, "Role", "red", "toll-tollkeeper")).contains(&right));
}

#[test]
fn every_binding_is_for_the_operator_and_a_role_that_exists() {
    for settings in [&[][..], &[SCOPED, "inputs.nodes=true"]] {
        let objects = rendered(settings);
        for binding in of_kind(&objects, "RoleBinding").chain(of_kind(&objects, "ClusterRoleBinding")) {
            let subjects = binding["subjects"].as_array().unwrap();
            assert_eq!(subjects.len(), 1);
            assert_eq!(text(&subjects[0], "/name"), "toll-tollkeeper");
            assert_eq!(text(&subjects[0], "/namespace"), "metering");
            let namespace = text(binding, "/metadata/namespace");
            named(&objects, text(binding, "/roleRef/kind"), namespace, text(binding, "/roleRef/name"));
        }
    }
}

#[test]
fn the_pod_runs_with_as_little_as_possible() {
    let objects = rendered(&[]);
    let deployment = named(&objects, "Deployment", "metering", "toll-tollkeeper");
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    for kind in ["requests", "limits"] {
        assert!(container["resources"][kind]["memory"].is_string(), "{kind}");
    }
    assert_eq!(container["args"], serde_json::json!(["run"]));
    assert_eq!(text(container, "/livenessProbe/httpGet/path"), "/livez");
    assert_eq!(text(container, "/readinessProbe/httpGet/path"), "/readyz");
    assert_eq!(container["ports"][0]["containerPort"], 8080);
    let fields: Vec<_> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|variable| {
            Some((variable["name"].as_str()?, variable["valueFrom"]["fieldRef"]["fieldPath"].as_str()?))
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("TOLLKEEPER_POD_UID", "metadata.uid"),
            ("TOLLKEEPER_POD_NAME", "metadata.name"),
            ("TOLLKEEPER_POD_NAMESPACE", "metadata.namespace"),
        ]
    );
}

#[test]
fn the_operator_is_told_what_to_watch() {
    let objects = rendered(&[SCOPED, r#"ledger="dynamodb""#, r#"extraArgs=["--listen","0.0.0.0:8080"]"#]);
    let deployment = named(&objects, "Deployment", "metering", "toll-tollkeeper");
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["args"],
        serde_json::json!([
            "run",
            "--namespaces",
            "blue,red",
            "--ledger",
            "dynamodb",
            "--listen",
            "0.0.0.0:8080"
        ])
    );
}

#[test]
fn the_operator_is_told_which_registries_to_trust() {
    let objects = rendered(&[
        r#"registries={"caConfigMap":"company-ca","trustedRootConfigMap":"own-sigstore","insecure":["registry.lan:5000","other.lan"]}"#,
    ]);
    let pod = &named(&objects, "Deployment", "metering", "toll-tollkeeper")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(
        container["args"],
        serde_json::json!([
            "run",
            "--insecure-registries",
            "registry.lan:5000,other.lan",
            "--registry-ca",
            "/etc/tollkeeper/registries/ca.crt",
            "--trusted-root",
            "/etc/tollkeeper/trusted-root/trusted_root.json"
        ])
    );
    for (volume, folder, config_map) in [
        ("registries", "/etc/tollkeeper/registries", "company-ca"),
        ("trusted-root", "/etc/tollkeeper/trusted-root", "own-sigstore"),
    ] {
        let of_volume = |list: &Value, field: &str| {
            list.as_array().unwrap().iter().find(|one| one["name"] == volume).unwrap()[field].clone()
        };
        assert_eq!(of_volume(&container["volumeMounts"], "mountPath"), folder);
        assert_eq!(of_volume(&pod["volumes"], "configMap"), serde_json::json!({"name": config_map}));
    }
}

#[test]
fn a_role_of_aws_can_be_given_to_the_service_account() {
    let role =
        r#"serviceAccount.annotations={"eks.amazonaws.com/role-arn":"arn:aws:iam::123456789012:role/toll"}"#;
    let objects = rendered(&[role]);
    let account = named(&objects, "ServiceAccount", "metering", "toll-tollkeeper");
    assert_eq!(
        account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"],
        "arn:aws:iam::123456789012:role/toll"
    );
}

#[test]
fn the_network_policy_is_an_opt_in() {
    assert_eq!(of_kind(&rendered(&[]), "NetworkPolicy").count(), 0);
    let objects = rendered(&["networkPolicy.enabled=true"]);
    let policy = named(&objects, "NetworkPolicy", "metering", "toll-tollkeeper");
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], 8080);
}
