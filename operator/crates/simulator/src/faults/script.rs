//! The script's format. An example with every condition:
//!
//! ```yaml
//! seed: 7                                # for `probability`; a seed given on the command line wins
//! faults:
//!   - name: the reply is lost            # shown in the books
//!     when: {operation: MeterUsage, productCode: abc, dimension: gb_hours, pod: 5f1c…, hour: "2026-11-21T14:00:00Z",
//!            from: "2026-11-21T15:00:00Z", to: "2026-11-21T16:00:00Z", nth: 3, every: 5, probability: 0.2, count: 10}
//!     effect: acceptThenDrop
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollkeeper_core::hour::BillingHour;

use super::effect::Effect;

/// The operations of the simulator.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// AWS Marketplace Metering.
    #[default]
    MeterUsage,
    /// CloudTrail.
    LookupEvents,
    /// STS.
    AssumeRoleWithWebIdentity,
}

/// Rules and the seed of their chances.
#[derive(Clone, PartialEq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultScript {
    /// Makes `probability` repeatable.
    #[serde(default)]
    pub seed: u64,
    /// Tried in this order.
    #[serde(default)]
    pub faults: Vec<FaultRule>,
}

/// Which calls go wrong, and how.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// For the books; the rule's number where it is left out.
    #[serde(default)]
    pub name: Option<String>,
    /// All conditions must hold; without any, every MeterUsage call.
    #[serde(default)]
    pub when: When,
    /// What happens.
    pub effect: Effect,
    /// Whether the call is done all the same; for `reset`, `html502`, `truncatedJson` and `error`.
    #[serde(default)]
    pub commit: Option<bool>,
}

/// The first six conditions select calls; `nth`, `every` and `probability` pick among the selected ones.
#[derive(Clone, PartialEq, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct When {
    /// The operation. Left out: MeterUsage, so that a script does the same with and without STS in front.
    pub operation: Operation,
    /// The request's product code.
    pub product_code: Option<String>,
    /// The request's dimension.
    pub dimension: Option<String>,
    /// The UID of the calling pod.
    pub pod: Option<String>,
    /// The hour of the request's timestamp.
    pub hour: Option<BillingHour>,
    /// Calls that arrive at this moment of the simulator's clock or later.
    pub from: Option<Timestamp>,
    /// Calls that arrive before this moment.
    pub to: Option<Timestamp>,
    /// The nth selected call, counted from 1; one number or a list.
    pub nth: Option<Nth>,
    /// Every so-many-th selected call.
    pub every: Option<u64>,
    /// The chance of each selected call, 0 to 1.
    pub probability: Option<f64>,
    /// At most so many calls in all.
    pub count: Option<u64>,
}

/// One number or several.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Nth {
    /// Only this one.
    One(u64),
    /// All of these.
    Several(Vec<u64>),
}

impl Nth {
    pub(crate) fn holds(&self, number: u64) -> bool {
        match self {
            Self::One(one) => *one == number,
            Self::Several(several) => several.contains(&number),
        }
    }
}

/// Why a script cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScriptError {
    /// Neither YAML nor JSON.
    #[error("the fault script is neither YAML nor JSON: {0}")]
    Syntax(String),
    /// A member that there is not, or a value that does not fit.
    #[error("the fault script is wrong: {0}")]
    Shape(String),
    /// A value out of its range, or one that does not go with the effect.
    #[error("the fault script is wrong in rule {0}: {1}")]
    Rule(usize, String),
}

impl FaultScript {
    /// Reads YAML, of which JSON is a part.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let value: Value =
            serde_yaml::from_str(text).map_err(|error| ScriptError::Syntax(error.to_string()))?;
        // An empty file is an empty script.
        let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
        let script: Self =
            serde_json::from_value(value).map_err(|error| ScriptError::Shape(error.to_string()))?;
        for (index, rule) in script.faults.iter().enumerate() {
            rule.check().map_err(|why| ScriptError::Rule(index.saturating_add(1), why))?;
        }
        Ok(script)
    }
}

impl FaultRule {
    pub(crate) fn commits(&self) -> bool {
        self.commit.unwrap_or_else(|| self.effect.commits())
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |holds: bool, why: &str| if holds { Err(why.to_owned()) } else { Ok(()) };
        let when = &self.when;
        wrong(
            when.probability.is_some_and(|chance| !(0.0..=1.0).contains(&chance)),
            "`probability` is not 0 to 1",
        )?;
        wrong(when.every == Some(0), "`every` is 0")?;
        wrong(when.nth.as_ref().is_some_and(|nth| nth.holds(0)), "`nth` counts from 1")?;
        wrong(
            matches!((when.from, when.to), (Some(from), Some(to)) if from >= to),
            "`from` is not before `to`",
        )?;
        wrong(
            self.commit.is_some() && !self.effect.leaves_commit_open(),
            &format!("`commit` does not go with `{}`", self.effect.name()),
        )
    }
}
