//! The ticks that were cut out: the states between them, and how far they can be redacted.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use tollkeeper_core::{
    recording::tape::{Bytes, Tape},
    redaction::{Place, Redactor},
};

use crate::cli::{
    Failure,
    plugin::{deck::Deck, outcome::Played, progress},
};

/// What each tick was handed. Leaves those out of the tape that the tick before returned, and checks that what the cluster
/// measured is measured here, too.
pub(super) fn states(tape: &mut Tape, played: &[Played]) -> Result<Vec<Bytes>, Failure> {
    let mut state = Bytes::default();
    let mut handed = Vec::with_capacity(played.len());
    let mut is_first = true;
    for (tick, played) in tape.ticks.iter_mut().zip(played) {
        if let Some(given) = &tick.state {
            let is_known = !is_first && *given == state;
            state = given.clone();
            if is_known {
                tick.state = None;
            }
        }
        is_first = false;
        handed.push(state.clone());
        match (&tick.missed, &played.outcome) {
            (None, Ok(measured)) => state = Bytes(measured.state.clone()),
            (None, Err(failure)) => {
                return Err(Failure::new(format!(
                    "the cluster measured the tick at {}, and here it fails: {}: {failure}; if this machine is slow, raise --time",
                    tick.at,
                    failure.reason()
                )));
            }
            (Some(_), _) => {}
        }
    }
    Ok(handed)
}

/// Leaves one tick on the tape.
pub(super) fn only(tape: &mut Tape, at: Timestamp, states: Vec<Bytes>) -> Result<(), Failure> {
    let between = tape.ticks.first().zip(tape.ticks.last()).map(|(first, last)| (first.at, last.at));
    let found = std::mem::take(&mut tape.ticks).into_iter().zip(states).find(|(tick, _)| tick.at == at);
    match (found, between) {
        (Some((mut tick, state)), _) => {
            tick.state = Some(state);
            tape.ticks = vec![tick];
            Ok(())
        }
        (None, Some((first, last))) => Err(Failure::new(format!(
            "the recording has no tick at {at}; its ticks are between {first} and {last}"
        ))),
        (None, None) => Err(Failure::new("the recording has no tick; take another hour")),
    }
}

/// Ticks with what they come to as they are.
pub(super) struct Cut<'a> {
    tape: &'a Tape,
    deck: &'a Deck,
    pub(super) redactor: Redactor,
    billed: Vec<Value>,
}

impl<'a> Cut<'a> {
    pub(super) fn new(tape: &'a Tape, deck: &'a Deck) -> Result<Self, Failure> {
        let redactor = Redactor::of(&tape.inputs());
        let billed = deck.play(tape)?.iter().map(Played::billed).collect();
        Ok(Self { tape, deck, redactor, billed })
    }

    /// The redacted tape with its outcomes; `None` if its readings are not the same.
    pub(super) fn redacted(&self, kept: &BTreeSet<Place>) -> Result<Option<Tape>, Failure> {
        let mut redacted = self.tape.redacted(&self.redactor, kept);
        let played = self.deck.play(&redacted)?;
        for (tick, played) in redacted.ticks.iter_mut().zip(&played) {
            tick.outcome = played.exact();
        }
        let is_same = played.iter().map(Played::billed).eq(self.billed.iter().cloned());
        Ok(is_same.then_some(redacted))
    }

    /// Says which places the readings depend on.
    pub(super) fn refusal(&self, kept: &BTreeSet<Place>) -> Result<String, Failure> {
        let Some(needed) = self.needed(kept)? else {
            return Ok("the same ticks gave other readings when they were played again; \
                       `tollkeeper plugin check` looks for what is not deterministic"
                .to_owned());
        };
        let inputs: BTreeSet<&str> = needed.iter().map(Place::input).collect();
        let inputs: Vec<String> = inputs.into_iter().map(|input| format!("`{input}`")).collect();
        let places: Vec<String> = needed.iter().map(ToString::to_string).collect();
        Ok(format!(
            "{} cannot be redacted further, because the readings depend on the texts at {}; if the vendor may see them, add --keep '{}'",
            inputs.join(", "),
            places.join(", "),
            places.join(",")
        ))
    }

    /// Places without which the readings change. Places that share texts are tried together first, then one by one.
    fn needed(&self, kept: &BTreeSet<Place>) -> Result<Option<BTreeSet<Place>>, Failure> {
        let mut groups = self.redactor.groups();
        if self.tape.has_state() {
            groups.push([Place::state()].into());
        }
        let mut shown: BTreeSet<Place> =
            groups.iter().flatten().cloned().chain(kept.iter().cloned()).collect();
        if self.redacted(&shown)?.is_none() {
            return Ok(None);
        }
        let bar = progress::bar("places", groups.len());
        for group in groups {
            let hidden: BTreeSet<Place> = group.difference(kept).cloned().collect();
            if !self.hide(&mut shown, &hidden)? {
                for place in hidden {
                    self.hide(&mut shown, &[place].into())?;
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(Some(shown.difference(kept).cloned().collect()))
    }

    /// Takes places away from those that are shown, if the readings stay the same.
    fn hide(&self, shown: &mut BTreeSet<Place>, hidden: &BTreeSet<Place>) -> Result<bool, Failure> {
        let rest = shown.difference(hidden).cloned().collect();
        let is_same = self.redacted(&rest)?.is_some();
        if is_same {
            *shown = rest;
        }
        Ok(is_same)
    }
}
