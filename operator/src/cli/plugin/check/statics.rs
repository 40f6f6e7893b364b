//! What can be said of a component before a tick: its bytes, its interfaces, its manifest, its schema.

use serde_json::{Map, Value};
use tollkeeper_core::plugin::{Manifest, PluginFailure, PluginLimits};

use super::Finding;
use crate::cli::{
    Failure,
    plugin::{component, subject::Subject},
};

/// Checks the bytes; without a finding that keeps it from loading, the loaded plugin too.
pub(super) fn check(bytes: &[u8], limits: PluginLimits) -> Result<(Vec<Finding>, Option<Subject>), Failure> {
    let size = format!("{} of at most {} bytes", bytes.len(), limits.component);
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limits.component) {
        return Ok((vec![Finding::failed("size", size, SMALLER)], None));
    }
    let subject = match Subject::of(bytes, limits)? {
        Ok(subject) => subject,
        // The component has no part in what its product asks for, nor in what this machine cannot do.
        Err(failure @ (PluginFailure::LimitsRefused(_) | PluginFailure::Internal(_))) => {
            return Err(Failure::new(failure));
        }
        Err(failure) => return Ok((vec![refused(&failure)], None)),
    };
    let mut findings =
        vec![Finding::passed("component", subject.digest.to_string()), Finding::passed("size", size)];
    let interfaces = component::interfaces(bytes)?;
    findings.push(imports(&interfaces.imports));
    findings.push(Finding::passed("interface", interfaces.exports.join(", ")));
    findings.push(manifest(subject.manifest()));
    findings.push(schema(&subject));
    Ok((findings, Some(subject)))
}

/// What to do about a component that is too large.
const SMALLER: &str = "build it without debug information and what is not used, or ask for more with spec.meter.plugin.limits.component (at most 32Mi)";

/// Which check a component fails that does not load.
fn refused(failure: &PluginFailure) -> Finding {
    let (name, advice) = match failure {
        PluginFailure::ForbiddenImport(_) => (
            "imports",
            "a meter is given its inputs and a log, and nothing else: leave out what asks for more, or build without it",
        ),
        PluginFailure::UnsupportedInterface(_) => (
            "interface",
            "build it against the world `plugin` of tollkeeper:meter@0.1.0, as `tollkeeper plugin new` sets it up",
        ),
        PluginFailure::InvalidComponent(_) | PluginFailure::DigestMismatch { .. } => (
            "component",
            "build a component: `tollkeeper plugin build` does, `wasm-tools component new` makes one of a core module",
        ),
        PluginFailure::InvalidOutput(_) => (
            "manifest",
            "let `get-manifest` return what the sentence asks for; dimensions are API names of the seller portal",
        ),
        _ => (
            "manifest",
            "`get-manifest` must answer at once, without inputs and within the limits; look at its code",
        ),
    };
    Finding::failed(name, failure.to_string(), advice)
}

fn imports(imports: &[String]) -> Finding {
    let (own, virtual_ones): (Vec<_>, Vec<_>) =
        imports.iter().partition(|name| name.starts_with("tollkeeper:meter/"));
    let own: Vec<&str> = own.into_iter().map(String::as_str).collect();
    let rest = match virtual_ones.len() {
        0 => String::new(),
        count => format!(" and {count} interfaces of WASI, with nothing behind them"),
    };
    Finding::passed("imports", format!("{}{rest}", own.join(", ")))
}

fn manifest(manifest: &Manifest) -> Finding {
    let Manifest { name, version, dimensions, inputs, .. } = manifest;
    let doubled = |names: &[String]| {
        names
            .iter()
            .enumerate()
            .find(|(index, one)| names.iter().take(*index).any(|other| other == *one))
            .map(|(_, one)| one.clone())
    };
    if dimensions.is_empty() {
        return Finding::failed("manifest", "it names no dimension", "name what `measure` reports");
    }
    if let Some(name) = doubled(dimensions).or_else(|| doubled(inputs)) {
        return Finding::failed("manifest", format!("it names `{name}` twice"), "name each once");
    }
    let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Finding::passed(
        "manifest",
        format!("{name} {version} measures {} from {}", list(dimensions), list(inputs)),
    )
}

fn schema(subject: &Subject) -> Finding {
    const NAME: &str = "config-schema";
    let schema: Map<String, Value> = match serde_json::from_str(&subject.manifest().config_schema) {
        Ok(schema) => schema,
        Err(error) => {
            return Finding::failed(
                NAME,
                format!("it is not a JSON object: {error}"),
                "write the JSON schema of spec.meter.config; `{\"type\": \"object\"}` says nothing and is one",
            );
        }
    };
    if schema.get("type").is_some_and(|kind| kind != "object") {
        return Finding::failed(
            NAME,
            "its type is not `object`",
            "spec.meter.config is always a JSON object; describe its properties",
        );
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let Some(properties) = properties.filter(|all| !all.is_empty()) else {
        return Finding::passed(NAME, "it describes no properties");
    };
    let defaults: Map<String, Value> = properties
        .iter()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect();
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let is_complete = required.filter_map(Value::as_str).all(|name| defaults.contains_key(name));
    if is_complete && let Err(failure) = subject.validate(&Value::from(defaults).to_string()) {
        return Finding::failed(
            NAME,
            format!("with the defaults that it names, {failure}"),
            "let schema and code say the same",
        );
    }
    Finding::passed(NAME, format!("it describes {} properties", properties.len()))
}
