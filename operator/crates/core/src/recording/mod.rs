//! The recording of one hour of one product: all that its numbers depend on, so that anybody can compute them again.
//!
//! A recording is JSON lines, usually compressed with gzip. The first line is the [`Header`], each further one an
//! [`Entry`] in the order of events. `run --record-inputs` writes recordings, `report replay` recomputes the sealed
//! report from them; a vendor's tools may write and read the same format. [`FORMAT`] names the version: a reader
//! refuses any other, and fields that a reader does not know are ignored. A [`tape`] is what is cut out of it for others.

pub mod tape;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::wire::{RecordedInput, RecordedProblem};
use crate::{
    hour::BillingHour,
    identity::{Digest, ObjectKey, ProductCode},
    input::Collected,
    plan::seal::LateUsage,
    plugin::PluginLimits,
    product::{AmbiguousPolicy, Binding, Dimension, Interval, LatePolicy, Meter, Mode, Policy, Product},
    report::SealedReport,
    usage::Tally,
};

/// The version of the format. It changes when an old reader would misunderstand a new recording.
pub const FORMAT: &str = "tollkeeper.dev/recording/v1";

/// The first line: what the recording is of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// The product.
    pub product: ObjectKey,
    /// The hour.
    pub hour: BillingHour,
}

impl Header {
    /// Of a product's hour, in the present format.
    pub fn new(product: ObjectKey, hour: BillingHour) -> Self {
        Self { format: FORMAT.to_owned(), product, hour }
    }
}

/// One event of the hour.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// The product, whenever it has changed; before the first tick.
    Terms(Terms),
    /// A binding as it was before its first recorded tick: at the hour's start, or after a restart.
    Start(Box<Start>),
    /// A tick that ran. Ticks that nobody ran have no entry.
    Tick(RecordedTick),
    /// The seal; the last entry.
    Seal(Box<Seal>),
}

/// What of a product decides an hour's numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// What AWS knows it by.
    pub code: ProductCode,
    /// Its dimensions.
    pub dimensions: Vec<Dimension>,
    /// Seconds between ticks.
    pub interval: u32,
    /// Digest of the plugin's component.
    pub plugin: Digest,
    /// What one call may use.
    pub limits: PluginLimits,
    /// Handed to the plugin, as JSON.
    pub config: String,
    /// What happens to usage that AWS takes no more.
    pub late: LatePolicy,
}

/// A binding and all that is known of it when its recording begins.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The binding.
    pub binding: Binding,
    /// What was measured before, as a checkpoint holds it; the plugin's state is in it.
    pub tally: Tally,
}

/// One tick.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordedTick {
    /// When it was due.
    pub at: Timestamp,
    /// Digest of the plugin that ran: a new one takes over at the next hour.
    pub plugin: Digest,
    /// The bindings that it ran for, by name; and why it was missed, where it was.
    pub bindings: BTreeMap<String, Option<String>>,
    /// What was collected, in the order of declaration, before it was narrowed to each binding.
    pub inputs: Vec<RecordedInput>,
    /// Inputs that were there in part only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<RecordedProblem>,
}

/// What the seal depended on, and what it came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Seal {
    /// Names the installation in client tokens.
    pub cluster: String,
    /// The report before: remainders come from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<SealedReport>,
    /// Late usage that no report carried yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateUsage>,
    /// The bindings that the product had, by name.
    pub bindings: BTreeSet<String>,
    /// The report that was sealed; `None` if nothing had to be said.
    pub report: Option<SealedReport>,
}

/// A whole recording.
#[derive(Clone, PartialEq, Debug)]
pub struct Recording {
    /// What it is of.
    pub header: Header,
    /// What happened.
    pub entries: Vec<Entry>,
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecording {
    /// It has no first line.
    #[error("the recording is empty")]
    Empty,
    /// Another format, or none.
    #[error("the recording has the format `{found}`, and {read} is read here")]
    Format {
        /// What it says.
        found: String,
        /// What was asked for.
        read: &'static str,
    },
    /// A line is not what the format says.
    #[error("line {line} of the recording cannot be read")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
}

impl Recording {
    /// Reads the lines of a recording.
    pub fn parse(text: &str) -> Result<Self, InvalidRecording> {
        let (header, entries) = parts(text, FORMAT)?;
        Ok(Self { header, entries })
    }

    /// How the hour was sealed; `None` if the recording ends before.
    pub fn seal(&self) -> Option<&Seal> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Seal(seal) => Some(seal.as_ref()),
            _ => None,
        })
    }
}

/// The first line and the others of a text in this format.
fn parts<H: DeserializeOwned, E: DeserializeOwned>(
    text: &str,
    read: &'static str,
) -> Result<(H, Vec<E>), InvalidRecording> {
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let damaged = |index: usize| move |cause| InvalidRecording::Line { line: index + 1, cause };
    let (index, first) = lines.next().ok_or(InvalidRecording::Empty)?;
    let Format { format } = serde_json::from_str(first).map_err(damaged(index))?;
    if format != read {
        return Err(InvalidRecording::Format { found: format.chars().take(80).collect(), read });
    }
    let header = serde_json::from_str(first).map_err(damaged(index))?;
    let entries = lines.map(|(index, line)| serde_json::from_str(line).map_err(damaged(index)));
    Ok((header, entries.collect::<Result<_, _>>()?))
}

/// A header or an entry as a line, with its newline.
pub fn line(part: &impl Serialize) -> String {
    // Texts, numbers and lists with texts as keys: turning them into JSON cannot fail.
    let mut line = serde_json::to_string(part).unwrap_or_default();
    line.push('\n');
    line
}

impl Terms {
    /// Of a product.
    pub fn of(product: &Product) -> Self {
        Self {
            code: product.code.clone(),
            dimensions: product.dimensions.clone(),
            interval: product.meter.interval.seconds(),
            plugin: product.meter.plugin.clone(),
            limits: product.meter.limits,
            config: product.meter.config.to_string(),
            late: product.policy.late,
        }
    }

    /// The product again. It declares no inputs, because it reads none, and sends nothing.
    pub fn product(&self, key: ObjectKey) -> Result<Product, crate::product::InvalidInterval> {
        Ok(Product {
            key,
            code: self.code.clone(),
            dimensions: self.dimensions.clone(),
            meter: Meter {
                interval: Interval::from_seconds(u64::from(self.interval))?,
                plugin: self.plugin.clone(),
                limits: self.limits,
                config: Arc::from(self.config.as_str()),
                inputs: vec![],
            },
            policy: Policy { ambiguous: AmbiguousPolicy::NeverDoubleBill, late: self.late },
            mode: Mode::Shadow,
        })
    }
}

impl RecordedTick {
    /// The inputs as they were collected.
    pub fn collected(&self) -> Collected {
        Collected {
            inputs: self.inputs.iter().map(RecordedInput::input).collect(),
            problems: self.problems.iter().map(RecordedProblem::problem).collect(),
        }
    }
}

/// Where a meter leaves what it saw. It must neither fail nor wait: a recording is a convenience, and a tick is not.
pub trait Recorder: Send + Sync {
    /// A binding's checkpoint has been read. What it was before counts no more, and neither does what was recorded of it.
    fn restored(&self, product: &ObjectKey, binding: &Binding, tally: &Tally);

    /// Before a tick runs: the product, and all of its bindings as they are.
    fn before(&self, product: &Product, tick: Timestamp, bindings: &[(&Binding, &Tally)]);

    /// After a tick has run.
    fn after(&self, product: &ObjectKey, tick: RecordedTick);

    /// An hour has been sealed.
    fn sealed(&self, product: &ObjectKey, hour: BillingHour, seal: Seal);
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
