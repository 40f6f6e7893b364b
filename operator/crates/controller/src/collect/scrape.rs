//! The source `scrape`: a metrics endpoint of every selected pod.
#![allow(clippy::disallowed_methods, reason = "network time-outs are real, whatever the clock says")]

use std::{net::IpAddr, sync::Arc};

use futures::StreamExt as _;
use kube::Client;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tollkeeper_core::{
    input::{InputData, InputObject, Origin, Sample, SampleGroup},
    workload::{Labels, Selector},
};

use super::{
    exposition::{self, Exposition, Format, Wanted},
    fields::Fields,
    http,
    kinds::Listable,
    limits::{Budget, Limits, seconds},
    list::{ListError, Query, label_selector, list},
    trouble,
};

/// OpenMetrics first, as Prometheus asks: it tells of an answer that was cut off.
const ACCEPTED: &str =
    "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Pods that a sentence names; the others are counted.
const NAMED: usize = 3;

/// A pod to be scraped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its address in the cluster.
    pub ip: IpAddr,
    /// Its labels.
    pub labels: Labels,
}

/// Says at which base URL (scheme, host and port) a port of a pod is reached.
pub type PodAddress = dyn Fn(&Pod, u16) -> String + Send + Sync;

/// The pod's own address.
pub(super) fn by_ip(pod: &Pod, port: u16) -> String {
    format!("http://{}", std::net::SocketAddr::new(pod.ip, port))
}

/// What an input of this source declares.
pub(super) struct Declared<'a> {
    pub(super) pod_selector: &'a Selector,
    pub(super) port: u16,
    pub(super) path: &'a str,
    pub(super) metrics: &'a [String],
}

/// What scraping needs.
pub(super) struct Scraper<'a> {
    pub(super) client: &'a Client,
    pub(super) clients: &'a http::Clients,
    pub(super) pod_address: &'a PodAddress,
    pub(super) limits: &'a Limits,
    pub(super) budget: &'a Budget,
    /// When pods that have not answered are given up.
    pub(super) deadline: Instant,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body {
    status: PodStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
}

impl Scraper<'_> {
    /// Scrapes the pods. If some cannot be scraped, the others' samples are still returned: a counter of a pod
    /// that is away counts on later. Who was away is returned too, so that it does not go unseen.
    pub(super) async fn read(
        &self,
        declared: &Declared<'_>,
        namespaces: &[&str],
    ) -> Result<(InputData, Option<String>), String> {
        let pods = timeout_at(self.deadline, self.pods(declared.pod_selector, namespaces))
            .await
            .map_err(|_| format!("listing pods took longer than {}", seconds(self.limits.scrape)))??;
        let wanted = Wanted::new(declared.metrics);
        let (wanted, count) = (&wanted, pods.len());
        let mut scraped: Vec<_> = futures::stream::iter(pods.into_iter().enumerate())
            .map(|(position, found)| async move {
                let result = match found.pod {
                    Ok(pod) => self.pod(&pod, declared, wanted).await,
                    Err(reason) => Err(reason),
                };
                (position, found.name, result)
            })
            .buffer_unordered(self.limits.pods_at_once.max(1))
            .collect()
            .await;
        scraped.sort_by_key(|(position, ..)| *position);
        let (mut groups, mut failures, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        for (_, name, result) in scraped {
            match result {
                Ok((group, repetitions)) => {
                    groups.push(Arc::new(group));
                    repeated.extend((repetitions > 0).then_some(name));
                }
                Err(reason) => failures.push(format!("{name}: {reason}")),
            }
        }
        if count > 0 && failures.len() == count {
            let none = match count {
                1 => "the only pod could not".to_owned(),
                many => format!("none of the {many} pods could"),
            };
            return Err(format!("{none} be scraped: {}", enumerated(&failures)));
        }
        Ok((InputData::Samples(groups), problem(&failures, &repeated, count)))
    }

    /// The running pods with an address, ordered by namespace and name. Whether they are ready does not matter:
    /// what they have counted is usage.
    async fn pods(&self, selector: &Selector, namespaces: &[&str]) -> Result<Vec<Found>, String> {
        let query = Query {
            listable: Listable::pods(),
            labels: label_selector(selector),
            only: Some("status.phase=Running"),
            fields: Fields::new(["status.phase", "status.podIP"]),
        };
        // The pods are not contents of the input, but they are bounded as such.
        let budget = Budget::new(self.limits.input_bytes);
        let objects = list(self.client, &query, namespaces, self.limits, &budget).await;
        let objects = objects.map_err(|(ListError::NotServed(reason) | ListError::Other(reason))| reason)?;
        Ok(objects.iter().filter_map(|object| running(object)).collect())
    }

    async fn pod(
        &self,
        pod: &Pod,
        declared: &Declared<'_>,
        wanted: &Wanted<'_>,
    ) -> Result<(SampleGroup, usize), String> {
        let end = self.deadline.min(Instant::now() + self.limits.pod);
        let samples = timeout_at(end, self.samples(pod, declared, wanted));
        let mut samples = samples.await.map_err(|_| {
            let waited = if end < self.deadline { self.limits.pod } else { self.limits.scrape };
            format!("it did not answer completely within {}", seconds(waited))
        })??;
        let repetitions = exposition::sort(&mut samples);
        let origin = Origin { namespace: pod.namespace.clone(), labels: pod.labels.clone() };
        Ok((SampleGroup { origin: Some(origin), samples }, repetitions))
    }

    async fn samples(
        &self,
        pod: &Pod,
        declared: &Declared<'_>,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<Sample>, String> {
        let slash = if declared.path.starts_with('/') { "" } else { "/" };
        let base = (self.pod_address)(pod, declared.port);
        let url = http::address(&format!("{base}{slash}{}", declared.path))?;
        let request = self.clients.pods.get(url).header(ACCEPT, ACCEPTED);
        let response = http::succeeded(http::send(request).await?)?;
        let headers = response.headers();
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = trouble::short(content_type);
        // Without either of them the body ends where the connection does, for whatever reason that is.
        let is_framed = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
        let target = [("namespace", pod.namespace.as_str()), ("pod", pod.name.as_str())];
        let mut exposition = Exposition::new(Format::of(&content_type), wanted, &target, self.budget.share());
        let malformed = |reason| match content_type.as_str() {
            "" => format!("its answer is no metrics exposition: {reason}"),
            named => format!("its answer ({named}) is no metrics exposition: {reason}"),
        };
        http::chunks(response, self.limits.pod_bytes, |chunk| exposition.feed(chunk).map_err(malformed))
            .await?;
        exposition.finish(is_framed).map_err(malformed)
    }
}

/// A running pod with an address, or why it cannot be scraped.
struct Found {
    /// Namespace and name.
    name: String,
    pod: Result<Pod, String>,
}

fn running(object: &InputObject) -> Option<Found> {
    let status = serde_json::from_str::<Body>(&object.body).unwrap_or_default().status;
    if status.phase != "Running" || status.pod_ip.is_empty() {
        return None;
    }
    let namespace = object.namespace.clone().unwrap_or_default();
    let name = format!("{namespace}/{}", object.name);
    let pod = match status.pod_ip.parse() {
        Ok(ip) => Ok(Pod { namespace, name: object.name.clone(), ip, labels: object.labels.clone() }),
        Err(_) => Err("its pod IP is no IP address".to_owned()),
    };
    Some(Found { name, pod })
}

/// What to tell about an input that could be read in part.
fn problem(failures: &[String], repeated: &[String], pods: usize) -> Option<String> {
    let mut sentences = Vec::new();
    if !failures.is_empty() {
        sentences.push(format!(
            "{} of {pods} pods could not be scraped: {}",
            failures.len(),
            enumerated(failures)
        ));
    }
    if !repeated.is_empty() {
        sentences.push(format!(
            "the same series was exposed more than once, of which the first counts, by {}",
            enumerated(repeated)
        ));
    }
    (!sentences.is_empty()).then(|| sentences.join(". "))
}

fn enumerated(items: &[String]) -> String {
    let named = items.get(..NAMED.min(items.len())).unwrap_or_default().join("; ");
    match items.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}
