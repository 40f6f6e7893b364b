//! A product and a binding as the domain knows them: checked, complete, without Kubernetes.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    hour::HOUR_SECONDS,
    identity::{Digest, DimensionName, ObjectKey, ProductCode},
    input::InputDeclaration,
    plugin::{ConfiguredPlugin, PluginLimits},
    tags::TagSet,
    workload::Workload,
};

/// How a gauge becomes an hour's usage. Counters always add their increase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Fold {
    /// The values of all ticks, added.
    Sum,
    /// The largest value.
    Max,
    /// The mean over the ticks that have a value.
    Mean,
    /// The last value.
    Last,
    /// Value times hours.
    TimeWeighted,
}

/// What happens to the fraction of a unit at the seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Rounding {
    /// Down; the rest goes to the next hour.
    Carry,
    /// Up.
    Up,
    /// To the nearest unit, a half up.
    Nearest,
}

/// One dimension of a product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dimension {
    /// Its API name.
    pub name: DimensionName,
    /// How its gauges are folded.
    pub fold: Fold,
    /// How its hours are rounded.
    pub rounding: Rounding,
    /// Whether an hour without usage is reported as 0.
    pub zero_records: bool,
}

/// What to do with a claim whose outcome nobody knows, at its deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AmbiguousPolicy {
    /// Leave it unbilled and say so.
    NeverDoubleBill,
    /// Send it again.
    NeverUnderBill,
}

/// What to do with usage that AWS takes no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LatePolicy {
    /// Add it to the next hour.
    CarryForward,
    /// Give it up and say so.
    WriteOff,
    /// Keep it for a person to decide.
    Hold,
}

/// Whether records are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Mode {
    /// They are.
    Live,
    /// Everything but sending.
    Shadow,
}

/// Seconds between ticks: 10 to 3600, a divisor of an hour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Interval(u32);

/// Why an interval was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an interval of {0} s is not between 10 s and 3600 s and a divisor of one hour")]
pub struct InvalidInterval(pub u64);

impl Interval {
    /// From seconds.
    pub fn from_seconds(seconds: u64) -> Result<Self, InvalidInterval> {
        match u32::try_from(seconds) {
            Ok(short) if (10..=3600).contains(&short) && 3600 % short == 0 => Ok(Self(short)),
            _ => Err(InvalidInterval(seconds)),
        }
    }

    /// In seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// The tick at `moment`, or the last one before it.
    pub fn tick_at_or_before(self, moment: Timestamp) -> Timestamp {
        let step = i64::from(self.0);
        let second = moment.as_second().div_euclid(step) * step;
        Timestamp::from_second(second).unwrap_or(moment)
    }

    /// The tick after one.
    pub fn after(self, tick: Timestamp) -> Timestamp {
        Timestamp::from_second(tick.as_second().saturating_add(i64::from(self.0))).unwrap_or(Timestamp::MAX)
    }

    /// Ticks in an hour.
    pub fn ticks_an_hour(self) -> u32 {
        u32::try_from(HOUR_SECONDS).unwrap_or_default() / self.0
    }
}

/// How a product measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    /// Between ticks.
    pub interval: Interval,
    /// Digest of the plugin's component.
    pub plugin: Digest,
    /// What one call may use.
    pub limits: PluginLimits,
    /// Handed to the plugin, as JSON.
    pub config: Arc<str>,
    /// All that the plugin sees.
    pub inputs: Vec<InputDeclaration>,
}

impl Meter {
    /// What its readings rest on besides the inputs.
    pub fn configured_plugin(&self) -> ConfiguredPlugin {
        ConfiguredPlugin { plugin: self.plugin.clone(), config: Digest::of(self.config.as_bytes()) }
    }
}

/// What a product decided in advance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// For claims of unknown outcome.
    pub ambiguous: AmbiguousPolicy,
    /// For usage that came too late.
    pub late: LatePolicy,
}

/// A product that is metered.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Its object.
    pub key: ObjectKey,
    /// What AWS knows it by.
    pub code: ProductCode,
    /// Its dimensions.
    pub dimensions: Vec<Dimension>,
    /// How it measures.
    pub meter: Meter,
    /// Its policies.
    pub policy: Policy,
    /// Whether records are sent.
    pub mode: Mode,
}

impl Product {
    /// The dimension of this name.
    pub fn dimension(&self, name: &DimensionName) -> Option<&Dimension> {
        self.dimensions.iter().find(|dimension| &dimension.name == name)
    }

    /// What of it holds at a tick.
    pub fn rules(&self) -> Rules<'_> {
        Rules { interval: self.meter.interval, dimensions: &self.dimensions }
    }
}

/// What of a product holds at a tick.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rules<'a> {
    /// Until the next tick.
    pub interval: Interval,
    /// What is sold.
    pub dimensions: &'a [Dimension],
}

/// A binding that is metered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Binding {
    /// Its object.
    pub key: ObjectKey,
    /// Tells a deleted binding from a new one of the same name.
    pub uid: String,
    /// Whose usage it means.
    pub workload: Workload,
    /// Added to its readings' tags.
    pub tags: TagSet,
}

/// A duration as Kubernetes users write it: `500ms`, `60s`, `5m`, `2h`, or several together (`1h30m`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Duration);

/// Why a text is not a duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a duration such as 500ms, 60s, 5m or 2h")]
pub struct InvalidSpan(String);

impl std::str::FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSpan(text.chars().take(40).collect());
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
            let (number, tail) = rest.split_at(digits);
            let number: u32 = number.parse().map_err(|_| invalid())?;
            let (unit, tail) = ["ms", "s", "m", "h"]
                .iter()
                .find_map(|unit| tail.strip_prefix(unit).map(|tail| (*unit, tail)))
                .ok_or_else(invalid)?;
            let unit = match unit {
                "ms" => Duration::from_millis(1),
                "s" => Duration::from_secs(1),
                "m" => Duration::from_secs(60),
                _ => Duration::from_secs(3600),
            };
            total = unit.checked_mul(number).and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
            rest = tail;
        }
        if text.is_empty() { Err(invalid()) } else { Ok(Self(total)) }
    }
}

/// A number of bytes as Kubernetes users write it: `64Mi`, `1Gi`, `1048576`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteSize(pub u64);

/// Why a text is not a number of bytes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a number of bytes such as 64Mi or 1Gi")]
pub struct InvalidByteSize(String);

impl std::str::FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidByteSize(text.chars().take(40).collect());
        let units: BTreeMap<&str, u64> = BTreeMap::from([
            ("Ki", 1 << 10),
            ("Mi", 1 << 20),
            ("Gi", 1 << 30),
            ("k", 1_000),
            ("M", 1_000_000),
            ("G", 1_000_000_000),
        ]);
        let (number, unit) = units
            .iter()
            .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
            .unwrap_or((text, 1));
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_divides_the_hour() {
        assert_eq!(Interval::from_seconds(60).unwrap().ticks_an_hour(), 60);
        for seconds in [0, 9, 7, 3601, 7200, u64::MAX] {
            assert_eq!(Interval::from_seconds(seconds), Err(InvalidInterval(seconds)));
        }
    }

    #[test]
    fn ticks_lie_on_the_hour() {
        let interval = Interval::from_seconds(600).unwrap();
        let tick = interval.tick_at_or_before("2026-11-21T14:19:59.5Z".parse().unwrap());
        assert_eq!(tick.to_string(), "2026-11-21T14:10:00Z");
        assert_eq!(interval.after(tick).to_string(), "2026-11-21T14:20:00Z");
    }

    #[test]
    fn durations_and_sizes_read_as_in_kubernetes() {
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!("1h30m".parse(), Ok(Span(Duration::from_secs(5400))));
        assert!("60".parse::<Span>().is_err());
        assert!("".parse::<Span>().is_err());
        assert!("99999999999h".parse::<Span>().is_err());
        assert_eq!("64Mi".parse(), Ok(ByteSize(64 << 20)));
        assert_eq!("1000".parse(), Ok(ByteSize(1000)));
        assert!("-1Mi".parse::<ByteSize>().is_err());
        assert!("Mi".parse::<ByteSize>().is_err());
    }
}
