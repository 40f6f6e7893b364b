//! Plays tapes: every tick by the plugin that ran it, or all by another one.

use std::{collections::BTreeMap, sync::Arc};

use tollkeeper_core::{
    identity::Digest,
    plugin::PluginLimits,
    product::{Interval, Span},
    recording::{
        RecordedInput,
        tape::{Bytes, Header, Tape, TapedTick},
    },
};

use super::{outcome::Played, play, progress, setting::Setting, subject::Subject};
use crate::cli::Failure;

/// Loaded plugins.
pub(super) struct Deck {
    by_digest: BTreeMap<Digest, Subject>,
    /// Runs every tick, whoever ran it then.
    stand_in: Option<Subject>,
    /// Time of a call, instead of the recorded one.
    time: Option<Span>,
}

impl Deck {
    /// With all the components that a tape needs.
    pub(super) fn of(
        components: &BTreeMap<Digest, Vec<u8>>,
        header: &Header,
        time: Option<Span>,
    ) -> Result<Self, Failure> {
        let mut by_digest = BTreeMap::new();
        for (digest, bytes) in components {
            by_digest.insert(digest.clone(), load(bytes, limits(header, time))?);
        }
        Ok(Self { by_digest, stand_in: None, time })
    }

    /// With one component for all ticks.
    pub(super) fn with(bytes: &[u8], header: &Header, time: Option<Span>) -> Result<Self, Failure> {
        let stand_in = load(bytes, limits(header, time))?;
        Ok(Self { by_digest: BTreeMap::new(), stand_in: Some(stand_in), time })
    }

    /// Runs every tick, with the states handed on as in the cluster.
    pub(super) fn play(&self, tape: &Tape) -> Result<Vec<Played>, Failure> {
        let bar = progress::bar("ticks", tape.ticks.len());
        let mut state = Vec::new();
        let mut played: Vec<Played> = Vec::with_capacity(tape.ticks.len());
        for tick in &tape.ticks {
            if let Some(Bytes(given)) = &tick.state {
                state.clone_from(given);
            }
            let subject = self.subject(tick)?;
            let inputs = tick.inputs.iter().map(RecordedInput::input).collect();
            let setting = setting(&tape.header, tick, self.time)?;
            let outcome = play::measured(subject, &setting, tick.at, &state, inputs);
            if let (None, Ok(measured)) = (&tick.missed, &outcome) {
                state.clone_from(&measured.state);
            }
            played.push(Played { at: tick.at, outcome });
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(played)
    }

    /// Asks whether the plugins take the configuration of the tape, as the operator does before the first tick.
    pub(super) fn validate(&self, tape: &Tape) -> Result<(), Failure> {
        let Some(tick) = tape.ticks.first() else {
            return Err(Failure::new("there is no tick on the tape; record it again"));
        };
        self.subject(tick)?.validate(&tick.config).map_err(Failure::new)
    }

    fn subject(&self, tick: &TapedTick) -> Result<&Subject, Failure> {
        self.stand_in.as_ref().or_else(|| self.by_digest.get(&tick.plugin)).ok_or_else(|| {
            Failure::new(format!(
                "the tick at {} was run by the plugin {}; give its component with --plugin",
                tick.at, tick.plugin
            ))
        })
    }
}

fn load(bytes: &[u8], limits: PluginLimits) -> Result<Subject, Failure> {
    Subject::of(bytes, limits)?.map_err(|failure| {
        Failure::new(format!(
            "the plugin {} cannot be used: {}: {failure}; `tollkeeper plugin check` says more",
            Digest::of(bytes),
            failure.reason()
        ))
    })
}

fn limits(header: &Header, time: Option<Span>) -> PluginLimits {
    let recorded = header.limits;
    PluginLimits { time: time.map_or(recorded.time, |Span(time)| time), ..recorded }
}

fn setting(header: &Header, tick: &TapedTick, time: Option<Span>) -> Result<Setting, Failure> {
    Ok(Setting {
        product: header.product.name.clone(),
        config: Arc::from(tick.config.as_str()),
        interval: Interval::from_seconds(u64::from(tick.seconds)).map_err(Failure::new)?,
        limits: limits(header, time),
        inputs: None,
        dimensions: Some(header.dimensions.clone()),
    })
}
