//! Counters: what every pod has scanned since it started, allocated to namespaces. The host bills the increase of each pod and
//! notices when one starts again.

use std::collections::BTreeSet;

use serde::Deserialize;
use tollkeeper_meter::{Amount, Failure, Inputs, Meter, Outcome, Tick, export, log};

struct ScannedBytes;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// The metric: bytes since the pod started.
    metric: String,
    /// Key of the tag that allocates usage to namespaces.
    tag: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { metric: "scanned_bytes_total".into(), tag: "Namespace".into() }
    }
}

const BYTES_IN_A_GIGABYTE: u64 = 1_000_000_000;

impl Meter for ScannedBytes {
    type Config = Config;
    const DIMENSIONS: &'static [&'static str] = &["gb_scanned"];
    const INPUTS: &'static [&'static str] = &["engine"];
    const CONFIG_SCHEMA: &'static str = r#"{
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "metric": {
                "description": "The metric: bytes since the pod started.",
                "type": "string",
                "minLength": 1,
                "default": "scanned_bytes_total"
            },
            "tag": {
                "description": "Key of the tag that allocates usage to namespaces.",
                "type": "string",
                "minLength": 1,
                "default": "Namespace"
            }
        }
    }"#;

    fn check(config: &Config) -> Result<(), String> {
        if config.metric.is_empty() || config.tag.is_empty() {
            return Err("`metric` and `tag` must not be empty".into());
        }
        Ok(())
    }

    fn measure(tick: &Tick<Config>, inputs: &Inputs) -> Result<Outcome, Failure> {
        let Config { metric, tag } = &tick.config;
        let mut outcome = Outcome::new();
        let mut seen = BTreeSet::new();
        for sample in inputs.samples("engine")?.iter().filter(|sample| sample.name == *metric) {
            let (Some(namespace), Some(pod)) = (sample.label("namespace"), sample.label("pod")) else {
                return Err(Failure::Internal(format!("`{metric}` lacks the label namespace or pod")));
            };
            let Some(gigabytes) = Amount::in_units(sample.value, BYTES_IN_A_GIGABYTE) else {
                log::warn(&format!("{metric} of {namespace}/{pod} is ignored: it is not a number of bytes"));
                continue;
            };
            if seen.insert((namespace, pod)) {
                outcome.counter("gb_scanned", gigabytes, pod, [(tag.as_str(), namespace)]);
            } else {
                log::warn(&format!("{metric} of {namespace}/{pod} is there twice; the first holds"));
            }
        }
        Ok(outcome)
    }
}

export!(ScannedBytes);

#[cfg(test)]
mod tests {
    use tollkeeper_meter::{Data, Sample, sample};

    use super::*;

    fn measured(samples: Vec<Sample>) -> Result<Vec<String>, Failure> {
        let tick = Tick {
            at: "2026-11-21T14:58:00Z".into(),
            seconds: 60,
            product: "example".into(),
            config: Config::default(),
            state: Vec::new(),
        };
        let inputs = Inputs::default().with("engine", Data::Samples(samples));
        ScannedBytes::measure(&tick, &inputs).map(|outcome| outcome.lines())
    }

    fn scanned(pod: &str, bytes: f64) -> Sample {
        sample("scanned_bytes_total", &[("namespace", "red"), ("pod", pod)], bytes)
    }

    #[test]
    fn every_pod_is_a_source_of_its_own() {
        let lines = measured(vec![scanned("a", 1_500_000_000.0), scanned("b", 999.0)]).unwrap();
        assert_eq!(
            lines,
            ["gb_scanned 1.500000 of a {Namespace=red}", "gb_scanned 0.000000 of b {Namespace=red}"]
        );
    }

    #[test]
    fn what_is_no_number_of_bytes_is_ignored() {
        assert_eq!(measured(vec![scanned("a", f64::NAN), scanned("b", -1.0)]).unwrap(), [""; 0]);
    }

    #[test]
    fn a_series_that_is_there_twice_counts_once() {
        let lines = measured(vec![scanned("a", 1e9), scanned("a", 2e9)]).unwrap();
        assert_eq!(lines, ["gb_scanned 1.000000 of a {Namespace=red}"]);
    }

    #[test]
    fn a_series_of_nobody_is_an_error() {
        let nobody = sample("scanned_bytes_total", &[("pod", "a")], 1.0);
        assert!(matches!(measured(vec![nobody]), Err(Failure::Internal(_))));
    }
}
