//! `tollkeeper plugin record`: ticks of a cluster for the vendor's desk, without what the meter does not need.

mod cut;

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tollkeeper_core::{
    hour::BillingHour,
    product::Span,
    recording::{
        Recording,
        tape::{Tape, bindings},
    },
    redaction::{Keep, Place, Redactor},
};
use tollkeeper_ledger::recording;

use self::cut::Cut;
use super::deck::Deck;
use crate::cli::{
    Failure, Output, print,
    recorded::{Recorded, refusal},
};

/// How many of several choices are listed.
const LISTED: usize = 6;

/// Cut the ticks of a binding out of a recording, redact them, and check that the readings stay the same.
///
/// Recordings are made by `run --record-inputs`. Every text from the cluster is replaced, except where --keep says otherwise;
/// numbers stay. If the readings depend on a text, the command ends with 1 and names its place.
#[derive(Debug, Args)]
pub(crate) struct Record {
    #[command(flatten)]
    recorded: Recorded,
    /// The product, as NAME or NAMESPACE/NAME; needed if there are recordings of several.
    #[arg(long, env = "TOLLKEEPER_PRODUCT", value_name = "NAME")]
    product: Option<String>,
    /// The hour (RFC 3339); needed if there are recordings of several.
    #[arg(long, env = "TOLLKEEPER_HOUR", value_name = "TIME")]
    hour: Option<BillingHour>,
    /// The binding; needed if the product had several.
    #[arg(long, env = "TOLLKEEPER_BINDING", value_name = "NAME")]
    binding: Option<String>,
    /// This tick alone (RFC 3339), instead of all of the hour.
    #[arg(long, env = "TOLLKEEPER_TICK", value_name = "TIME")]
    tick: Option<Timestamp>,
    /// Texts that are not replaced: an input (`nodes`), a place in it (`nodes:name`, `nodes:labels.zone`, `pods:/status/phase`), all
    /// labels (`nodes:labels`), or the plugin's `state`.
    #[arg(long, env = "TOLLKEEPER_KEEP", value_name = "PLACE", value_delimiter = ',')]
    keep: Vec<Keep>,
    /// Time of a call, such as 10s, instead of the product's: for a machine that is slower than the cluster.
    #[arg(long, env = "TOLLKEEPER_TIME")]
    time: Option<Span>,
    /// The tape to write.
    #[arg(long, env = "TOLLKEEPER_TO", value_name = "FILE")]
    to: PathBuf,
    /// How to print what was done.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

impl Record {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let recording = self.recording()?;
        let mut tape = Tape::cut(&recording, &self.binding(&recording)?).map_err(Failure::new)?;
        let components = self.recorded.components()?;
        let deck = Deck::of(&components, &tape.header, self.time)?;
        deck.validate(&tape)?;
        let played = deck.play(&tape)?;
        let states = cut::states(&mut tape, &played)?;
        if let Some(at) = self.tick {
            cut::only(&mut tape, at, states)?;
        }
        let cut = Cut::new(&tape, &deck)?;
        let kept = self.kept(&cut.redactor);
        let Some(mut redacted) = cut.redacted(&kept)? else {
            return Err(Failure::new(cut.refusal(&kept)?));
        };
        let ran: BTreeSet<_> = redacted.ticks.iter().map(|tick| &tick.plugin).collect();
        redacted.components = components.into_iter().filter(|(digest, _)| ran.contains(digest)).collect();
        recording::write_tape(&self.to, &redacted)
            .map_err(|error| Failure::new(format!("{error}; name a file that can be written with --to")))?;
        self.report(&redacted, &kept, cut.redactor.replaced(&kept))
    }

    /// The one recording that is meant.
    fn recording(&self) -> Result<Recording, Failure> {
        let mut meant = None;
        let (mut matching, mut others) = (Vec::new(), Vec::new());
        for path in self.recorded.files()? {
            let recording = recording::read(&path).map_err(|error| {
                Failure::new(format!(
                    "{}; a recording is what `tollkeeper run --record-inputs` writes",
                    refusal(&error)
                ))
            })?;
            let header = &recording.header;
            let name = format!("{} of {}", header.hour, header.product);
            let is_product = self
                .product
                .as_ref()
                .is_none_or(|wanted| *wanted == header.product.name || *wanted == header.product.to_string());
            if is_product && self.hour.is_none_or(|wanted| wanted == header.hour) {
                matching.push(name);
                meant = Some(recording);
            } else {
                others.push(name);
            }
        }
        match (matching.as_slice(), meant) {
            ([_], Some(recording)) => Ok(recording),
            ([], _) => Err(Failure::new(format!(
                "none of the recordings is of that product and hour; there are {}",
                listed(&others)
            ))),
            _ => Err(Failure::new(format!(
                "there are {} recordings, {}; choose one with --hour and --product",
                matching.len(),
                listed(&matching)
            ))),
        }
    }

    fn binding(&self, recording: &Recording) -> Result<String, Failure> {
        let there: Vec<String> = bindings(recording).into_iter().collect();
        match (&self.binding, there.as_slice()) {
            (Some(wanted), _) => Ok(wanted.clone()),
            (None, [only]) => Ok(only.clone()),
            (None, []) => Err(Failure::new("the recording has no tick; take another hour")),
            (None, several) => Err(Failure::new(format!(
                "the product had several bindings, {}; choose one with --binding",
                listed(several)
            ))),
        }
    }

    /// The places that --keep names.
    fn kept(&self, redactor: &Redactor) -> BTreeSet<Place> {
        let places = redactor.groups().into_iter().flatten().chain([Place::state()]);
        places.filter(|place| self.keep.iter().any(|keep| keep.covers(place))).collect()
    }

    fn report(&self, tape: &Tape, kept: &BTreeSet<Place>, replaced: usize) -> Result<(), Failure> {
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        let header = &tape.header;
        match self.output {
            Output::Json => print::json(&json!({
                "file": self.to,
                "namespace": header.product.namespace,
                "product": header.product.name,
                "binding": header.binding,
                "hour": header.hour,
                "ticks": tape.ticks.iter().map(|tick| json!({
                    "at": tick.at, "plugin": tick.plugin, "missed": tick.missed,
                })).collect::<Vec<Value>>(),
                "replacedTexts": replaced,
                "kept": kept,
            })),
            Output::Text => {
                let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
                let ticks = match tape.ticks.len() {
                    1 => "1 tick".to_owned(),
                    several => format!("{several} ticks"),
                };
                print::text(format_args!(
                    "{}: {ticks} of the binding {} of {}, hour {}\n{replaced} texts are replaced, and the readings are the same; \
                     kept: {kept}\n",
                    self.to.display(),
                    header.binding,
                    header.product,
                    header.hour,
                ))
            }
        }
    }
}

fn listed(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    let rest =
        if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    first.join(", ") + &rest
}
