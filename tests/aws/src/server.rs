//! A simulator for one test, on a port of its own.

use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tollkeeper_simulator::{ServerClock, SharedSimulator, serve};

/// Where the clock of a manual server stands at first.
pub(crate) const START: &str = "2026-11-21T15:30:00Z";

/// Ends with the test.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn manual() -> Self {
        Self::start(ServerClock::manual(START.parse().unwrap())).await
    }

    pub(crate) async fn start(clock: ServerClock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(serve(listener, SharedSimulator::default(), clock, async {
            let _ = stopped.await;
        }));
        Self { endpoint, stop: Some(stop), running }
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn shut_down(mut self) -> std::io::Result<()> {
        self.stop.take().unwrap().send(()).unwrap();
        self.running.await.unwrap()
    }

    pub(crate) fn control_url(&self, name: &str) -> String {
        format!("{}/_tollkeeper/{name}", self.endpoint)
    }

    pub(crate) async fn get(&self, name: &str) -> Value {
        reqwest::get(self.control_url(name)).await.unwrap().json().await.unwrap()
    }

    /// The status and the reply.
    pub(crate) async fn post(&self, name: &str, body: impl ToString) -> (u16, Value) {
        let request = reqwest::Client::new().post(self.control_url(name)).body(body.to_string());
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}
