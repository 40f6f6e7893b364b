//! Reads what a product's plugin may see: Kubernetes objects, metrics of pods, Prometheus queries, JSON
//! documents.
//!
//! All inputs of a tick are read at the same time, each within its own time-out. What cannot be read is
//! [`InputData::Unavailable`] with one sentence that says what, where and why; what could be read in part comes
//! with a [`Problem`]. Nothing is cached but the kinds: a tick sees the state of the tick.
#![allow(clippy::disallowed_methods, reason = "network time-outs are real, whatever the clock says")]

mod document;
mod exposition;
mod fields;
mod http;
mod kinds;
mod limits;
mod list;
mod objects;
mod promql;
mod sample;
mod scrape;
mod trouble;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tollkeeper_core::input::{Collected, Input, InputData, InputDeclaration, InputSource, Inputs, Problem};

use self::limits::{Budget, bytes, seconds};
pub use self::{
    http::Clients,
    limits::Limits,
    objects::from_json as object_from_json,
    scrape::{Pod, PodAddress},
};

/// More inputs with problems than this are logged each time.
const REMEMBERED: usize = 1024;

/// Reads inputs from a cluster and what it reaches.
pub struct Collector {
    client: kube::Client,
    clients: Clients,
    limits: Limits,
    kinds: kinds::Kinds,
    pod_address: Arc<PodAddress>,
    logged: Mutex<BTreeMap<String, String>>,
}

impl Collector {
    /// A collector that reaches pods by their IP.
    pub fn new(client: kube::Client, clients: Clients, limits: Limits) -> Self {
        Self {
            client,
            clients,
            limits,
            kinds: kinds::Kinds::default(),
            pod_address: Arc::new(scrape::by_ip),
            logged: Mutex::default(),
        }
    }

    /// Reaches pods at another base URL, such as a port of the loopback interface.
    #[must_use]
    pub fn with_pod_address(mut self, address: impl Fn(&Pod, u16) -> String + Send + Sync + 'static) -> Self {
        self.pod_address = Arc::new(address);
        self
    }

    /// The contents of every declared input, and what is missing from them.
    async fn collect_with_problems(
        &self,
        declared: &[InputDeclaration],
        namespaces: &[String],
        at: Timestamp,
    ) -> Collected {
        // Names that no namespace can have hold nothing, and must not reach a path.
        let namespaces: BTreeSet<&str> =
            namespaces.iter().map(String::as_str).filter(|namespace| is_dns_label(namespace)).collect();
        let namespaces: Vec<&str> = namespaces.into_iter().collect();
        let slots = Semaphore::new(self.limits.inputs_at_once.max(1));
        let reads = declared.iter().map(|declaration| self.input(declaration, &namespaces, at, &slots));
        let mut collected = Collected { inputs: Vec::new(), problems: Vec::new() };
        for (declaration, (data, problem)) in declared.iter().zip(futures::future::join_all(reads).await) {
            collected.inputs.push(Input { name: declaration.name.clone(), data });
            collected
                .problems
                .extend(problem.map(|message| Problem { input: declaration.name.clone(), message }));
        }
        collected
    }

    async fn input(
        &self,
        declaration: &InputDeclaration,
        namespaces: &[&str],
        at: Timestamp,
        slots: &Semaphore,
    ) -> (InputData, Option<String>) {
        let (start, time_out) = (Instant::now(), self.limits.time_out(&declaration.source));
        let budget = Budget::new(self.limits.input_bytes);
        // Waiting for a slot counts: the whole collection is over when the longest time-out is.
        let read = async {
            let _slot = slots.acquire().await;
            self.source(declaration, namespaces, at, start, &budget).await
        };
        let result = match timeout_at(start + time_out, read).await {
            Err(_) => {
                Err(format!("{} took longer than {}", activity(&declaration.source), seconds(time_out)))
            }
            Ok(_) if budget.is_exceeded() => {
                Err(format!("the contents of the input exceed {}", bytes(self.limits.input_bytes)))
            }
            Ok(result) => result,
        };
        result.unwrap_or_else(|reason| (InputData::Unavailable(reason), None))
    }

    async fn source(
        &self,
        declaration: &InputDeclaration,
        namespaces: &[&str],
        at: Timestamp,
        start: Instant,
        budget: &Budget,
    ) -> Result<(InputData, Option<String>), String> {
        let limits = &self.limits;
        match &declaration.source {
            InputSource::Objects { api_version, kind, selector, fields } => {
                let declared = objects::Declared { api_version, kind, selector, fields };
                let data = objects::read(&self.client, &self.kinds, declared, namespaces, limits, budget);
                data.await.map(|data| (data, None))
            }
            InputSource::Scrape { pod_selector, port, path, metrics } => {
                let declared = scrape::Declared { pod_selector, port: *port, path, metrics };
                let scraper = scrape::Scraper {
                    client: &self.client,
                    clients: &self.clients,
                    pod_address: self.pod_address.as_ref(),
                    limits,
                    budget,
                    // The rest of the time is for putting the samples together.
                    deadline: start + limits.scrape.mul_f32(0.9),
                };
                scraper.read(&declared, namespaces).await
            }
            InputSource::Promql { url, query } => {
                promql::read(&self.clients, (&declaration.name, url, query), at, limits).await
            }
            InputSource::Http { url } => {
                document::read(&self.clients, url, limits).await.map(|data| (data, None))
            }
        }
    }

    /// Logs the problem of an input if it is not the one that was logged last, and that there is none any more.
    fn log(&self, declaration: &InputDeclaration, namespaces: &[String], problem: Option<&str>) {
        // Inputs of several products may have the same name.
        let key = format!("{declaration:?} {namespaces:?}");
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        match changed(&mut logged, key, problem) {
            Change::None => {}
            Change::Problem(problem) => {
                tracing::warn!(input = declaration.name, problem, "an input was read in part");
            }
            Change::Healed => {
                tracing::info!(input = declaration.name, "an input can be read as a whole again")
            }
        }
    }
}

#[async_trait]
impl Inputs for Collector {
    async fn collect(
        &self,
        declared: &[InputDeclaration],
        namespaces: &[String],
        at: Timestamp,
    ) -> Collected {
        let collected = self.collect_with_problems(declared, namespaces, at).await;
        for declaration in declared {
            let problem = collected.problems.iter().find(|problem| problem.input == declaration.name);
            self.log(declaration, namespaces, problem.map(|problem| problem.message.as_str()));
        }
        collected
    }
}

#[derive(PartialEq, Debug)]
enum Change<'a> {
    None,
    Problem(&'a str),
    Healed,
}

fn changed<'a>(logged: &mut BTreeMap<String, String>, key: String, problem: Option<&'a str>) -> Change<'a> {
    let Some(problem) = problem else {
        return if logged.remove(&key).is_some() { Change::Healed } else { Change::None };
    };
    if logged.get(&key).is_some_and(|last| last == problem) {
        return Change::None;
    }
    if logged.len() < REMEMBERED || logged.contains_key(&key) {
        logged.insert(key, problem.to_owned());
    }
    Change::Problem(problem)
}

fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// What takes long when it takes too long.
fn activity(source: &InputSource) -> String {
    let at = |url: &str| http::address(url).map_or_else(|_| "its url".to_owned(), |url| http::place(&url));
    match source {
        InputSource::Objects { api_version, kind, .. } => format!("listing {kind} objects ({api_version})"),
        InputSource::Scrape { port, path, .. } => format!("scraping port {port}, path {path} of the pods"),
        InputSource::Promql { url, .. } => format!("querying Prometheus at {}", at(url)),
        InputSource::Http { url } => format!("reading {}", at(url)),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_problem_is_told_once_until_it_changes_or_ends() {
        let mut logged = BTreeMap::new();
        let mut step = |problem| {
            let change = changed(&mut logged, "engine".into(), problem);
            match change {
                Change::None => "nothing",
                Change::Problem(problem) => problem,
                Change::Healed => "healed",
            }
        };
        let told = [None, Some("a"), Some("a"), Some("b"), None, None].map(&mut step);
        assert_eq!(told, ["nothing", "a", "nothing", "b", "healed", "nothing"]);
    }
}
