//! How a product measures: its plugin, and the inputs that the plugin sees.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    schema,
    shared::{KeyRef, LabelSelector, LocalRef},
};

/// How usage is measured.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct MeterSpec {
    /// Time between two measurements, such as 60s or 5m: 10s to 3600s, and a divisor of one hour. Default: 60s.
    #[serde(default = "one_minute")]
    #[schemars(regex(pattern = "^([0-9]{1,2}h)?([0-9]{1,3}m)?([0-9]{1,5}s)?$"), length(min = 2, max = 16))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('1h') && 3600 % duration(self).getSeconds() == 0")
        .message("interval must be 10s to 3600s and a divisor of one hour, such as 60s, 5m or 1h"))]
    pub interval: String,
    /// The WebAssembly component that turns inputs into readings.
    pub plugin: PluginSpec,
    /// Configuration of the plugin: any JSON object, handed to it as it is. Its names and values are the plugin's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::free_form")]
    pub config: Option<Map<String, Value>>,
    /// All that the plugin ever sees: at most 32 inputs with unique names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub inputs: Vec<InputSpec>,
}

fn one_minute() -> String {
    "60s".to_owned()
}

/// A plugin: where it comes from and what it may use.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.publicKeyPem) || !has(self.identity)")
        .message("a plugin is signed by publicKeyPem or by identity, not by both; name one"),
    validation = Rule::new("!has(self.identity) || has(self.source.oci)")
        .message("identity needs source.oci: only an artifact in a registry is signed")
)]
pub struct PluginSpec {
    /// Where the component is: exactly one of `oci`, `configMap` and `file`.
    pub source: PluginSourceSpec,
    /// SHA-256 digest of the component, as `sha256:` and 64 hexadecimal digits. Other bytes are refused. Required.
    #[schemars(regex(pattern = schema::DIGEST), length(min = 71, max = 71))]
    pub digest: String,
    /// Secrets of the same namespace with credentials for the registry (type kubernetes.io/dockerconfigjson). At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pull_secrets: Vec<LocalRef>,
    /// Public key in PEM. If set, the OCI artifact must carry a valid cosign signature by this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^\\s*-----BEGIN PUBLIC KEY-----"), length(min = 1, max = 8192))]
    pub public_key_pem: Option<String>,
    /// Identity instead of a key. If set, the OCI artifact must carry a valid keyless cosign signature (a bundle with a
    /// certificate and the entry of a transparency log) by exactly this signer. Only with `source.oci`, and not beside
    /// `publicKeyPem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentitySpec>,
    /// What one call of the plugin may use.
    #[serde(default)]
    pub limits: LimitsSpec,
}

/// Who signs without a key of their own: the certificate names both, letter by letter.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct IdentitySpec {
    /// Address of the OpenID Connect issuer that vouches for the signer, such as
    /// `https://token.actions.githubusercontent.com`.
    #[schemars(regex(pattern = "^https?://[^\\s]+$"), length(max = 2048))]
    pub issuer: String,
    /// The signer that it names: an e-mail address, or the address of a workflow with its branch or tag.
    #[schemars(regex(pattern = "^[^\\s]+$"), length(min = 1, max = 1024))]
    pub subject: String,
}

/// Where a plugin comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Default, Debug)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.oci) ? 1 : 0) + (has(self.configMap) ? 1 : 0) + (has(self.file) ? 1 : 0) == 1")
    .message("source needs exactly one of oci, configMap and file"))]
pub struct PluginSourceSpec {
    /// Reference of an OCI artifact, such as registry.example.com/vecdb/meter:1.4.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[^\\s]+$"), length(min = 1, max = 512))]
    pub oci: Option<String>,
    /// Key of a ConfigMap in the same namespace; the component is in its binaryData.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeyRef>,
    /// Absolute path of a file in the operator's own image, such as /plugins/vecdb.wasm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"), length(min = 2, max = 512))]
    pub file: Option<String>,
}

/// More than 0 and at most so many bytes. Written without CEL's `quantity` functions: servers before 1.29 refuse a
/// definition that uses them.
macro_rules! size_rule {
    ($most:literal) => {
        concat!(
            "[self.endsWith('Ki') ? int(self.substring(0, self.size() - 2)) * 1024 \
            : self.endsWith('Mi') ? int(self.substring(0, self.size() - 2)) * 1048576 \
            : self.endsWith('Gi') ? int(self.substring(0, self.size() - 2)) * 1073741824 \
            : self.endsWith('k') ? int(self.substring(0, self.size() - 1)) * 1000 \
            : self.endsWith('M') ? int(self.substring(0, self.size() - 1)) * 1000000 \
            : self.endsWith('G') ? int(self.substring(0, self.size() - 1)) * 1000000000 \
            : int(self)].all(n, n > 0 && n <= ",
            $most,
            ")"
        )
    };
}

/// What a plugin may use. A call that passes a limit is stopped and its tick counts as missed. An operator may grant less
/// than is possible here; then the product says so.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct LimitsSpec {
    /// Linear memory in bytes, such as 64Mi; at most 1Gi. Default: 64Mi.
    #[serde(default = "default_memory")]
    #[schemars(regex(pattern = "^[0-9]{1,10}(Ki|Mi|Gi|k|M|G)?$"), length(min = 1, max = 12))]
    #[x_kube(validation = Rule::new(size_rule!("1073741824")).message("memory must be more than 0 and at most 1Gi"))]
    pub memory: String,
    /// Wall-clock time, such as 500ms; at most 10s. Default: 500ms.
    #[serde(default = "default_time")]
    #[schemars(regex(pattern = "^([0-9]{1,2}s)?([0-9]{1,5}ms)?$"), length(min = 2, max = 12))]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('10s')")
        .message("time must be more than 0 and at most 10s"))]
    pub time: String,
    /// Bytes of the component itself, such as 20Mi for one in Python; at most 32Mi. Default: 4Mi.
    #[serde(default = "default_component")]
    #[schemars(regex(pattern = "^[0-9]{1,10}(Ki|Mi|Gi|k|M|G)?$"), length(min = 1, max = 12))]
    #[x_kube(validation = Rule::new(size_rule!("33554432")).message("component must be more than 0 and at most 32Mi"))]
    pub component: String,
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self { memory: default_memory(), time: default_time(), component: default_component() }
    }
}

fn default_memory() -> String {
    "64Mi".to_owned()
}

fn default_time() -> String {
    "500ms".to_owned()
}

fn default_component() -> String {
    "4Mi".to_owned()
}

/// One input of a plugin: a name, and exactly one source.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Default, Debug)]
#[x_kube(validation = Rule::new("(has(self.objects) ? 1 : 0) + (has(self.scrape) ? 1 : 0) + (has(self.promql) ? 1 : 0) + (has(self.http) ? 1 : 0) == 1")
    .message("an input needs exactly one of objects, scrape, promql and http"))]
pub struct InputSpec {
    /// Name by which the plugin knows the input: 1-63 characters of `[a-zA-Z0-9_-]` that start with a letter; unique.
    #[schemars(regex(pattern = "^[a-zA-Z][a-zA-Z0-9_-]*$"), length(min = 1, max = 63))]
    pub name: String,
    /// Kubernetes objects of one kind, reduced to the named fields. Namespaced objects are narrowed to the workload of
    /// each binding. The operator's service account needs get and list on the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsSpec>,
    /// A metrics endpoint in the Prometheus text format, read from every selected pod of a binding's workload, at the pod's IP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape: Option<ScrapeSpec>,
    /// An instant query to a Prometheus server. Every binding sees its whole result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promql: Option<PromqlSpec>,
    /// A JSON document. Every binding sees all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSpec>,
}

/// Kubernetes objects of one kind.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ObjectsSpec {
    /// Group and version of the kind, such as v1 or apps/v1.
    #[schemars(
        regex(pattern = "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?v[0-9][a-z0-9]*$"),
        length(min = 2, max = 253)
    )]
    pub api_version: String,
    /// The kind, such as Node.
    #[schemars(regex(pattern = "^[A-Z][a-zA-Z0-9]*$"), length(min = 1, max = 63))]
    pub kind: String,
    /// Which objects. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Fields that the plugin sees, as dotted paths such as status.capacity.cpu; nothing else leaves the object. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub fields: Vec<String>,
}

/// A metrics endpoint of pods.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeSpec {
    /// Which pods. The empty selector means all pods of a binding's workload.
    #[serde(default)]
    pub pod_selector: LabelSelector,
    /// Port of the endpoint: 1-65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Path of the endpoint. Default: /metrics.
    #[serde(default = "metrics_path")]
    #[schemars(regex(pattern = "^/"), length(min = 1, max = 1024))]
    pub path: String,
    /// Names of the metrics that the plugin sees. Default: all. At most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(regex(pattern = "^[a-zA-Z_:][a-zA-Z0-9_:]*$"), length(min = 1, max = 256))
    )]
    pub metrics: Vec<String>,
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

/// A query to a Prometheus server.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct PromqlSpec {
    /// Base address of the server, such as `http://prometheus:9090`.
    #[schemars(regex(pattern = "^https?://[^\\s]+$"), length(max = 2048))]
    pub url: String,
    /// The query, evaluated at the tick.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
}

/// A JSON document.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct HttpSpec {
    /// Its address, such as `http://vecdb.vecdb.svc/usage`.
    #[schemars(regex(pattern = "^https?://[^\\s]+$"), length(max = 2048))]
    pub url: String,
}
