//! A gauge: how many nodes a cluster has. With `fold: TimeWeighted` the product is billed by node-hours.

use serde::Deserialize;
use tollkeeper_meter::{Amount, Failure, Inputs, Meter, Outcome, Tick, export};

struct NodeHours;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Config {
    /// Nodes with this label are not counted; empty for none.
    ignore_label: String,
}

impl Meter for NodeHours {
    type Config = Config;
    const DIMENSIONS: &'static [&'static str] = &["node_hours"];
    const INPUTS: &'static [&'static str] = &["nodes"];
    const CONFIG_SCHEMA: &'static str = r#"{
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "ignoreLabel": {
                "description": "Nodes with this label are not counted; empty for none.",
                "type": "string",
                "default": ""
            }
        }
    }"#;

    fn measure(tick: &Tick<Config>, inputs: &Inputs) -> Result<Outcome, Failure> {
        let nodes = inputs.objects("nodes")?;
        if nodes.is_empty() {
            return Err(Failure::MissingInput("`nodes` is empty, but every cluster has nodes".into()));
        }
        let label = tick.config.ignore_label.as_str();
        let counted = nodes.iter().filter(|node| label.is_empty() || node.label(label).is_none());
        let mut outcome = Outcome::new();
        outcome.gauge("node_hours", counted.map(|_| Amount::units(1)).sum(), []);
        Ok(outcome)
    }
}

export!(NodeHours);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tollkeeper_meter::{Data, object};

    use super::*;

    fn measured(ignore_label: &str, inputs: Inputs) -> Result<Vec<String>, Failure> {
        let tick = Tick {
            at: "2026-11-21T14:58:00Z".into(),
            seconds: 60,
            product: "example".into(),
            config: Config { ignore_label: ignore_label.into() },
            state: Vec::new(),
        };
        NodeHours::measure(&tick, &inputs).map(|outcome| outcome.lines())
    }

    fn nodes() -> Inputs {
        let node = |name: &str, labels: &[(&str, &str)]| object("Node", "", name, labels, &json!({}));
        Inputs::default().with("nodes", Data::Objects(vec![node("a", &[("control", "")]), node("b", &[])]))
    }

    #[test]
    fn every_node_is_counted() {
        assert_eq!(measured("", nodes()).unwrap(), ["node_hours 2.000000"]);
    }

    #[test]
    fn a_node_with_the_label_is_not() {
        assert_eq!(measured("control", nodes()).unwrap(), ["node_hours 1.000000"]);
    }

    #[test]
    fn a_cluster_without_nodes_is_not_measured() {
        let none = Inputs::default().with("nodes", Data::Objects(vec![]));
        assert!(matches!(measured("", none), Err(Failure::MissingInput(_))));
        assert!(matches!(measured("", Inputs::default()), Err(Failure::MissingInput(_))));
    }
}
