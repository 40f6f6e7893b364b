//! What an observer from outside sees of an operator's work: the points at which it can be hit.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, ResourceExt as _,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{interval, timeout},
};
use tollkeeper_control_plane::Stage;
use tollkeeper_kit::{Namespace, http_get};

use crate::Moment;

/// Between two looks into AWS's books: a twentieth of the time for which a reply is held back.
const LOOK: Duration = Duration::from_millis(50);

/// How often each thing has been seen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Counts {
    checkpointed: u64,
    sealed: u64,
    claimed: u64,
    taken: u64,
    settled: u64,
}

impl Counts {
    fn of(&self, moment: Moment) -> u64 {
        match moment {
            Moment::After(_) => 0,
            Moment::Checkpointed => self.checkpointed,
            Moment::Sealed => self.sealed,
            Moment::Claimed => self.claimed,
            Moment::Taken => self.taken,
            Moment::Settled => self.settled,
        }
    }
}

/// The signs of one site.
pub(crate) struct Signs {
    counts: watch::Sender<Counts>,
    namespace: Namespace,
    aws_url: String,
}

impl Signs {
    pub(crate) fn of(stage: &Stage) -> Self {
        Self {
            counts: watch::Sender::new(Counts::default()),
            namespace: stage.namespace.clone(),
            aws_url: stage.aws_url().to_owned(),
        }
    }

    /// Waits for the moment to come, counted from now; says whether it did.
    pub(crate) async fn wait_for(&self, moment: Moment, patience: Duration) -> bool {
        if let Moment::After(pause) = moment {
            tokio::time::sleep(pause).await;
            return true;
        }
        let before = self.counts.borrow().of(moment);
        let mut counts = self.counts.subscribe();
        timeout(patience, counts.wait_for(|now| now.of(moment) > before)).await.is_ok()
    }

    /// Looks until it is dropped, through outages of the API server.
    pub(crate) async fn watch(&self) {
        futures::join!(self.watch_reports(), self.watch_bindings(), self.watch_books());
    }

    async fn watch_reports(&self) {
        let mut phases: BTreeMap<String, String> = BTreeMap::new();
        follow(&self.namespace, "UsageReport", |report| {
            let phase = report.data["status"]["phase"].as_str().unwrap_or_default().to_owned();
            let before = phases.insert(report.name_any(), phase.clone());
            self.counts.send_if_modified(|counts| {
                counts.sealed += u64::from(before.is_none());
                let is_new = before.as_ref() != Some(&phase);
                counts.claimed += u64::from(is_new && phase == "Sending");
                counts.settled += u64::from(is_new && phase == "Settled");
                is_new
            });
        })
        .await;
    }

    async fn watch_bindings(&self) {
        let mut last = Value::Null;
        follow(&self.namespace, "LicenseBinding", |binding| {
            let at = &binding.data["status"]["checkpoint"]["at"];
            if *at != last {
                last = at.clone();
                self.counts.send_modify(|counts| counts.checkpointed += 1);
            }
        })
        .await;
    }

    async fn watch_books(&self) {
        let url = format!("{}/_tollkeeper/books", self.aws_url);
        let mut looks = interval(LOOK);
        loop {
            looks.tick().await;
            let Ok((_, text)) = http_get(&url).await else { continue };
            let books: Value = serde_json::from_str(&text).unwrap();
            let taken = books["accepted"].as_array().map_or(0, |records| records.len() as u64);
            self.counts.send_if_modified(|counts| std::mem::replace(&mut counts.taken, taken) != taken);
        }
    }
}

async fn follow(namespace: &Namespace, kind: &str, mut seen: impl FnMut(&DynamicObject)) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", kind));
    let api = Api::namespaced_with(namespace.client(), namespace.name(), &resource);
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
            seen(&object);
        }
    }
}
