#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]
use serde_json::json;

use super::*;
use crate::fake::Fake;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/house/leases/tollkeeper";

/// Short for the tests' sake; the API server rounds it up to a whole second for others.
const SHORT: Duration = Duration::from_millis(600);

struct Pod {
    leadership: watch::Receiver<Leadership>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    tenure: Arc<Tenure>,
}

fn pod(client: &Client, holder: &str) -> Pod {
    let (elector, leadership) = Elector::new(client.clone(), "house", "tollkeeper", holder);
    let stop = CancellationToken::new();
    let tenure = elector.tenure();
    let task = tokio::spawn(elector.with_duration(SHORT).run(stop.clone()));
    Pod { leadership, stop, task, tenure }
}

impl Pod {
    async fn until(&mut self, wanted: impl FnMut(&Leadership) -> bool) -> Leadership {
        let waiting = self.leadership.wait_for(wanted);
        *tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap()
    }

    async fn leads(&mut self) -> u64 {
        match self.until(|leadership| *leadership != Leadership::Follower).await {
            Leadership::Leader { epoch } => epoch,
            Leadership::Follower => 0,
        }
    }

    fn is_leading(&self) -> bool {
        *self.leadership.borrow() != Leadership::Follower
    }
}

#[tokio::test]
async fn one_leads_and_the_other_follows_at_once_when_it_is_given_the_lease() {
    let (fake, client) = Fake::start();
    let mut first = pod(&client, "first");
    assert_eq!(first.leads().await, 1);
    let mut second = pod(&client, "second");
    sleep(SHORT * 2).await;
    assert!(first.is_leading() && !second.is_leading(), "renewals keep it");

    first.stop.cancel();
    (&mut first.task).await.unwrap();
    assert!(!first.is_leading());
    let released = Instant::now();
    assert_eq!(second.leads().await, 2);
    assert!(released.elapsed() < Duration::from_millis(500), "{:?}", released.elapsed());
    assert_eq!(fake.get(LEASE).unwrap()["spec"]["holderIdentity"], json!("second"));
}

#[tokio::test]
async fn a_holder_that_is_gone_is_followed_after_the_whole_duration() {
    let (_fake, client) = Fake::start();
    let mut first = pod(&client, "first");
    first.leads().await;
    first.task.abort();
    let gone = Instant::now();
    let mut second = pod(&client, "second");
    assert_eq!(second.leads().await, 2);
    assert!(gone.elapsed() >= Duration::from_secs(1), "the record promises a second: {:?}", gone.elapsed());
}

#[tokio::test]
async fn an_annotation_by_somebody_else_costs_no_leadership() {
    let (fake, client) = Fake::start();
    let mut first = pod(&client, "first");
    let epoch = first.leads().await;
    for turn in 0..4 {
        fake.change(LEASE, json!({"metadata": {"annotations": {"turn": turn.to_string()}}}));
        sleep(SHORT / 3).await;
        assert_eq!(*first.leadership.borrow(), Leadership::Leader { epoch });
    }
}

#[tokio::test]
async fn a_lease_that_another_took_is_lost_at_the_next_renewal() {
    let (fake, client) = Fake::start();
    let mut first = pod(&client, "first");
    first.leads().await;
    fake.change(LEASE, json!({"spec": {"holderIdentity": "thief", "leaseTransitions": 7}}));
    first.until(|leadership| *leadership == Leadership::Follower).await;
    assert_eq!(fake.get(LEASE).unwrap()["spec"]["holderIdentity"], json!("thief"));
    assert_eq!(first.leads().await, 8, "once the thief has not renewed it for long enough");
}

#[tokio::test]
async fn without_an_api_server_leadership_ends_before_others_may_take_it() {
    let (fake, client) = Fake::start();
    let mut first = pod(&client, "first");
    first.leads().await;
    let down = Instant::now();
    fake.set_fault(|_, _| Some(503));
    first.until(|leadership| *leadership == Leadership::Follower).await;
    assert!(down.elapsed() < SHORT, "{:?}", down.elapsed());
}

#[tokio::test]
async fn a_process_that_was_suspended_knows_at_once_that_its_tenure_is_over() {
    let (_fake, client) = Fake::start();
    let mut first = pod(&client, "first");
    let epoch = first.leads().await;
    assert!(first.tenure.covers(epoch) && !first.tenure.covers(epoch + 1));
    // Nothing of the process runs on, so it is told nothing.
    first.task.abort();
    sleep(SHORT).await;
    assert!(first.is_leading() && !first.tenure.covers(epoch));
}

#[tokio::test]
async fn a_pod_that_restarts_need_not_wait_for_itself() {
    let (_fake, client) = Fake::start();
    let mut first = pod(&client, "first");
    first.leads().await;
    first.task.abort();
    let restarted = Instant::now();
    assert_eq!(pod(&client, "first").leads().await, 2, "another epoch all the same");
    assert!(restarted.elapsed() < SHORT);
}

#[test]
fn a_lease_is_free_when_nobody_holds_it_or_its_holder_is_silent_for_too_long() {
    let lease = |holder: &str| -> Lease {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": 20});
        serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()
    };
    assert!(is_free(&Lease::default(), "us", Duration::ZERO, DURATION));
    assert!(is_free(&lease(""), "us", Duration::ZERO, DURATION));
    assert!(is_free(&lease("us"), "us", Duration::ZERO, DURATION));
    assert!(!is_free(&lease("them"), "us", Duration::from_secs(19), DURATION), "it promised 20 s");
    assert!(is_free(&lease("them"), "us", Duration::from_secs(20), DURATION));
}

#[test]
fn a_duration_is_told_to_others_in_whole_seconds() {
    assert_eq!(whole_seconds(DURATION), 15);
    assert_eq!(whole_seconds(Duration::from_millis(600)), 1);
    assert_eq!(whole_seconds(Duration::ZERO), 1);
}
