//! What a plugin does with inputs: those of a trace where there is one, made-up ones otherwise, and the worst of both.

use std::{cell::OnceCell, collections::BTreeSet};

use jiff::Timestamp;
use tollkeeper_core::{
    input::{Input, InputData},
    plugin::PluginFailure,
    reading::Measurement,
};

use super::{Finding, made_up};
use crate::cli::plugin::{
    outcome::Played,
    play::Play,
    setting::Setting,
    subject::{Subject, tick},
};

type Outcome = Result<Measurement, PluginFailure>;

/// When the made-up ticks happen.
const MOMENT: Timestamp = Timestamp::constant(1_793_491_200, 0);

/// Ticks of a trace that are run twice: enough to meet every kind of line, few enough for a long trace.
const TWICE: usize = 200;

/// A plugin under test.
pub(super) struct Bench<'a> {
    subject: &'a Subject,
    /// The same plugin where what looks random comes out otherwise.
    twin: &'a Subject,
    setting: &'a Setting,
    play: Option<&'a Play>,
    played: OnceCell<Vec<Played>>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        subject: &'a Subject,
        twin: &'a Subject,
        setting: &'a Setting,
        play: Option<&'a Play>,
    ) -> Self {
        Self { subject, twin, setting, play, played: OnceCell::new() }
    }

    /// The checks, in their order.
    pub(super) fn checks(&self) -> Vec<fn(&Self) -> Finding> {
        let mut checks: Vec<fn(&Self) -> Finding> = vec![
            Self::config,
            Self::unknown_config,
            Self::no_inputs,
            Self::unavailable_inputs,
            Self::empty_inputs,
            Self::odd_values,
            Self::huge_inputs,
            Self::determinism,
            Self::state,
            Self::dimensions,
        ];
        if self.play.is_some() {
            checks.push(Self::trace);
        }
        checks
    }

    fn measure(&self, state: &[u8], inputs: Vec<Input>) -> Outcome {
        self.subject.measure(tick(self.setting, MOMENT, state), inputs)
    }

    /// Every input of the manifest, or of the product, with the same data.
    fn all(&self, data: &InputData) -> Vec<Input> {
        let named = self.subject.manifest().inputs.clone();
        let declared = self.setting.inputs.iter().flatten().map(|input| input.name.clone());
        let names: BTreeSet<String> = named.into_iter().chain(declared).collect();
        names.into_iter().map(|name| Input { name, data: data.clone() }).collect()
    }

    /// The last inputs of the trace that the plugin could measure.
    fn known(&self) -> Option<Vec<Input>> {
        self.play?.frames().map(|(_, inputs)| inputs).filter(|inputs| is_available(inputs)).last()
    }

    fn played(&self) -> &[Played] {
        self.played
            .get_or_init(|| self.play.map(|play| play.run(self.subject, self.setting)).unwrap_or_default())
    }

    /// Whether there is a trace, and a tick of it that was measured.
    fn is_measured(&self) -> bool {
        self.played().iter().any(|tick| tick.outcome.is_ok())
    }

    fn config(&self) -> Finding {
        const NAME: &str = "config";
        for garbage in ["", "{", "[]", "null", "\u{0}"] {
            if let Err(failure) = self.subject.validate(garbage)
                && is_crash(&failure)
            {
                let message =
                    format!("asked about the configuration `{}`, {failure}", garbage.escape_default());
                return Finding::failed(NAME, message, "return an error for what is not a configuration");
            }
        }
        match self.subject.validate(&self.setting.config) {
            Ok(()) => Finding::passed(NAME, format!("it takes {}", self.setting.config)),
            Err(failure) => Finding::failed(
                NAME,
                failure.to_string(),
                "name a product with --product or a configuration with --config that it takes",
            ),
        }
    }

    fn unknown_config(&self) -> Finding {
        const NAME: &str = "unknown-config";
        match self.subject.validate(r#"{"tollkeeper-check": true}"#) {
            Err(PluginFailure::InvalidConfig(why)) => Finding::passed(NAME, why),
            Ok(()) => Finding::warned(
                NAME,
                "it takes a key that it cannot know",
                "refuse unknown keys of the configuration: a typing error would change a bill without a word",
            ),
            Err(failure) => {
                Finding::failed(NAME, failure.to_string(), "return an error for what it does not know")
            }
        }
    }

    fn no_inputs(&self) -> Finding {
        survives("no-inputs", [self.measure(&[], vec![])], "an input that is not there is `missing-input`")
    }

    fn unavailable_inputs(&self) -> Finding {
        const NAME: &str = "unavailable-inputs";
        let inputs = self.all(&InputData::Unavailable("made up by tollkeeper plugin check".to_owned()));
        if inputs.is_empty() {
            return Finding::passed(NAME, "it has no inputs");
        }
        match self.measure(&[], inputs) {
            Err(PluginFailure::MissingInput(why)) => Finding::passed(NAME, why),
            Ok(measured) => Finding::warned(
                NAME,
                format!("with no input to be had it still makes readings: {}", measured.readings.len()),
                "return `missing-input`: readings that are left out say that the usage has ended",
            ),
            Err(failure) if is_crash(&failure) => {
                Finding::failed(NAME, failure.to_string(), "return `missing-input`")
            }
            Err(failure) => Finding::warned(
                NAME,
                failure.to_string(),
                "return `missing-input`: then the condition names the input, and not the plugin",
            ),
        }
    }

    fn empty_inputs(&self) -> Finding {
        let outcomes = made_up::empty().into_iter().map(|data| self.measure(&[], self.all(&data)));
        survives("empty-inputs", outcomes, "handle inputs that hold nothing, or something of another kind")
    }

    fn odd_values(&self) -> Finding {
        let made_up = made_up::odd().into_iter().map(|data| self.all(&data));
        let known = self.known();
        let spoilt = [f64::NAN, f64::INFINITY, -1.0, 1e300]
            .into_iter()
            .filter_map(|value| known.as_ref().map(|inputs| made_up::spoilt(inputs, value)));
        let outcomes = made_up.chain(spoilt).map(|inputs| self.measure(&[], inputs));
        survives("odd-values", outcomes, "refuse or ignore a number that is no amount, and say so in the log")
    }

    fn huge_inputs(&self) -> Finding {
        const NAME: &str = "huge-inputs";
        let advice = "handle as many objects and samples as a large cluster has";
        let made_up = made_up::huge().into_iter().map(|data| self.all(&data));
        let known = self.known().map(|inputs| made_up::multiplied(&inputs));
        let mut slow = None;
        for inputs in made_up.chain(known) {
            match self.measure(&[], inputs) {
                Err(
                    failure @ (PluginFailure::OutOfMemory(_)
                    | PluginFailure::TimedOut(_)
                    | PluginFailure::OutOfFuel { .. }),
                ) => slow = Some(failure),
                Err(failure) if is_crash(&failure) => {
                    return Finding::failed(NAME, failure.to_string(), advice);
                }
                Ok(_) | Err(_) => {}
            }
        }
        match slow {
            Some(failure) => Finding::warned(
                NAME,
                format!("with 8 MiB of input: {failure}"),
                "raise spec.meter.plugin.limits (at most 1Gi and 10s) where clusters are that large, or declare fewer fields and metrics",
            ),
            None => Finding::passed(NAME, "8 MiB of input are no trouble"),
        }
    }

    fn determinism(&self) -> Finding {
        const NAME: &str = "determinism";
        let frames: Vec<Vec<Input>> = match self.play {
            Some(play) => play.frames().take(TWICE).map(|(_, inputs)| inputs).collect(),
            None => made_up::empty().iter().chain(&made_up::odd()).map(|data| self.all(data)).collect(),
        };
        // The host gives equal ticks equal outcomes. What is left is chance, which is another for another build or product.
        let outcome = |subject: &Subject, inputs: &[Input]| {
            let measured = subject.measure(tick(self.setting, MOMENT, &[]), inputs.to_vec());
            measured.map(|measured| (measured.readings, measured.state))
        };
        for inputs in &frames {
            let what = match (outcome(self.subject, inputs), outcome(self.twin, inputs)) {
                (first, second) if first == second => continue,
                (Ok((first, _)), Ok((second, _))) if first == second => "left another state",
                (Ok(_), Ok(_)) => "gave other readings",
                _ => "ended otherwise",
            };
            return Finding::failed(
                NAME,
                format!("with other random numbers the same tick {what}"),
                "leave out randomness and hash maps with random seeds: sort before you report",
            );
        }
        Finding::passed(NAME, format!("{} ticks came out the same, whatever is random", frames.len()))
    }

    fn state(&self) -> Finding {
        const NAME: &str = "state";
        let inputs = self.known().unwrap_or_default();
        for foreign in [&b"\xff\xfe\x00"[..], b"null", b"{}", &[0; 64 << 10]] {
            if let Err(failure) = self.measure(foreign, inputs.clone())
                && is_crash(&failure)
            {
                return Finding::failed(
                    NAME,
                    format!("handed a state that is not its own, {failure}"),
                    "return `internal` for a state that cannot be read, or begin anew",
                );
            }
        }
        match self.measure(&[], inputs.clone()) {
            Ok(first) if first.state.is_empty() => Finding::passed(NAME, "it keeps none"),
            Ok(first) => match self.measure(&first.state, inputs) {
                Ok(second) => {
                    Finding::passed(NAME, format!("{} bytes, then {}", first.state.len(), second.state.len()))
                }
                Err(failure) => Finding::failed(
                    NAME,
                    format!("handed its own state, {failure}"),
                    "read what the last tick wrote",
                ),
            },
            Err(_) if !self.is_measured() => Finding::passed(
                NAME,
                "it survives a foreign one; only a measured tick of --trace makes one of its own",
            ),
            Err(failure) => {
                Finding::failed(NAME, failure.to_string(), "make the last tick of the trace measurable")
            }
        }
    }

    fn dimensions(&self) -> Finding {
        const NAME: &str = "dimensions";
        let manifest: BTreeSet<&str> =
            self.subject.manifest().dimensions.iter().map(String::as_str).collect();
        if let Some(product) = &self.setting.dimensions
            && let Some(stray) =
                manifest.iter().find(|name| !product.iter().any(|one| one.as_str() == **name))
        {
            return Finding::warned(
                NAME,
                format!("the product does not sell `{stray}`, which the plugin can measure"),
                "a reading of it makes the whole tick a missed one: add the dimension, or configure the plugin not to measure it",
            );
        }
        let reported: BTreeSet<&str> = self
            .played()
            .iter()
            .filter_map(|tick| tick.outcome.as_ref().ok())
            .flat_map(|measured| &measured.readings)
            .map(|reading| reading.dimension.as_str())
            .collect();
        if let Some(unknown) = reported.difference(&manifest).next() {
            return Finding::failed(
                NAME,
                format!("it reports `{unknown}`, which its manifest does not name"),
                "name every dimension in `get-manifest`",
            );
        }
        if !self.is_measured() {
            return Finding::passed(
                NAME,
                "those of the manifest; a measured tick of --trace shows what is reported",
            );
        }
        match manifest.difference(&reported).next() {
            Some(silent) => Finding::warned(
                NAME,
                format!("the trace makes no reading of `{silent}`"),
                "let the trace show every dimension once",
            ),
            None => Finding::passed(NAME, format!("{} of {} are reported", reported.len(), manifest.len())),
        }
    }

    fn trace(&self) -> Finding {
        const NAME: &str = "trace";
        let played = self.played();
        let wrong = played.iter().find_map(|tick| match &tick.outcome {
            Ok(_) | Err(PluginFailure::MissingInput(_)) => None,
            Err(failure) => Some((tick.at, failure)),
        });
        if let Some((at, failure)) = wrong {
            return Finding::failed(
                NAME,
                format!("{at}: {failure}"),
                "`tollkeeper plugin run --trace` shows every tick",
            );
        }
        match played.iter().filter(|tick| tick.outcome.is_ok()).count() {
            0 => Finding::failed(
                NAME,
                format!("none of {} ticks was measured", played.len()),
                "let the trace hold every input that the plugin needs",
            ),
            measured => Finding::passed(NAME, format!("{measured} of {} ticks were measured", played.len())),
        }
    }
}

fn is_available(inputs: &[Input]) -> bool {
    !inputs.iter().any(|input| matches!(input.data, InputData::Unavailable(_)))
}

/// Whether a plugin did not choose to fail. Too many readings are chosen: for more input than that, a plugin must fold.
fn is_crash(failure: &PluginFailure) -> bool {
    failure.is_misbehaviour() && !matches!(failure, PluginFailure::TooLarge(_))
}

/// Readings are as good as a failure that the plugin returns; nothing else is.
fn survives(name: &'static str, outcomes: impl IntoIterator<Item = Outcome>, advice: &str) -> Finding {
    let mut ticks = 0;
    for outcome in outcomes {
        ticks += 1;
        if let Err(failure) = outcome
            && is_crash(&failure)
        {
            return Finding::failed(name, failure.to_string(), advice);
        }
    }
    Finding::passed(
        name,
        if ticks == 1 { "it survives".to_owned() } else { format!("it survives {ticks} ticks") },
    )
}
