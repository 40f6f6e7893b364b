//! State: how many different users an hour or a day has seen. With `fold: Max` the last tick of the hour decides.
//!
//! Names are remembered, so that a user who comes back is not counted again. At most 64 KiB of them fit; what is more is a
//! failure of the tick, and never too small a number.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tollkeeper_meter::{Amount, Failure, Inputs, Meter, Outcome, Tick, export};

struct ActiveUsers;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    period: Period,
}

/// How long a user counts once.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Period {
    #[default]
    Hour,
    Day,
}

/// What the product says at `http`.
#[derive(Deserialize)]
struct Activity {
    /// Who has been active lately.
    users: Vec<String>,
}

/// What one tick tells the next.
#[derive(Default, Serialize, Deserialize)]
struct Seen {
    period: String,
    users: BTreeSet<String>,
}

impl Meter for ActiveUsers {
    type Config = Config;
    const DIMENSIONS: &'static [&'static str] = &["active_users"];
    const INPUTS: &'static [&'static str] = &["activity"];
    const CONFIG_SCHEMA: &'static str = r#"{
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "period": {
                "description": "How long a user counts once.",
                "enum": ["hour", "day"],
                "default": "hour"
            }
        }
    }"#;

    fn measure(tick: &Tick<Config>, inputs: &Inputs) -> Result<Outcome, Failure> {
        let activity: Activity = inputs.json("activity")?;
        let period = match tick.config.period {
            Period::Hour => tick.hour(),
            Period::Day => tick.day(),
        };
        let mut seen: Seen = tick.recall()?;
        if seen.period != period {
            seen = Seen { period: period.into(), users: BTreeSet::new() };
        }
        seen.users.extend(activity.users);

        let mut outcome = Outcome::new();
        outcome.gauge("active_users", seen.users.iter().map(|_| Amount::units(1)).sum(), []);
        outcome.remember(&seen)?;
        Ok(outcome)
    }
}

export!(ActiveUsers);

#[cfg(test)]
mod tests {
    use tollkeeper_meter::Data;

    use super::*;

    fn measured(at: &str, state: Vec<u8>, users: &str) -> (Vec<String>, Vec<u8>) {
        let tick =
            Tick { at: at.into(), seconds: 60, product: "example".into(), config: Config::default(), state };
        let inputs = Inputs::default().with("activity", Data::Json(format!(r#"{{"users": [{users}]}}"#)));
        let outcome = ActiveUsers::measure(&tick, &inputs).unwrap();
        (outcome.lines(), outcome.into_state())
    }

    #[test]
    fn a_user_who_comes_back_is_not_counted_again() {
        let (lines, state) = measured("2026-11-21T14:00:00Z", Vec::new(), r#""ann", "bob""#);
        assert_eq!(lines, ["active_users 2.000000"]);
        let (lines, _) = measured("2026-11-21T14:01:00Z", state, r#""bob", "eve""#);
        assert_eq!(lines, ["active_users 3.000000"]);
    }

    #[test]
    fn a_new_hour_begins_with_nobody() {
        let (_, state) = measured("2026-11-21T14:59:00Z", Vec::new(), r#""ann", "bob""#);
        let (lines, _) = measured("2026-11-21T15:00:00Z", state, r#""bob""#);
        assert_eq!(lines, ["active_users 1.000000"]);
    }
}
