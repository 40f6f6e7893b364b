//! The meter of a product.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use tollkeeper_core::{
    identity::InvalidName,
    input::{InputDeclaration, InputSource},
    plugin::PluginLimits,
    product::{ByteSize, Interval, InvalidByteSize, InvalidSpan, Meter, Product, Span},
    signer::{InvalidSignerIdentity, Signer, SignerIdentity},
    workload::Selector,
};

use super::names::{NameRefused, ObjectName};
use crate::meter::{InputSpec, LimitsSpec, MeterSpec, PluginSourceSpec, PluginSpec};

/// Most linear memory that a plugin may ask for.
const MAX_MEMORY: u64 = 1 << 30;

/// Most time that a call of a plugin may ask for.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Most bytes that a plugin's component may ask for.
const MAX_COMPONENT: u64 = 32 << 20;

/// Most inputs of a product.
const MAX_INPUTS: usize = 32;

/// A product with a meter, and where its plugin comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Metered {
    /// What the domain needs.
    pub product: Product,
    /// Where the plugin comes from.
    pub plugin: PluginOrigin,
}

/// Where a plugin comes from, and what proves that it is the vendor's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PluginOrigin {
    /// Where its bytes are.
    pub source: PluginSource,
    /// Secrets with credentials for the registry, in the product's namespace.
    pub pull_secrets: Vec<ObjectName>,
    /// Who must have signed the OCI artifact, if anybody must.
    pub signer: Option<Signer>,
}

/// Where the bytes of a plugin are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PluginSource {
    /// An OCI artifact, by its reference.
    Oci(String),
    /// A key of a ConfigMap in the product's namespace.
    ConfigMap {
        /// The ConfigMap.
        name: ObjectName,
        /// The key of its `binaryData`.
        key: String,
    },
    /// A file in the operator's image.
    File(PathBuf),
}

/// Why a meter was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidMeter {
    /// The interval is not a duration.
    #[error("spec.meter.interval: {0}; write a duration such as 60s")]
    IntervalText(InvalidSpan),
    /// The interval is not one that hours can be made of.
    #[error(
        "spec.meter.interval is {0:?}; choose 10s to 3600s and a divisor of one hour, such as 60s, 5m or 1h"
    )]
    Interval(Duration),
    /// Not exactly one source.
    #[error("spec.meter.plugin.source names {0} places; name exactly one of oci, configMap and file")]
    Source(usize),
    /// The one source is not usable.
    #[error("spec.meter.plugin.source.{place}: {problem}")]
    SourcePlace {
        /// Which of the sources.
        place: &'static str,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The digest is missing or not one.
    #[error("spec.meter.plugin.digest: {0}; write `sha256:` and what `sha256sum` prints for the component")]
    Digest(InvalidName),
    /// A pull secret has no usable name.
    #[error(
        "spec.meter.plugin.pullSecrets[{index}].name: {problem}; write the name of a Secret of this namespace"
    )]
    PullSecret {
        /// Which one.
        index: usize,
        /// What is wrong with it.
        problem: NameRefused,
    },
    /// The public key is not PEM.
    #[error(
        "spec.meter.plugin.publicKeyPem is not a public key in PEM; paste it with its BEGIN and END lines"
    )]
    PublicKey,
    /// A key and an identity.
    #[error(
        "spec.meter.plugin names publicKeyPem and identity; an artifact is signed by one of them: remove the other"
    )]
    TwoSigners,
    /// An identity, for bytes that nobody can have signed.
    #[error(
        "spec.meter.plugin.identity is set and source.oci is not; only an artifact in a registry is signed: name one, or remove identity"
    )]
    IdentityWithoutRegistry,
    /// The identity is not one.
    #[error("spec.meter.plugin.identity: {0}")]
    Identity(InvalidSignerIdentity),
    /// The memory limit is not a number of bytes.
    #[error("spec.meter.plugin.limits.memory: {0}; write a size such as 64Mi")]
    MemoryText(InvalidByteSize),
    /// The memory limit is out of range.
    #[error("spec.meter.plugin.limits.memory is {0} bytes; choose more than 0 and at most 1Gi")]
    Memory(u64),
    /// The limit of the component is not a number of bytes.
    #[error("spec.meter.plugin.limits.component: {0}; write a size such as 20Mi")]
    ComponentText(InvalidByteSize),
    /// The limit of the component is out of range.
    #[error("spec.meter.plugin.limits.component is {0} bytes; choose more than 0 and at most 32Mi")]
    Component(u64),
    /// The time limit is not a duration.
    #[error("spec.meter.plugin.limits.time: {0}; write a duration such as 500ms")]
    TimeText(InvalidSpan),
    /// The time limit is out of range.
    #[error("spec.meter.plugin.limits.time is {0:?}; choose more than 0 and at most 10s")]
    Time(Duration),
    /// Too many inputs.
    #[error("spec.meter.inputs has {0} inputs; name at most 32")]
    TooManyInputs(usize),
    /// Two inputs of one name.
    #[error("spec.meter.inputs has two inputs named `{0}`; give each its own name")]
    DuplicateInput(String),
    /// An input is not usable.
    #[error("spec.meter.inputs[{name}]{field}: {problem}")]
    Input {
        /// Its name, or its place if the name is what is wrong.
        name: String,
        /// The field below it, with a dot in front, or nothing.
        field: &'static str,
        /// What is wrong with it and what to do.
        problem: &'static str,
    },
}

impl InvalidMeter {
    /// The reason that conditions, events and metrics show.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::IntervalText(_) | Self::Interval(_) => "InvalidInterval",
            Self::Source(_) | Self::SourcePlace { .. } | Self::PullSecret { .. } => "InvalidPluginSource",
            Self::Digest(_) => "InvalidPluginDigest",
            Self::PublicKey => "InvalidPluginKey",
            Self::TwoSigners | Self::IdentityWithoutRegistry | Self::Identity(_) => "InvalidPluginIdentity",
            Self::MemoryText(_)
            | Self::Memory(_)
            | Self::ComponentText(_)
            | Self::Component(_)
            | Self::TimeText(_)
            | Self::Time(_) => "InvalidPluginLimits",
            Self::TooManyInputs(_) | Self::DuplicateInput(_) | Self::Input { .. } => "InvalidInput",
        }
    }
}

/// The meter, and where its plugin comes from.
pub(super) fn convert(spec: &MeterSpec) -> Result<(Meter, PluginOrigin), InvalidMeter> {
    let meter = Meter {
        interval: interval(&spec.interval)?,
        plugin: spec.plugin.digest.parse().map_err(InvalidMeter::Digest)?,
        limits: limits(&spec.plugin.limits)?,
        config: serde_json::Value::Object(spec.config.clone().unwrap_or_default()).to_string().into(),
        inputs: inputs(&spec.inputs)?,
    };
    Ok((meter, origin(&spec.plugin)?))
}

fn interval(text: &str) -> Result<Interval, InvalidMeter> {
    let Span(span) = text.parse().map_err(InvalidMeter::IntervalText)?;
    let whole = Some(span.as_secs()).filter(|_| span.subsec_nanos() == 0);
    whole.and_then(|seconds| Interval::from_seconds(seconds).ok()).ok_or(InvalidMeter::Interval(span))
}

fn limits(spec: &LimitsSpec) -> Result<PluginLimits, InvalidMeter> {
    let ByteSize(memory) = spec.memory.parse().map_err(InvalidMeter::MemoryText)?;
    let Span(time) = spec.time.parse().map_err(InvalidMeter::TimeText)?;
    if memory == 0 || memory > MAX_MEMORY {
        return Err(InvalidMeter::Memory(memory));
    }
    if time.is_zero() || time > MAX_TIME {
        return Err(InvalidMeter::Time(time));
    }
    let ByteSize(component) = spec.component.parse().map_err(InvalidMeter::ComponentText)?;
    if component == 0 || component > MAX_COMPONENT {
        return Err(InvalidMeter::Component(component));
    }
    Ok(PluginLimits { memory, time, component })
}

fn origin(spec: &PluginSpec) -> Result<PluginOrigin, InvalidMeter> {
    let pull_secrets = spec
        .pull_secrets
        .iter()
        .enumerate()
        .map(|(index, secret)| {
            secret.name.parse().map_err(|problem| InvalidMeter::PullSecret { index, problem })
        })
        .collect::<Result<_, _>>()?;
    let (source, signer) = (source(&spec.source)?, signer(spec)?);
    if matches!(signer, Some(Signer::Identity(_))) && !matches!(source, PluginSource::Oci(_)) {
        return Err(InvalidMeter::IdentityWithoutRegistry);
    }
    Ok(PluginOrigin { source, pull_secrets, signer })
}

fn signer(spec: &PluginSpec) -> Result<Option<Signer>, InvalidMeter> {
    match (&spec.public_key_pem, &spec.identity) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(InvalidMeter::TwoSigners),
        (Some(pem), None) if !super::product::is_public_key(pem) => Err(InvalidMeter::PublicKey),
        (Some(pem), None) => Ok(Some(Signer::Key(pem.clone()))),
        (None, Some(identity)) => SignerIdentity::new(&identity.issuer, &identity.subject)
            .map(|identity| Some(Signer::Identity(identity)))
            .map_err(InvalidMeter::Identity),
    }
}

fn source(spec: &PluginSourceSpec) -> Result<PluginSource, InvalidMeter> {
    let refused = |place, problem: &str| InvalidMeter::SourcePlace { place, problem: problem.to_owned() };
    match (&spec.oci, &spec.config_map, &spec.file) {
        (Some(oci), None, None) if oci.is_empty() || oci.contains(char::is_whitespace) => Err(refused(
            "oci",
            "not the reference of an artifact; write one such as registry.example.com/vecdb/meter:1.4.0",
        )),
        (Some(oci), None, None) => Ok(PluginSource::Oci(oci.clone())),
        (None, Some(reference), None) if reference.key.is_empty() => {
            Err(refused("configMap", "the key is empty; name the key of the ConfigMap's binaryData"))
        }
        (None, Some(reference), None) => Ok(PluginSource::ConfigMap {
            name: reference.name.parse().map_err(|problem: NameRefused| {
                refused("configMap", &format!("{problem}; write the name of a ConfigMap of this namespace"))
            })?,
            key: reference.key.clone(),
        }),
        (None, None, Some(file)) if !file.starts_with('/') => {
            Err(refused("file", "not an absolute path; write one such as /plugins/vecdb.wasm"))
        }
        (None, None, Some(file)) => Ok(PluginSource::File(PathBuf::from(file))),
        (oci, config_map, file) => {
            let places = [oci.is_some(), config_map.is_some(), file.is_some()];
            Err(InvalidMeter::Source(places.iter().filter(|named| **named).count()))
        }
    }
}

fn inputs(specs: &[InputSpec]) -> Result<Vec<InputDeclaration>, InvalidMeter> {
    if specs.len() > MAX_INPUTS {
        return Err(InvalidMeter::TooManyInputs(specs.len()));
    }
    let mut names = BTreeSet::new();
    specs
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            if !is_input_name(&spec.name) {
                return Err(InvalidMeter::Input {
                    name: index.to_string(),
                    field: ".name",
                    problem: "not 1 to 63 characters of [a-zA-Z0-9_-] that start with a letter; rename the input",
                });
            }
            if !names.insert(&spec.name) {
                return Err(InvalidMeter::DuplicateInput(spec.name.clone()));
            }
            Ok(InputDeclaration { name: spec.name.clone(), source: input_source(spec)? })
        })
        .collect()
}

fn is_input_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn input_source(spec: &InputSpec) -> Result<InputSource, InvalidMeter> {
    let refused = |field, problem| InvalidMeter::Input { name: spec.name.clone(), field, problem };
    let address = |field, url: &String| {
        let fits = ["http://", "https://"]
            .iter()
            .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
            && !url.contains(char::is_whitespace);
        if fits {
            Ok(url.clone())
        } else {
            Err(refused(field, "not an address that starts with http:// or https://; correct it"))
        }
    };
    match (&spec.objects, &spec.scrape, &spec.promql, &spec.http) {
        (Some(objects), None, None, None) => {
            if objects.kind.is_empty() || objects.api_version.is_empty() {
                return Err(refused(
                    ".objects",
                    "apiVersion and kind are needed, such as v1 and Node; write both",
                ));
            }
            Ok(InputSource::Objects {
                api_version: objects.api_version.clone(),
                kind: objects.kind.clone(),
                selector: objects.label_selector.as_ref().map(Selector::from).unwrap_or_default(),
                fields: objects.fields.clone(),
            })
        }
        (None, Some(scrape), None, None) => {
            if scrape.port == 0 {
                return Err(refused(".scrape.port", "not a port; choose one of 1 to 65535"));
            }
            if !scrape.path.starts_with('/') {
                return Err(refused(".scrape.path", "does not start with /; write one such as /metrics"));
            }
            Ok(InputSource::Scrape {
                pod_selector: Selector::from(&scrape.pod_selector),
                port: scrape.port,
                path: scrape.path.clone(),
                metrics: scrape.metrics.clone(),
            })
        }
        (None, None, Some(promql), None) => {
            if promql.query.is_empty() {
                return Err(refused(".promql.query", "empty; write a query"));
            }
            Ok(InputSource::Promql { url: address(".promql.url", &promql.url)?, query: promql.query.clone() })
        }
        (None, None, None, Some(http)) => Ok(InputSource::Http { url: address(".http.url", &http.url)? }),
        _ => Err(refused("", "not exactly one of objects, scrape, promql and http; name one")),
    }
}
