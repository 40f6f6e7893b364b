//! What is to be done about a binding, and what is to be said about it: decided without I/O, from what was observed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tollkeeper_api::SETTLE_FINALIZER;

use super::{
    access::{self, ACCESS_PROVISIONED},
    objects::{Content, Found, ObjectId},
    observe::{DELETION_ANNOTATION, Observed, PROVISIONED_ANNOTATION, Subject},
    settle::{self, Departure, SETTLED},
};
use crate::{
    conditions::{READY, Verdict, find},
    work::Next,
};

/// The condition about the license.
pub const ENTITLED: &str = "Entitled";

/// AWS's name for a buyer without a license.
const NOT_ENTITLED: &str = "CustomerNotEntitledException";

/// Why a binding is not measured although it should be.
const OVERLAP: &str = "WorkloadOverlap";

/// A write.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Creates an object that is not there.
    Create {
        /// Which.
        id: ObjectId,
        /// What it holds.
        content: Content,
    },
    /// Makes an object of ours what it should be, if nobody has changed it since it was found.
    Repair {
        /// Which.
        id: ObjectId,
        /// What it is to hold.
        content: Content,
        /// As it was found.
        found: Found,
    },
    /// Deletes an object of ours, if nobody has changed it since it was found.
    Delete {
        /// Which.
        id: ObjectId,
        /// Its UID.
        uid: String,
        /// Its version.
        version: String,
    },
}

/// What the binding's own metadata are to become before anything else happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// All finalizers.
    pub finalizers: Vec<String>,
    /// Annotations that change.
    pub annotations: BTreeMap<&'static str, Option<String>>,
}

/// What is to be said. `None` leaves a condition as it is, because nothing is known yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdicts {
    /// What keeps the binding from being ready besides its conditions.
    pub gate: Vec<Verdict>,
    /// `AccessProvisioned`, once every step has been done.
    pub access: Option<Verdict>,
    /// `Entitled`.
    pub entitled: Option<Verdict>,
    /// `Settled`.
    pub settled: Option<Verdict>,
    /// Whether enough is known to say that the binding is ready.
    pub is_all_known: bool,
}

/// What is to be done and said.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// First, the binding's own metadata.
    pub mark: Option<Mark>,
    /// Then these.
    pub steps: Vec<Step>,
    /// Then, whether to let a deleted binding go.
    pub is_release: bool,
    /// At last, what to say.
    pub verdicts: Verdicts,
    /// When to look again.
    pub next: Next,
}

/// Plans.
pub fn plan(observed: &Observed, now: Timestamp) -> Plan {
    if !observed.subject.is_deleting {
        return stay(observed, now);
    }
    match settle::departure(observed, now) {
        Departure::Wait { verdict, until } => wait(observed, now, verdict, until),
        Departure::Go { verdict } => leave(observed, verdict),
    }
}

fn stay(observed: &Observed, now: Timestamp) -> Plan {
    let mut verdicts = Verdicts {
        gate: gate(observed),
        access: None,
        entitled: entitled(observed),
        settled: settle::settled(observed, now),
        is_all_known: is_all_known(observed),
    };
    match &observed.spec {
        Ok(spec) => {
            let provision = access::provision(observed, spec);
            verdicts.access = Some(provision.verdict);
            let finalizers = with_finalizer(&observed.subject);
            let mark = mark(&observed.subject, finalizers, &provision.provisioned, None);
            Plan { mark, steps: provision.steps, is_release: false, verdicts, next: Next::OnChange }
        }
        Err(_) => {
            let message = "the specification is not usable; what was provisioned before is left as it is";
            verdicts.access = Some(Verdict::unknown(ACCESS_PROVISIONED, "InvalidSpec", message));
            Plan { mark: None, steps: vec![], is_release: false, verdicts, next: Next::OnChange }
        }
    }
}

/// A deleted binding whose usage is not settled: nothing of it changes but what is said about it.
fn wait(observed: &Observed, now: Timestamp, verdict: Verdict, until: Timestamp) -> Plan {
    let subject = &observed.subject;
    let seen = subject.deletion_seen.unwrap_or(now);
    let verdicts = Verdicts {
        gate: vec![Verdict::waits(READY, "Terminating", "the binding is being deleted")],
        access: None,
        entitled: entitled(observed),
        settled: Some(verdict),
        is_all_known: true,
    };
    // Not for one that nobody asked Tollkeeper to hold.
    let mark = holds_finalizer(subject)
        .then(|| mark(subject, subject.finalizers.clone(), &subject.provisioned, Some(seen)))
        .flatten();
    Plan { mark, steps: vec![], is_release: false, verdicts, next: Next::At(until) }
}

fn leave(observed: &Observed, verdict: Verdict) -> Plan {
    let is_held = holds_finalizer(&observed.subject);
    let verdicts = Verdicts {
        gate: vec![],
        access: None,
        entitled: entitled(observed),
        settled: Some(verdict),
        is_all_known: false,
    };
    let steps = if is_held { access::withdraw(observed) } else { vec![] };
    Plan { mark: None, steps, is_release: is_held, verdicts, next: Next::OnChange }
}

fn gate(observed: &Observed) -> Vec<Verdict> {
    let spec = match &observed.spec {
        Err(problem) => return vec![Verdict::fails(READY, problem.reason, problem.message.clone())],
        Ok(spec) => spec,
    };
    let mut gate = Vec::new();
    if let Some(product) = observed.product.as_ref().filter(|product| !product.exists) {
        let message =
            format!("there is no MarketplaceProduct {} in this namespace; create it", product.key.name);
        gate.push(Verdict::fails(READY, "ProductNotFound", message));
    }
    let overlapping = observed.progress.as_ref().map(|progress| &progress.overlapping);
    if let Some(older) = overlapping.and_then(|overlapping| overlapping.get(&observed.subject.key)) {
        let message = format!(
            "the older binding {older} means the same workload and measures it; narrow spec.workload of one of them"
        );
        gate.push(Verdict::fails(READY, OVERLAP, message));
    }
    if spec.suspended {
        gate.push(Verdict::waits(READY, "Suspended", "spec.suspended is true"));
    }
    gate
}

/// Until licenses are asked for, only AWS's refusal of usage tells. `None` if that is not known yet.
fn entitled(observed: &Observed) -> Option<Verdict> {
    if observed.known_progress().is_none() && find(observed.conditions(), ENTITLED).is_some() {
        return None;
    }
    let mut attention = observed.progress.iter().flat_map(|progress| &progress.attention);
    Some(match attention.find(|finding| finding.reason == NOT_ENTITLED) {
        Some(finding) => Verdict::fails(ENTITLED, finding.reason, finding.message.clone()),
        None => Verdict::unknown(ENTITLED, "NotChecked", "AWS has not been asked about the license"),
    })
}

/// After a restart, nothing is known of a product that is metered until its meter has run. A binding that was not ready
/// because of something that has to be learned again stays so.
fn is_all_known(observed: &Observed) -> bool {
    let conditions = observed.conditions();
    let Some(ready) = find(conditions, READY) else { return true };
    let is_cause = |aspect| {
        find(conditions, aspect).is_some_and(|part| part.status != "True" && part.reason == ready.reason)
    };
    let is_unheard = observed.known_progress().is_none() && (is_cause(ENTITLED) || is_cause(SETTLED));
    !is_unheard && (observed.progress.is_some() || ready.reason != OVERLAP)
}

fn holds_finalizer(subject: &Subject) -> bool {
    subject.finalizers.iter().any(|finalizer| finalizer == SETTLE_FINALIZER)
}

fn with_finalizer(subject: &Subject) -> Vec<String> {
    let ours = (!holds_finalizer(subject)).then(|| SETTLE_FINALIZER.to_owned());
    subject.finalizers.iter().cloned().chain(ours).collect()
}

fn mark(
    subject: &Subject,
    finalizers: Vec<String>,
    provisioned: &BTreeSet<ObjectId>,
    seen: Option<Timestamp>,
) -> Option<Mark> {
    let mut annotations = BTreeMap::new();
    if *provisioned != subject.provisioned {
        let names: Vec<String> = provisioned.iter().map(ToString::to_string).collect();
        annotations.insert(PROVISIONED_ANNOTATION, (!names.is_empty()).then(|| names.join(",")));
    }
    if let Some(seen) = seen.filter(|seen| subject.deletion_seen != Some(*seen)) {
        annotations.insert(DELETION_ANNOTATION, Some(seen.to_string()));
    }
    let is_new = finalizers != subject.finalizers || !annotations.is_empty();
    is_new.then_some(Mark { finalizers, annotations })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
