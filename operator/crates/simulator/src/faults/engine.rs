//! Decides, call by call, what goes wrong. Deterministic: the same calls at the same moments meet the same faults.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tollkeeper_core::hour::BillingHour;

use super::{
    effect::{Burst, Effect},
    script::{FaultRule, FaultScript, Operation},
};

/// What a rule can know of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) now: Timestamp,
    pub(crate) operation: Operation,
    pub(crate) product_code: Option<&'a str>,
    pub(crate) dimension: Option<&'a str>,
    pub(crate) hour: Option<BillingHour>,
    pub(crate) pod: Option<&'a str>,
}

/// What happens to one call.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Decision {
    /// Before the reply.
    pub(crate) delay: Duration,
    /// Instead of the reply, and whether the call is done.
    pub(crate) effect: Option<(Effect, bool)>,
}

/// A fault that was injected, for the books.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InjectedFault {
    /// The rule's name.
    pub rule: String,
    /// The effect's name.
    pub effect: &'static str,
    /// The call's operation.
    pub operation: Operation,
    /// The call's dimension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension: Option<String>,
    /// The hour of the call's timestamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<BillingHour>,
    /// The calling pod's UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Whether the call was done all the same.
    pub committed: bool,
    /// When.
    pub at: Timestamp,
}

/// The script and where each of its rules stands.
#[derive(Default, Debug)]
pub(crate) struct Engine {
    rules: Vec<RuleState>,
}

#[derive(Debug)]
struct RuleState {
    name: String,
    rule: FaultRule,
    chance: SplitMix,
    selected: u64,
    fired: u64,
    storm: Option<Storm>,
}

/// A throttle that goes on.
#[derive(Clone, Copy, Debug)]
enum Storm {
    Calls(u32),
    Until(Timestamp),
}

impl Engine {
    pub(crate) fn new(script: FaultScript) -> Self {
        let rules = script.faults.into_iter().zip(1_u64..).map(|(rule, number)| RuleState {
            name: rule.name.clone().unwrap_or_else(|| format!("rule {number}")),
            // Each rule has its own chances, so that adding one to a script leaves the others' as they were.
            chance: SplitMix(script.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93)),
            rule,
            selected: 0,
            fired: 0,
            storm: None,
        });
        Self { rules: rules.collect() }
    }

    pub(crate) fn decide(&mut self, call: &Call<'_>) -> (Decision, Vec<InjectedFault>) {
        let mut decision = Decision::default();
        let mut injected = Vec::new();
        for state in &mut self.rules {
            let free = decision.effect.is_none() || matches!(state.rule.effect, Effect::Delay(_));
            if !state.picks(call, free) {
                continue;
            }
            match &state.rule.effect {
                Effect::Delay(delay) => decision.delay = decision.delay.saturating_add(*delay),
                effect => decision.effect = Some((effect.clone(), state.rule.commits())),
            }
            injected.push(state.injected(call));
        }
        // A call that a rule only delays is done unless another rule says otherwise.
        let committed = decision.effect.as_ref().is_none_or(|(_, commits)| *commits);
        injected.iter_mut().for_each(|fault| fault.committed = committed);
        (decision, injected)
    }
}

impl RuleState {
    /// Counts and draws for every selected call, but acts only on one that is still free: that no earlier rule has decided.
    fn picks(&mut self, call: &Call<'_>, free: bool) -> bool {
        if !self.selects(call) {
            return false;
        }
        self.selected = self.selected.saturating_add(1);
        let when = &self.rule.when;
        // Drawn for every selected call, so that other conditions do not shift the chances.
        let lucky = when.probability.is_none_or(|chance| self.chance.next_fraction() < chance);
        if !free {
            return false;
        }
        if self.storm_goes_on(call.now) {
            return true;
        }
        let when = &self.rule.when;
        let picked = lucky
            && when.nth.as_ref().is_none_or(|nth| nth.holds(self.selected))
            && when.every.is_none_or(|every| self.selected.is_multiple_of(every))
            && when.count.is_none_or(|count| self.fired < count);
        if picked {
            self.fired = self.fired.saturating_add(1);
            self.storm = match self.rule.effect {
                Effect::Throttle(Burst::Calls(calls)) => Some(Storm::Calls(calls.saturating_sub(1))),
                Effect::Throttle(Burst::For(lasting)) => call.now.checked_add(lasting).ok().map(Storm::Until),
                _ => None,
            };
        }
        picked
    }

    fn selects(&self, call: &Call<'_>) -> bool {
        let when = &self.rule.when;
        let named = |wanted: &Option<String>, given: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| given == Some(wanted.as_str()))
        };
        when.operation == call.operation
            && named(&when.product_code, call.product_code)
            && named(&when.dimension, call.dimension)
            && named(&when.pod, call.pod)
            && when.hour.is_none_or(|hour| call.hour == Some(hour))
            && when.from.is_none_or(|from| from <= call.now)
            && when.to.is_none_or(|to| call.now < to)
    }

    fn storm_goes_on(&mut self, now: Timestamp) -> bool {
        match &mut self.storm {
            Some(Storm::Calls(left)) if *left > 0 => {
                *left = left.saturating_sub(1);
                true
            }
            Some(Storm::Until(end)) => now < *end,
            _ => false,
        }
    }

    fn injected(&self, call: &Call<'_>) -> InjectedFault {
        InjectedFault {
            rule: self.name.clone(),
            effect: self.rule.effect.name(),
            operation: call.operation,
            dimension: call.dimension.map(str::to_owned),
            hour: call.hour,
            pod: call.pod.map(str::to_owned),
            committed: false,
            at: call.now,
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a handful of integer operations whose stream no library update can change.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    /// Uniform in [0, 1), with the 53 bits that a double holds.
    fn next_fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    }
}
