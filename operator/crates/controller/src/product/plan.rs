//! What a product's reconciliation comes to: pure, and it cannot fail.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tollkeeper_api::{
    convert::CheckedProduct,
    product::{Delivery, Pricing},
};
use tollkeeper_core::{identity::ObjectKey, product::Binding};

use super::observe::{Observed, ObservedBinding};
use crate::{
    attention::{INVARIANT_BROKEN, RECORD_AMBIGUOUS, by_reason, joined},
    conditions::{Verdict, Voice, ready},
    meter::{Finding, Successor},
    roster::ProductProgress,
};

pub(super) const PLUGIN_READY: &str = "PluginReady";
pub(super) const INPUTS_READY: &str = "InputsReady";
pub(super) const METERING: &str = "Metering";

/// A deleted product is let go this long after its deletion was seen, whatever is open: AWS takes nothing any more.
const LONGEST_FAREWELL: SignedDuration = SignedDuration::from_hours(7);

/// What to do with the product's finalizer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finalizer {
    Keep,
    Add,
    Remove,
}

/// What a reconciliation comes to.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Plan {
    /// The bindings to meter and whether each is ending; `None` if the product is not metered.
    pub(super) metering: Option<Vec<(Binding, bool)>>,
    /// Bindings that stay unmetered, and the older one in their way.
    pub(super) overlapping: BTreeMap<ObjectKey, ObjectKey>,
    pub(super) finalizer: Finalizer,
    pub(super) verdicts: Vec<Verdict>,
}

/// Plans.
pub(super) fn plan(observed: &Observed) -> Plan {
    let overlapping = overlapping(&observed.bindings);
    let refusal = refusal(observed);
    let is_sound = refusal.is_none();
    let is_meterable = is_sound
        && match &observed.plugin {
            Some(Ok(_)) => true,
            // A product whose meter runs goes on with it while its new plugin cannot be used.
            Some(Err(_)) => observed.progress.is_metered,
            None => false,
        };
    let metering = is_meterable.then(|| {
        let is_over = |one: &ObservedBinding| {
            one.is_ending || observed.is_deleted || overlapping.contains_key(&one.binding.key)
        };
        // One that overlaps may have been measured before: what is open of it is sealed.
        observed.bindings.iter().map(|one| (one.binding.clone(), is_over(one))).collect()
    });
    let finalizer = finalizer(observed, metering.is_some(), is_sound);
    let verdicts = match refusal {
        Some(verdict) => vec![Verdict { aspect: crate::conditions::READY, ..verdict }],
        None => verdicts(observed),
    };
    Plan { metering, overlapping, finalizer, verdicts }
}

/// The bindings that are not measured, with the older one in their way.
fn overlapping(bindings: &[ObservedBinding]) -> BTreeMap<ObjectKey, ObjectKey> {
    let mut by_age: Vec<&ObservedBinding> = bindings.iter().collect();
    by_age.sort_by_key(|one| (one.created.clone().map(|time| time.0), one.binding.key.clone()));
    let mut admitted: Vec<&ObservedBinding> = Vec::new();
    let mut overlapping = BTreeMap::new();
    for one in by_age {
        let older = admitted.iter().find(|older| {
            !older.is_ending && !one.is_ending && older.binding.workload.may_overlap(&one.binding.workload)
        });
        match older {
            Some(older) => {
                overlapping.insert(one.binding.key.clone(), older.binding.key.clone());
            }
            None => admitted.push(one),
        }
    }
    overlapping
}

/// Why the product is not metered at all.
fn refusal(observed: &Observed) -> Option<Verdict> {
    let checked = match &observed.checked {
        Ok(checked) => checked,
        Err(error) => return Some(Verdict::fails(METERING, error.reason(), error.to_string())),
    };
    if checked.delivery == Delivery::SaaS {
        return Some(Verdict::fails(
            METERING,
            "DeliveryNotSupported",
            "products with delivery SaaS are not metered by this version; use Container",
        ));
    }
    let rival = observed.rival.as_ref()?;
    Some(Verdict::fails(
        METERING,
        "ProductCodeTaken",
        format!(
            "the older product {rival} has the same product code; AWS would take only the first record of both: remove one"
        ),
    ))
}

fn finalizer(observed: &Observed, is_metered: bool, is_sound: bool) -> Finalizer {
    let progress = &observed.progress;
    // Nobody has read it while the plugin cannot be had; without a meter nobody ever will.
    let has_meter = is_sound && observed.plugin.is_some();
    let is_unread =
        |one: &ObservedBinding| one.has_checkpoint && !progress.bindings.contains_key(&one.binding.key);
    let is_done = !observed.is_owed
        && progress.bindings.values().all(|binding| !binding.has_open_hours)
        && !(has_meter && observed.bindings.iter().any(is_unread));
    let is_over =
        observed.deleted_since.is_some_and(|since| observed.now.duration_since(since) >= LONGEST_FAREWELL);
    match (observed.is_deleted, observed.has_finalizer) {
        (false, false) if is_metered => Finalizer::Add,
        (true, true) if is_done || is_over => Finalizer::Remove,
        _ => Finalizer::Keep,
    }
}

fn verdicts(observed: &Observed) -> Vec<Verdict> {
    let parts = [plugin_ready(observed), inputs_ready(observed), metering(observed)];
    let verdict = ready(&parts, "usage is measured and billed");
    [verdict].into_iter().chain(parts).collect()
}

fn plugin_ready(observed: &Observed) -> Verdict {
    match &observed.plugin {
        None => {
            Verdict::holds(PLUGIN_READY, "NotNeeded", "the product has no meter").with_voice(Voice::Silent)
        }
        Some(Err(finding)) => refused(finding, observed),
        Some(Ok(loaded)) => {
            let manifest = loaded.plugin.manifest();
            let name = format!("{} {}", manifest.name, manifest.version);
            match &observed.progress.findings.successor {
                Some(Successor { digest, problem }) if *digest == loaded.digest => match problem {
                    Some(problem) => refused(problem, observed),
                    None => {
                        Verdict::holds(PLUGIN_READY, "Loaded", format!("{name} takes over at the next hour"))
                    }
                },
                _ => Verdict::holds(PLUGIN_READY, "Loaded", name),
            }
        }
    }
}

/// The product's plugin cannot be used; one that measures already goes on. Then both are named: the status shows the old one.
fn refused(finding: &Finding, observed: &Observed) -> Verdict {
    let mut message = finding.message.clone();
    let running = observed.progress.findings.plugin.as_ref().filter(|_| observed.progress.is_metered);
    let metered = observed.checked.as_ref().ok().and_then(|checked| checked.metered.as_ref());
    if let (Some(running), Some(metered)) = (running, metered) {
        let named = &metered.product.meter.plugin;
        message = format!("{named} is not used: {message}; {running} measures on");
    }
    Verdict::fails(PLUGIN_READY, finding.reason, message)
}

fn inputs_ready(observed: &Observed) -> Verdict {
    let findings = &observed.progress.findings;
    let joined = |problems: &BTreeMap<String, String>| {
        problems.iter().map(|(input, why)| format!("{input}: {why}")).collect::<Vec<_>>().join("; ")
    };
    if observed.plugin.is_none() {
        Verdict::holds(INPUTS_READY, "NotNeeded", "the product has no meter").with_voice(Voice::Silent)
    } else if !findings.unavailable_inputs.is_empty() {
        Verdict::fails(INPUTS_READY, "InputUnavailable", joined(&findings.unavailable_inputs))
    } else if !findings.partial_inputs.is_empty() {
        Verdict::fails(INPUTS_READY, "InputIncomplete", joined(&findings.partial_inputs))
    } else if findings.has_ticked {
        Verdict::holds(INPUTS_READY, "Collected", "every input could be read").with_voice(Voice::Silent)
    } else {
        Verdict::unknown(INPUTS_READY, "NotCollected", "no tick has been due yet")
    }
}

fn metering(observed: &Observed) -> Verdict {
    if observed.plugin.is_none() {
        return Verdict::holds(METERING, "NotNeeded", "the product has no meter").with_voice(Voice::Silent);
    }
    if let Some(finding) = problem(observed) {
        return Verdict::fails(METERING, finding.reason, finding.message);
    }
    let findings = &observed.progress.findings;
    let is_shadow = observed.checked.as_ref().is_ok_and(is_shadow);
    if !findings.dropped_tag_keys.is_empty() {
        let keys: Vec<_> = findings.dropped_tag_keys.iter().map(String::as_str).collect();
        let message = format!("a record has at most five tag keys; these were dropped: {}", keys.join(", "));
        return Verdict::holds(METERING, "TagsDropped", message).with_voice(Voice::Warning);
    }
    match (findings.has_ticked, is_shadow) {
        (true, false) => Verdict::holds(METERING, "Metered", "ticks run and hours are settled"),
        (true, true) => Verdict::holds(METERING, "Shadow", "ticks run and hours are sealed; nothing is sent"),
        (false, _) => Verdict::unknown(METERING, "Starting", "no tick has been due yet"),
    }
}

fn is_shadow(checked: &CheckedProduct) -> bool {
    checked
        .metered
        .as_ref()
        .is_some_and(|metered| metered.product.mode == tollkeeper_core::product::Mode::Shadow)
}

/// What a person should look at in the ledger, with what CloudTrail says or does not say about ambiguous records.
fn attention(progress: &ProductProgress) -> impl Iterator<Item = Finding> {
    progress.attention.iter().cloned().map(|finding| match &progress.evidence {
        Some(evidence) if finding.reason == RECORD_AMBIGUOUS => {
            Finding { message: format!("{}; {}", finding.message, evidence.message), ..finding }
        }
        _ => finding,
    })
}

/// All that is wrong with the metering of a product, by the reason that costs most.
fn problem(observed: &Observed) -> Option<Finding> {
    let progress = &observed.progress;
    let findings = &progress.findings;
    let is_paid = observed.checked.as_ref().is_ok_and(|checked| checked.pricing != Pricing::Free);
    let is_unbound = observed.bindings.iter().all(|one| one.is_ending);
    let no_binding = is_unbound.then(|| Finding {
        reason: "NoBinding",
        message: "no LicenseBinding names this product, so nothing of it is metered; create one".to_owned(),
    });
    let missed = findings.missed.iter().map(|(binding, finding)| Finding {
        reason: finding.reason,
        message: format!("the last tick of {binding} was missed: {}", finding.message),
    });
    let (broken, attention): (Vec<_>, Vec<_>) =
        attention(progress).partition(|finding| finding.reason == INVARIANT_BROKEN);
    let all = broken
        .into_iter()
        .chain(findings.clock.clone())
        .chain(findings.storage.clone())
        .chain(progress.unread.clone())
        .chain(observed.blocked.clone().filter(|_| is_paid))
        .chain(attention)
        .chain(findings.sealed.clone())
        .chain(progress.bookkeeping.clone())
        .chain(no_binding)
        .chain(missed);
    joined(by_reason(all))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
