//! `tollkeeper plugin replay`: a tape on the vendor's desk, compared to the byte.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tollkeeper_core::{difference::first_difference, identity::Digest, product::Span, recording::tape::Tape};
use tollkeeper_ledger::recording;

use super::{component, deck::Deck, outcome::Played};
use crate::cli::{
    Failure, Output, print,
    recorded::refusal,
    render::{Align, table},
};

/// Play a tape of `plugin record`, and compare readings, state and log to the byte.
///
/// Ends with 1 and names the first difference if there is one.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The tape.
    #[arg(value_name = "FILE")]
    tape: PathBuf,
    /// Play it with this component, such as a new version, instead of those on the tape.
    #[arg(long, env = "TOLLKEEPER_PLUGIN", value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Time of a call, such as 10s, instead of the product's: for a machine that is slower than the cluster.
    #[arg(long, env = "TOLLKEEPER_TIME")]
    time: Option<Span>,
    /// How to print it.
    #[arg(long, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

/// A tick, and where it is not what it was.
struct Row {
    played: Played,
    plugin: Digest,
    missed: Option<String>,
    difference: Option<Difference>,
}

/// What is not the same.
struct Difference {
    /// Such as `readings[1].gauge`.
    place: String,
    dimension: Option<String>,
    expected: Value,
    found: Value,
}

impl Replay {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let tape = recording::read_tape(&self.tape).map_err(|error| {
            Failure::new(format!(
                "{}; a tape is what `tollkeeper plugin record --to FILE` writes",
                refusal(&error)
            ))
        })?;
        let (deck, plugin) = match &self.plugin {
            Some(path) => {
                let bytes = component::read(path)?;
                (Deck::with(&bytes, &tape.header, self.time)?, Some(Digest::of(&bytes)))
            }
            None => (Deck::of(&tape.components, &tape.header, self.time)?, None),
        };
        deck.validate(&tape)?;
        let rows: Vec<Row> = deck
            .play(&tape)?
            .into_iter()
            .zip(&tape.ticks)
            .map(|(played, tick)| Row {
                difference: difference(&tick.outcome, &played.exact()),
                plugin: plugin.as_ref().unwrap_or(&tick.plugin).clone(),
                missed: tick.missed.clone(),
                played,
            })
            .collect();
        self.report(&tape, &rows)
    }

    fn report(&self, tape: &Tape, rows: &[Row]) -> Result<(), Failure> {
        match self.output {
            Output::Json => print::json(&json!({
                "namespace": tape.header.product.namespace,
                "product": tape.header.product.name,
                "binding": tape.header.binding,
                "hour": tape.header.hour,
                "ticks": rows.iter().map(json).collect::<Vec<_>>(),
            }))?,
            Output::Text => print::text(text(rows))?,
        }
        let mut different = rows.iter().filter_map(|row| Some((row, row.difference.as_ref()?)));
        let Some((row, first)) = different.next() else { return Ok(()) };
        Err(Failure::new(format!(
            "{}: {} of {} ticks differ; the first: {}: {}",
            self.tape.display(),
            different.count() + 1,
            rows.len(),
            row.played.at,
            first.sentence()
        )))
    }
}

/// Readings first: they are what is billed.
fn difference(expected: &Value, found: &Value) -> Option<Difference> {
    ["failure", "readings", "state", "log"].into_iter().find_map(|part| {
        let [expected, found] = [expected, found].map(|outcome| json!({ part: outcome.get(part) }));
        let difference = first_difference(&expected, &found)?;
        let place = difference.path.trim_start_matches('.').to_owned();
        let dimension = dimension(&place, &expected).or_else(|| dimension(&place, &found));
        let said = |value: Option<Value>| value.unwrap_or(Value::Null);
        Some(Difference { place, dimension, expected: said(difference.was), found: said(difference.is) })
    })
}

/// The dimension of the reading that a place is in.
fn dimension(place: &str, outcome: &Value) -> Option<String> {
    let index: usize = place.strip_prefix("readings[")?.split(']').next()?.parse().ok()?;
    Some(outcome.get("readings")?.get(index)?.get("dimension")?.as_str()?.to_owned())
}

impl Difference {
    fn sentence(&self) -> String {
        let of =
            self.dimension.as_ref().map(|name| format!(" (of the dimension `{name}`)")).unwrap_or_default();
        let said = |value: &Value| if value.is_null() { "nothing".to_owned() } else { value.to_string() };
        format!(
            "{}{of} is expected to be {}, but it is {}",
            self.place,
            said(&self.expected),
            said(&self.found)
        )
    }
}

fn json(row: &Row) -> Value {
    let difference = row.difference.as_ref().map(|difference| {
        json!({
            "place": difference.place,
            "dimension": difference.dimension,
            "expected": difference.expected,
            "found": difference.found,
        })
    });
    json!({
        "at": row.played.at,
        "plugin": row.plugin,
        "missed": row.missed,
        "same": difference.is_none(),
        "difference": difference,
        "outcome": row.played.exact(),
    })
}

fn text(rows: &[Row]) -> String {
    let heads = [
        ("TICK", Align::Left),
        ("RESULT", Align::Left),
        ("READINGS", Align::Right),
        ("STATE", Align::Right),
        ("LOG", Align::Right),
        ("MISSED", Align::Left),
    ];
    let cells = rows.iter().map(|row| {
        let of = |count: Option<usize>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let measured = row.played.outcome.as_ref().ok();
        let here = row.played.outcome.as_ref().err().map(|failure| failure.reason().to_owned());
        vec![
            row.played.at.to_string(),
            if row.difference.is_none() { "same" } else { "DIFFERS" }.to_owned(),
            of(measured.map(|measured| measured.readings.len())),
            of(measured.map(|measured| measured.state.len())),
            of(measured.map(|measured| measured.log.len())),
            row.missed.clone().or(here).unwrap_or_else(|| "-".to_owned()),
        ]
    });
    table(&heads, &cells.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(gauge: &str, state: &str, log: &[&str]) -> Value {
        json!({
            "readings": [{"dimension": "a", "gauge": "1"}, {"dimension": "b", "gauge": gauge}],
            "state": state,
            "log": log,
        })
    }

    #[test]
    fn the_first_difference_is_a_reading_if_one_differs() {
        let was = outcome("1", "AA==", &["x"]);
        let found = difference(&was, &outcome("2", "AQ==", &[])).unwrap();
        assert_eq!(
            found.sentence(),
            "readings[1].gauge (of the dimension `b`) is expected to be \"1\", but it is \"2\""
        );
        let found = difference(&was, &outcome("1", "AQ==", &[])).unwrap();
        assert_eq!(found.sentence(), "state is expected to be \"AA==\", but it is \"AQ==\"");
        let found = difference(&was, &outcome("1", "AA==", &[])).unwrap();
        assert_eq!(found.sentence(), "log[0] is expected to be \"x\", but it is nothing");
        assert!(difference(&was, &was).is_none());
    }

    #[test]
    fn a_failure_is_named_before_what_it_has_not_measured() {
        let failed = json!({"failure": {"reason": "PluginTrapped", "message": "trapped"}});
        let found = difference(&outcome("1", "", &[]), &failed).unwrap();
        assert_eq!((found.place.as_str(), found.expected), ("failure", Value::Null));
    }
}
