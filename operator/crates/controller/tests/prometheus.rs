//! The collection against a real Prometheus server, which is also the judge of our own exposition parser: what
//! it makes of an exposition, target labels included, is what a scrape has to yield.
//!
//! The binary is `$TOLLKEEPER_TEST_PROMETHEUS` or `prometheus` on the `PATH`.
#![allow(clippy::disallowed_methods, reason = "a real server is waited for in real time")]
// clippy.toml allows these in tests, but does not take the helpers of an integration test for tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use http::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::json;
use tollkeeper_controller::collect::{Clients, Collector, Limits};
use tollkeeper_core::{
    input::{InputData, InputDeclaration, InputSource, Inputs as _, Sample},
    workload::Selector,
};

/// Prometheus starts to scrape five seconds after its start; a busy machine gets more.
const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at whether the server has scraped.
const POLL: Duration = Duration::from_millis(100);

/// Escapes, blanks, target labels that clash, special values, children of families, quoted braces, no last end
/// of line.
const TEXT: &str = r#"# HELP plain Help with \\ and \n escapes.
# TYPE plain gauge
plain 1.5
plain{quote="a\"b",path="C:\\x\\",lines="1\n2",marks="},=#{ ",text="ü",other="\d"} -2e-3
spaced { a = "1" , b="" , }	3
# any comment
owned{namespace="own",pod="mine",exported_pod="taken"} 4
special{v="nan"} NaN
special{v="inf"} +Inf
special{v="minf"} -Inf
# TYPE requests counter
requests_total{code="200"} 7
# TYPE latency histogram
latency_bucket{le="0.1"} 1
latency_bucket{le="+Inf"} 2
latency_sum 3.25
latency_count 2
# TYPE size summary
size{quantile="0.5"} 1
size_sum 2
size_count 3
repeated{a="1"} 1
repeated{a="1"} 2
ns:rule:sum 12345678.9"#;

const OPENMETRICS: &str = "# TYPE wait_seconds gauge
# UNIT wait_seconds seconds
wait_seconds 0.5
# TYPE requests counter
requests_total{code=\"200\"} 7 # {trace_id=\"a} # b\"} 0.5 1520879607.789
# TYPE latency histogram
latency_bucket{le=\"1.0\"} 1 # {} 0.5
latency_bucket{le=\"+Inf\"} 2
latency_sum 3.25
latency_count 2
# TYPE build info
build_info{version=\"1.2\"} 1
# EOF
";

const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Ends with the test.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn binary() -> PathBuf {
    let named = std::env::var_os("TOLLKEEPER_TEST_PROMETHEUS").filter(|named| !named.is_empty());
    if let Some(named) = named {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("prometheus")).find(|file| file.is_file()).expect(
        "this test needs a Prometheus server: install Debian's package `prometheus` or set \
         TOLLKEEPER_TEST_PROMETHEUS",
    )
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

impl Prometheus {
    /// Scrapes the paths `/text` and `/openmetrics` of the target as jobs of these names.
    fn start(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Free now; should somebody else take it, the server exits and the test says so.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let labels = json!({"namespace": "blue", "pod": "db-0"});
        let job = |name: &str| {
            json!({
                "job_name": name,
                "metrics_path": format!("/{name}"),
                "static_configs": [{"targets": [target.to_string()], "labels": labels}],
            })
        };
        // JSON is YAML.
        let config = json!({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [job("text"), job("openmetrics")],
        });
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let process = Command::new(binary())
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            // At this level it says why it does not accept an exposition.
            .arg("--log.level=debug")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(log(folder.path())).unwrap())
            .spawn()
            .expect("the Prometheus server cannot be started");
        Self { process, address, folder }
    }

    fn input(&self, query: &str) -> InputDeclaration {
        let (url, query) = (format!("http://{}", self.address), query.to_owned());
        InputDeclaration { name: "stored".into(), source: InputSource::Promql { url, query } }
    }

    /// The series of a query as soon as there are some.
    async fn series(&mut self, collector: &Collector, query: &str) -> Vec<Sample> {
        let end = Instant::now() + DEADLINE;
        loop {
            let data = collect(collector, self.input(query)).await;
            match samples(&data) {
                Some(samples) if !samples.is_empty() => return samples,
                _ => {}
            }
            let exit = self.process.try_wait().unwrap();
            assert!(
                exit.is_none() && Instant::now() < end,
                "Prometheus has no series for {query}: {data:?}, exit {exit:?}\n{}",
                std::fs::read_to_string(log(self.folder.path())).unwrap_or_default()
            );
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A collector in whose cluster there is one pod, on the loopback interface.
fn collector() -> Collector {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    tokio::spawn(async move {
        while let Some((_, respond)) = handle.next_request().await {
            let list = json!({"metadata": {}, "items": [{
                "metadata": {"name": "db-0", "namespace": "blue", "uid": "u"},
                "status": {"phase": "Running", "podIP": "127.0.0.1"},
            }]});
            respond.send_response(Response::new(Body::from(list.to_string().into_bytes())));
        }
    });
    let limits = Limits::default();
    Collector::new(kube::Client::new(service, "default"), Clients::new(&limits).unwrap(), limits)
}

async fn collect(collector: &Collector, input: InputDeclaration) -> InputData {
    collector.collect(&[input], &["blue".to_owned()], Timestamp::now()).await.inputs.remove(0).data
}

fn samples(data: &InputData) -> Option<Vec<Sample>> {
    match data {
        InputData::Samples(groups) => {
            Some(groups.iter().flat_map(|group| group.samples.iter().cloned()).collect())
        }
        _ => None,
    }
}

/// The samples as text, without the two labels that Prometheus adds to every series of a target.
fn lines(samples: Vec<Sample>) -> Vec<String> {
    let mut lines: Vec<_> = samples
        .into_iter()
        .map(|mut sample| {
            sample.labels.remove("instance");
            sample.labels.remove("job");
            format!("{}{:?} {}", sample.name, sample.labels, sample.value)
        })
        .collect();
    lines.sort();
    lines
}

/// The address of a target that exposes both texts.
async fn target() -> SocketAddr {
    let router = Router::new()
        .route("/text", get(async || TEXT))
        .route("/openmetrics", get(async || ([("content-type", OPENMETRICS_TYPE)], OPENMETRICS)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn a_scrape_yields_what_prometheus_makes_of_it_and_queries_are_answered() {
    let target = target().await;
    let collector = collector();
    let mut prometheus = Prometheus::start(target);
    for job in ["text", "openmetrics"] {
        let (port, path) = (target.port(), format!("/{job}"));
        let source =
            InputSource::Scrape { pod_selector: Selector::default(), port, path, metrics: Vec::new() };
        let ours = collect(&collector, InputDeclaration { name: "engine".into(), source }).await;
        // Series about the scrape itself have no counterpart in the exposition.
        let query = format!("{{job='{job}', __name__!~'up|scrape_.*'}}");
        let theirs = prometheus.series(&collector, &query).await;
        assert_eq!(lines(samples(&ours).unwrap()), lines(theirs), "{job}");
    }

    let scalar = prometheus.input("scalar(requests_total{job='text'}) * 6");
    assert_eq!(collect(&collector, scalar).await, InputData::Scalar(42.0));
    let sum = prometheus.series(&collector, "sum(latency_sum)").await;
    assert_eq!(lines(sum), ["stored{} 6.5"]);
    for (query, expected) in [
        ("sum(", "it refused the query: bad_data: invalid parameter"),
        ("plain[1m]", "the query yields a matrix"),
        ("'text'", "the query yields a string"),
    ] {
        match collect(&collector, prometheus.input(query)).await {
            InputData::Unavailable(reason) => assert!(reason.contains(expected), "{query}: {reason}"),
            other => panic!("{query} yields {other:?}"),
        }
    }
}
