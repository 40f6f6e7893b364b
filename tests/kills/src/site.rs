//! One product with all that belongs to it, through the rounds of a schedule.

use std::{pin::pin, process::Command, rc::Rc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, api::PostParams};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::sleep;
use tollkeeper_control_plane::{PodIdentity, Stage, Workload};
use tollkeeper_kit::{ControlPlane, Failure, Operator, Program, Result, wait_until};

use crate::{Account, Blow, Chronicle, Moment, Round, Schedule, Successor, signs::Signs};

/// Virtual seconds in a real one: an hour takes six seconds.
const SCALE: u32 = 600;

/// The moment at which a site begins; long ago, so that tokens, which expire in real time, do not expire in virtual time.
const START: &str = "2026-11-10T00:55:00Z";

/// Longest wait for a named moment, before the blow falls all the same: longer than an hour.
const MOMENT: Duration = Duration::from_secs(8);

/// Longest wait for what must come: the API server may be away for a while, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long an operator lives on after SIGCONT: long enough to send, shorter than a term of the lease.
const CONTINUED: Duration = Duration::from_millis(1_500);

/// Cores that the workload asks for.
const CORES: u64 = 2;

/// What goes wrong with AWS's answers: half of them come late or never. Nothing here refuses a record.
const FAULTS: &str = "
faults:
  - {name: held back, when: {probability: 0.30}, effect: {delay: 600}}
  - {name: dropped, when: {probability: 0.06}, effect: acceptThenDrop}
  - {name: error after, when: {probability: 0.06}, effect: error500After}
  - {name: error before, when: {probability: 0.06}, effect: error500Before}
  - {name: throttled, when: {probability: 0.04}, effect: {throttle: 3}}
";

/// A product, its workload, its operator and its AWS.
pub struct Site {
    stage: Stage,
    workload: Workload,
    signs: Rc<Signs>,
    /// Pods that the operator has not been yet.
    pods: Vec<PodIdentity>,
    pod: PodIdentity,
    operator: Operator,
    chronicle: Chronicle,
    scanned: u64,
    kills: usize,
}

impl Site {
    /// A site that meters, with as many pods as the schedule asks for.
    pub async fn open(plane: &'static ControlPlane, name: &str, seed: u64, schedule: &Schedule) -> Self {
        let stage = Stage::within(plane, name, START, SCALE).await;
        let workload = Workload::start(&stage.namespace).await;
        workload.run_pod(&stage.namespace, "vecdb-0", &CORES.to_string()).await;
        stage.create(&stage.product("vecdb", "code", workload.port())).await;
        stage.create(&stage.binding("prod", "vecdb")).await;
        let mut pods = Vec::new();
        for number in (1..=schedule.new_pods()).rev() {
            pods.push(stage.another_pod(&format!("tollkeeper-{number}")).await);
        }
        let (pod, chronicle) = (stage.first_pod().clone(), Chronicle::new(stage.namespace.name()));
        let (signs, operator) = (Rc::new(Signs::of(&stage)), stage.start_as(&pod));
        let site = Self { signs, chronicle, stage, workload, pods, pod, operator, scanned: 0, kills: 0 };
        // Before a tick with all inputs has been checkpointed there is no baseline, and what is scanned counts for nobody.
        let signs = site.signs.clone();
        let baseline = async {
            site.stage.condition("MarketplaceProduct", "vecdb", "InputsReady", ("True", "Collected")).await;
            assert!(signs.wait_for(Moment::Checkpointed, PATIENCE).await, "no checkpoint");
        };
        tokio::select! { () = signs.watch() => {}, () = baseline => {} }
        let faults = reqwest::Client::new().post(site.faults()).body(format!("seed: {seed}{FAULTS}"));
        faults.send().await.unwrap().error_for_status().unwrap();
        site
    }

    /// Goes through all rounds.
    pub async fn endure(&mut self, schedule: &Schedule) {
        let signs = self.signs.clone();
        let rounds = async {
            for round in &schedule.rounds {
                self.scan(round.gigabytes);
                let came = self.live_until(round.moment).await;
                self.strike(round, came).await;
            }
        };
        tokio::select! { () = signs.watch() => {}, () = rounds => {} }
    }

    /// Lets everything come to rest, stops the operator as Kubernetes would, and gives account.
    pub async fn close(&mut self) -> Result<Account> {
        reqwest::Client::new().delete(self.faults()).send().await.unwrap();
        // Whatever was scanned until now is measured in this hour or the next.
        let last = hour_after(self.stage.now());
        wait_until(format!("everything until {last} is settled"), PATIENCE, async || {
            self.revive().await;
            settled_through(&self.stage, &last).await
        })
        .await?;
        let ended = self.operator.terminate(PATIENCE).await?;
        if !ended.success() {
            return Err(Failure::new(format!("asked to stop, the operator ended with {ended}")));
        }
        self.chronicle.bury(&self.pod.name, &self.operator);
        let observed = self.stage.observe().await;
        let listed = self.list();
        let hours = self.stage.now().duration_since(START.parse().unwrap()).as_hours() + 1;
        let hours = u64::try_from(hours).unwrap();
        let (reports, books, scanned) = (observed.reports, observed.books, self.scanned);
        Ok(Account { reports, books, listed, scanned, cores: CORES, hours })
    }

    /// What was done to it.
    pub fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// How many of its operators were killed.
    pub fn kills(&self) -> usize {
        self.kills
    }

    fn scan(&mut self, gigabytes: u64) {
        self.workload.scan(gigabytes);
        self.scanned += gigabytes;
    }

    /// Waits for the moment; says whether it came.
    async fn live_until(&mut self, moment: Moment) -> bool {
        let signs = self.signs.clone();
        let mut waiting = pin!(signs.wait_for(moment, MOMENT));
        loop {
            tokio::select! {
                came = &mut waiting => return came,
                () = sleep(Duration::from_millis(200)) => self.revive().await,
            }
        }
    }

    /// Starts an operator again that has ended by itself, as the kubelet does.
    async fn revive(&mut self) {
        if let Some(status) = self.operator.ended() {
            self.chronicle.note("ended by itself", &format!("{} with {status}", self.pod.name));
            self.chronicle.bury(&self.pod.name, &self.operator);
            sleep(Duration::from_millis(500)).await;
            self.operator = self.stage.start_as(&self.pod);
        }
    }

    async fn strike(&mut self, round: &Round, came: bool) {
        let moment = match round.moment {
            Moment::After(_) => "any moment".to_owned(),
            named if came => format!("{named:?}"),
            named => format!("{named:?} did not come"),
        };
        let deed = format!("{} at {}, {:?}", self.pod.name, self.stage.now(), round);
        let blow = match round.blow {
            Blow::Kill(successor) => format!("killed, then {successor:?}"),
            Blow::Pause(_) => "stopped, continued, killed".to_owned(),
            Blow::StolenLease(_) => "stopped, lease stolen, continued, killed".to_owned(),
        };
        self.chronicle.note(&format!("{blow} ({moment})"), &deed);
        match round.blow {
            Blow::Kill(Successor::SamePod) => self.kill(),
            Blow::Kill(Successor::NewPod) => {
                self.kill();
                self.free_lease().await;
                self.pod = self.pods.pop().unwrap();
            }
            Blow::Pause(pause) => {
                self.operator.signal(Signal::STOP).unwrap();
                sleep(pause).await;
                self.operator.signal(Signal::CONT).unwrap();
                sleep(CONTINUED).await;
                self.kill();
            }
            Blow::StolenLease(reign) => return self.overthrow(reign).await,
        }
        self.operator = self.stage.start_as(&self.pod);
    }

    /// Two operators, of which the older does not know yet that it leads no more.
    async fn overthrow(&mut self, reign: Duration) {
        self.operator.signal(Signal::STOP).unwrap();
        self.free_lease().await;
        let heir = self.pods.pop().unwrap();
        let young = self.stage.start_as(&heir);
        sleep(reign).await;
        self.operator.signal(Signal::CONT).unwrap();
        sleep(CONTINUED).await;
        self.kill();
        (self.pod, self.operator) = (heir, young);
    }

    fn kill(&mut self) {
        self.operator.kill().unwrap();
        self.chronicle.bury(&self.pod.name, &self.operator);
        self.kills += 1;
    }

    /// Takes the lease from its holder, so that nobody need wait until it runs out. The transitions stay.
    async fn free_lease(&self) {
        let leases: Api<Lease> = self.stage.namespace.api();
        wait_until("the lease is free", PATIENCE, async || {
            let mut lease = leases.get("tollkeeper").await?;
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = Some(String::new());
            }
            leases.replace("tollkeeper", &PostParams::default(), &lease).await
        })
        .await
        .unwrap();
    }

    fn faults(&self) -> String {
        format!("{}/_tollkeeper/faults", self.stage.aws_url())
    }

    fn list(&self) -> Value {
        let output = Command::new(Program::Tollkeeper.path().unwrap())
            .args(["report", "list", "--output", "json", "--namespace", self.stage.namespace.name()])
            .env("KUBECONFIG", self.stage.kubeconfig())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The hour after the one that `moment` is in, as reports write it.
fn hour_after(moment: Timestamp) -> String {
    let hour = 3600 * (moment.as_second().div_euclid(3600) + 1);
    Timestamp::from_second(hour).unwrap().to_string()
}

/// Fails while there is no report of `last`, or a record until then that is still to move.
async fn settled_through(stage: &Stage, last: &str) -> std::result::Result<(), String> {
    let reports = stage.observe().await.reports;
    let hour = |report: &Value| report["spec"]["hour"].as_str().unwrap().to_owned();
    if reports.last().map(hour).is_none_or(|newest| newest.as_str() < last) {
        return Err(format!("{} reports", reports.len()));
    }
    for report in reports.iter().filter(|report| hour(report).as_str() <= last) {
        for record in report["status"]["records"].as_array().unwrap() {
            if ["Sealed", "Sending", "Expired"].map(Value::from).contains(&record["state"]) {
                return Err(format!("{}: {record}", hour(report)));
            }
        }
    }
    Ok(())
}
