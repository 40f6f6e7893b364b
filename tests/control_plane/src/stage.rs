//! The stage: everything that `tollkeeper run` needs, in a namespace of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tollkeeper_api::{LicenseBinding, MarketplaceProduct};
use tollkeeper_kit::{ControlPlane, Namespace, Operator, Program, free_port, http_get, wait_until};

use crate::{
    observed::Observed,
    rights::{self, Rights},
};

/// Virtual seconds in a real one: an hour takes ten seconds.
const SCALE: u32 = 360;

/// Between ticks. Long enough in real time (1.7 s) for a slow machine to run each tick in time.
const INTERVAL: &str = "600s";

/// Longest wait for anything, in real time: six virtual hours.
pub const PATIENCE: Duration = Duration::from_secs(60);

const ROLE: &str = "arn:aws:iam::123456789012:role/tollkeeper";

/// A namespace with everything that the operator needs.
pub struct Stage {
    /// The namespace.
    pub namespace: Namespace,
    /// The simulated AWS.
    pub aws: Operator,
    home: Namespace,
    aws_url: String,
    clock: String,
    operator_env: Vec<(String, String)>,
    first: PodIdentity,
    listen: String,
    folder: tempfile::TempDir,
}

/// As whom the operator runs: what its pod knows of itself.
#[derive(Debug, Clone)]
pub struct PodIdentity {
    /// The pod's name.
    pub name: String,
    /// The pod's UID, which AWS deduplicates by.
    pub uid: String,
    token: PathBuf,
}

impl Stage {
    /// Sets the stage at this virtual time, for an operator that watches this namespace only and lives in it.
    pub async fn at(prefix: &str, virtual_start: &str) -> Self {
        Self::within(ControlPlane::shared().await.unwrap(), prefix, virtual_start, SCALE).await
    }

    /// The same in a control plane of the test's own, with so many virtual seconds in a real one.
    pub async fn within(plane: &'static ControlPlane, prefix: &str, virtual_start: &str, scale: u32) -> Self {
        let namespace = plane.namespace(prefix).await.unwrap();
        rights::install(&namespace, Rights::Namespaced).await;
        Self::put_up(namespace.clone(), namespace, virtual_start, scale).await
    }

    /// Sets the stage for an operator that watches every namespace, with what the chart grants by default. It lives in
    /// another namespace than the product, in a control plane without anybody else's products.
    pub async fn cluster_wide(virtual_start: &str) -> Self {
        let plane = ControlPlane::alone().await.unwrap();
        let home = plane.namespace("tollkeeper").await.unwrap();
        rights::install(&home, Rights::ClusterWide).await;
        let mut stage =
            Self::put_up(home, plane.namespace("vecdb").await.unwrap(), virtual_start, SCALE).await;
        stage.operator_env.retain(|(name, _)| name != "TOLLKEEPER_NAMESPACES");
        stage
    }

    async fn put_up(home: Namespace, namespace: Namespace, virtual_start: &str, scale: u32) -> Self {
        let plane = home.control_plane();
        let folder = tempfile::tempdir().unwrap();
        let real = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        let clock = format!("{real:.3},{virtual_start},{scale}");
        let (aws, aws_url) = start_aws(&clock).await;

        let name = home.name().to_owned();
        let first = identity(&home, "tollkeeper-0", folder.path()).await;
        let api_token = plane.token_for(&name, "tollkeeper", &[], None).await.unwrap();
        let kubeconfig = plane.kubeconfig_with(&api_token, &name).unwrap();
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        let env = [
            ("KUBECONFIG", kubeconfig.display().to_string()),
            ("AWS_ENDPOINT_URL", aws_url.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ROLE_ARN", ROLE.to_owned()),
            ("TOLLKEEPER_TEST_CLOCK", clock.clone()),
            ("TOLLKEEPER_POD_NAMESPACE", name),
            ("TOLLKEEPER_NAMESPACES", namespace.name().to_owned()),
        ];
        Self {
            namespace,
            aws,
            home,
            aws_url,
            clock,
            operator_env: env.map(|(key, value)| (key.to_owned(), value)).into(),
            first,
            listen,
            folder,
        }
    }

    /// Sets a variable of the operator's environment, for its next start.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.operator_env.push((key.to_owned(), value.into()));
    }

    /// Starts the operator, as the same pod every time.
    pub fn start_operator(&self) -> Operator {
        self.start(&self.first, &self.listen)
    }

    /// Starts the operator as this pod, beside others if need be.
    pub fn start_as(&self, pod: &PodIdentity) -> Operator {
        self.start(pod, "127.0.0.1:0")
    }

    /// Starts the operator as this pod, with its health server at this address.
    pub fn start(&self, pod: &PodIdentity, listen: &str) -> Operator {
        let token = pod.token.display().to_string();
        let mut env: Vec<(&str, &str)> =
            self.operator_env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        env.extend([
            ("TOLLKEEPER_POD_NAME", pod.name.as_str()),
            ("TOLLKEEPER_POD_UID", pod.uid.as_str()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
            ("TOLLKEEPER_LISTEN", listen),
        ]);
        Operator::spawn(Program::Tollkeeper.path().unwrap(), &["run"], &env).unwrap()
    }

    /// The pod that the operator is at first.
    pub fn first_pod(&self) -> &PodIdentity {
        &self.first
    }

    /// Another pod for the operator: what a replaced one is.
    pub async fn another_pod(&self, name: &str) -> PodIdentity {
        identity(&self.home, name, self.folder.path()).await
    }

    /// Base address of the simulated AWS.
    pub fn aws_url(&self) -> &str {
        &self.aws_url
    }

    /// What the operator asked the API server for without having the right to.
    pub fn refusals(&self) -> Vec<String> {
        self.home.control_plane().refusals(self.home.name(), "tollkeeper").unwrap()
    }

    /// What the operator has written to the API server so far, by resource.
    pub fn writes(&self) -> BTreeMap<String, usize> {
        let mut writes = BTreeMap::new();
        for (resource, _) in self.home.control_plane().writes(self.home.name(), "tollkeeper").unwrap() {
            *writes.entry(resource).or_default() += 1;
        }
        writes
    }

    /// Base address of the operator's health server.
    pub fn health(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The environment of the operator, for other verbs.
    pub fn kubeconfig(&self) -> &str {
        self.operator_env
            .iter()
            .find(|(key, _)| key == "KUBECONFIG")
            .map(|(_, value)| value.as_str())
            .unwrap()
    }

    /// The present virtual moment.
    pub fn now(&self) -> Timestamp {
        let mut parts = self.clock.split(',');
        let real: f64 = parts.next().unwrap().parse().unwrap();
        let start: Timestamp = parts.next().unwrap().parse().unwrap();
        let scale: f64 = parts.next().unwrap().parse().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        start + SignedDuration::from_secs_f64((now - real) * scale)
    }

    /// The example's product, as this stage needs it.
    pub fn product(&self, name: &str, code: &str, metrics_port: u16) -> MarketplaceProduct {
        let component = repository().join("plugins/examples/vecdb/vecdb.wasm");
        let digest = hex::encode(Sha256::digest(fs::read(&component).unwrap()));
        let text = fs::read_to_string(repository().join("examples/vecdb/product.yaml")).unwrap();
        let mut product: MarketplaceProduct = serde_yaml::from_str(&text).unwrap();
        product.metadata.name = Some(name.to_owned());
        product.metadata.namespace = None;
        product.spec.product_code = code.to_owned();
        let mut json = serde_json::to_value(&product).unwrap();
        json["spec"]["meter"]["interval"] = json!(INTERVAL);
        json["spec"]["meter"]["plugin"]["source"]["file"] = json!(component.display().to_string());
        json["spec"]["meter"]["plugin"]["digest"] = json!(format!("sha256:{digest}"));
        for input in json["spec"]["meter"]["inputs"].as_array_mut().unwrap() {
            if input["name"] == "engine" {
                input["scrape"]["port"] = json!(metrics_port);
            }
        }
        serde_json::from_value(json).unwrap()
    }

    /// A binding for the workload of this namespace.
    pub fn binding(&self, name: &str, product: &str) -> LicenseBinding {
        serde_json::from_value(json!({
            "apiVersion": "tollkeeper.dev/v1alpha1",
            "kind": "LicenseBinding",
            "metadata": {"name": name},
            "spec": {
                "productRef": {"name": product},
                "workload": {
                    "namespaces": [self.namespace.name()],
                    "selector": {"matchLabels": {"app": "vecdb"}},
                },
                "tags": {"CostCenter": "42"},
                "access": {"irsa": {"roleArn": "arn:aws:iam::123456789012:role/vecdb", "serviceAccountName": "vecdb"}},
            },
        }))
        .unwrap()
    }

    /// Creates an object.
    pub async fn create<K>(&self, object: &K) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        self.namespace.api::<K>().create(&PostParams::default(), object).await.unwrap()
    }

    /// The reports and AWS's books.
    pub async fn observe(&self) -> Observed {
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", "UsageReport"));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.namespace.client(), self.namespace.name(), &resource);
        let mut reports: Vec<Value> = api
            .list(&Default::default())
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|report| serde_json::to_value(report).unwrap())
            .collect();
        reports.sort_by_key(|report| report["spec"]["hour"].as_str().unwrap_or_default().to_owned());
        let (_, books) = http_get(&format!("{}/_tollkeeper/books", self.aws_url)).await.unwrap();
        Observed { reports, books: serde_json::from_str(&books).unwrap() }
    }

    /// Runs another verb as a person who may do everything in this namespace, and returns what it has said.
    pub fn ask(&self, args: &[&str]) -> Output {
        Command::new(Program::Tollkeeper.path().unwrap())
            .args(args)
            .args(["--namespace", self.namespace.name()])
            .env("KUBECONFIG", self.namespace.control_plane().kubeconfig())
            .env("TOLLKEEPER_TEST_CLOCK", &self.clock)
            .output()
            .unwrap()
    }

    /// Waits until this many reports are settled.
    pub async fn settled(&self, reports: usize) -> Observed {
        wait_until(format!("{reports} settled reports"), PATIENCE, async || {
            let observed = self.observe().await;
            let settled =
                observed.reports.iter().filter(|report| report["status"]["phase"] == "Settled").count();
            if settled >= reports {
                Ok(observed)
            } else {
                Err(format!("{settled} of {}", observed.reports.len()))
            }
        })
        .await
        .unwrap()
    }

    /// Waits until events about a product tell of all of these reasons.
    pub async fn told(&self, product: &MarketplaceProduct, wanted: &[&str]) {
        let events: Api<Event> = self.namespace.api();
        wait_until("an event of every reason", PATIENCE, async || {
            let all = events.list(&Default::default()).await.map_err(|error| error.to_string())?;
            let of_product = |event: &&Event| {
                event.regarding.as_ref().is_some_and(|about| about.uid == product.metadata.uid)
            };
            let reasons: BTreeSet<&str> =
                all.items.iter().filter(of_product).filter_map(|event| event.reason.as_deref()).collect();
            if wanted.iter().all(|wanted| reasons.contains(wanted)) {
                Ok(())
            } else {
                Err(format!("{reasons:?}"))
            }
        })
        .await
        .unwrap();
    }

    /// Waits for a condition of an object to have this status and reason.
    pub async fn condition(&self, kind: &str, name: &str, aspect: &str, expected: (&str, &str)) -> Value {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.namespace.client(), self.namespace.name(), &resource);
        wait_until(format!("{kind} {name} to be {aspect}={expected:?}"), PATIENCE, async || {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let condition = conditions.iter().find(|condition| condition["type"] == aspect);
            match condition {
                Some(found) if found["status"] == expected.0 && found["reason"] == expected.1 => {
                    Ok(found.clone())
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .unwrap()
    }
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

async fn start_aws(clock: &str) -> (Operator, String) {
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let env = [("TOLLKEEPER_TEST_CLOCK", clock)];
    let mut aws =
        Operator::spawn(Program::Tollkeeper.path().unwrap(), &["aws", "--listen", &listen], &env).unwrap();
    let url = format!("http://{listen}");
    aws.wait_for_http(&format!("{url}/_tollkeeper/health"), PATIENCE).await.unwrap();
    (aws, url)
}

/// Makes the operator's pod and its token for AWS.
async fn identity(home: &Namespace, name: &str, folder: &Path) -> PodIdentity {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"serviceAccountName": "tollkeeper", "containers": [{"name": "tollkeeper", "image": "tollkeeper"}]},
    }))
    .unwrap();
    let pod = home.api::<Pod>().create(&PostParams::default(), &pod).await.unwrap();
    let plane = home.control_plane();
    let web_identity = plane.token_for(home.name(), "tollkeeper", &["sts.amazonaws.com"], Some(name)).await;
    let token = folder.join(name);
    fs::write(&token, web_identity.unwrap()).unwrap();
    PodIdentity { name: name.to_owned(), uid: pod.uid().unwrap(), token }
}
