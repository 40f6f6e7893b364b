use super::*;
use crate::product::{Dimension, Fold, Interval, Rounding};

const MINUTE: i64 = 60;

struct Bench {
    tally: Tally,
    interval: Interval,
    dimensions: Vec<Dimension>,
    start: Timestamp,
    ticks: i64,
}

impl Bench {
    /// Ticks every ten minutes from 14:00 on, or from `minute` past it.
    fn from_minute(minute: i64) -> Self {
        let hour: Timestamp = "2026-11-21T14:00:00Z".parse().unwrap();
        Self {
            tally: Tally::default(),
            interval: Interval::from_seconds(600).unwrap(),
            dimensions: vec![dimension("d", Fold::Sum)],
            start: hour + SignedDuration::from_secs(minute * MINUTE),
            ticks: 0,
        }
    }

    fn next(&mut self) -> Timestamp {
        self.ticks += 1;
        self.start + SignedDuration::from_secs((self.ticks - 1) * 10 * MINUTE)
    }

    fn tick(&mut self, readings: Vec<Reading>) {
        let tick = self.next();
        let measurement = Measurement { readings, ..Measurement::default() };
        let rules = Rules { interval: self.interval, dimensions: &self.dimensions };
        self.tally.commit(tick, rules, &measurement, &origin());
    }

    fn miss(&mut self) {
        let tick = self.next();
        self.tally.miss(tick, Rules { interval: self.interval, dimensions: &self.dimensions });
    }

    fn folded(&self, hour: &str, fold: Fold) -> String {
        let hour = format!("2026-11-21T{hour}:00:00Z").parse().unwrap();
        let total: Quantity = self
            .tally
            .hour(hour)
            .map(|usage| usage.folded(&"d".parse().unwrap(), fold))
            .unwrap_or_default()
            .iter()
            .map(|part| part.quantity)
            .sum();
        total.to_string()
    }
}

fn dimension(name: &str, fold: Fold) -> Dimension {
    Dimension { name: name.parse().unwrap(), fold, rounding: Rounding::Carry, zero_records: false }
}

fn origin() -> TickOrigin {
    let measured_by = ConfiguredPlugin { plugin: Digest::of(b"plugin"), config: Digest::of(b"{}") };
    TickOrigin { measured_by, inputs: Digest::of(b"inputs"), is_complete: true }
}

fn gauge(value: &str) -> Reading {
    Reading {
        dimension: "d".parse().unwrap(),
        value: Value::Gauge(value.parse().unwrap()),
        tags: TagSet::default(),
    }
}

fn counter(total: &str, source: &str) -> Reading {
    Reading {
        dimension: "d".parse().unwrap(),
        value: Value::Counter { total: total.parse().unwrap(), source: source.to_owned() },
        tags: TagSet::default(),
    }
}

#[test]
fn a_gauge_is_folded_as_its_dimension_says() {
    let mut bench = Bench::from_minute(0);
    for value in ["1", "1", "4", "2", "2", "2"] {
        bench.tick(vec![gauge(value)]);
    }
    assert_eq!(bench.folded("14", Fold::TimeWeighted), "2.000000");
    assert_eq!(bench.folded("14", Fold::Sum), "12.000000");
    assert_eq!(bench.folded("14", Fold::Mean), "2.000000");
    assert_eq!(bench.folded("14", Fold::Max), "4.000000");
    assert_eq!(bench.folded("14", Fold::Last), "2.000000");
}

#[test]
fn readings_of_one_series_in_one_tick_are_added() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![gauge("1.5"), gauge("2.5")]);
    assert_eq!(bench.folded("14", Fold::Last), "4.000000");
}

#[test]
fn the_division_of_an_hour_rounds_down_once() {
    let mut bench = Bench::from_minute(0);
    for value in ["0.000001", "0.000001", "0.000001", "0.000001", "0.000001", "0.000000"] {
        bench.tick(vec![gauge(value)]);
    }
    assert_eq!(bench.folded("14", Fold::TimeWeighted), "0.000000");
    assert_eq!(bench.folded("14", Fold::Mean), "0.000000");
    assert_eq!(bench.folded("14", Fold::Sum), "0.000005");
}

#[test]
fn a_successful_tick_ends_what_it_does_not_report() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![gauge("6")]);
    bench.tick(vec![]);
    assert_eq!(bench.folded("14", Fold::TimeWeighted), "1.000000");
}

#[test]
fn a_gauge_outlives_five_missed_ticks_and_no_more() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![gauge("6")]);
    (0..5).for_each(|_| bench.miss());
    assert_eq!(bench.folded("14", Fold::TimeWeighted), "6.000000");
    bench.miss();
    assert_eq!(bench.folded("15", Fold::TimeWeighted), "0.000000");
    let usage = bench.tally.hour("2026-11-21T14:00:00Z".parse().unwrap()).unwrap();
    assert_eq!((usage.due(), usage.missed()), (6, 5));
}

#[test]
fn a_missed_tick_before_the_first_success_contributes_nothing() {
    let mut bench = Bench::from_minute(0);
    bench.miss();
    assert_eq!(bench.folded("14", Fold::Sum), "0.000000");
}

#[test]
fn the_first_total_is_a_baseline_and_the_tick_at_the_hours_end_closes_it() {
    let mut bench = Bench::from_minute(30);
    for total in ["100", "103", "104.5", "110", "111"] {
        bench.tick(vec![counter(total, "a")]);
    }
    assert_eq!(bench.folded("14", Fold::Max), "10.000000");
    assert_eq!(bench.folded("15", Fold::Max), "1.000000");
}

#[test]
fn a_total_below_the_last_one_is_a_reset() {
    let mut bench = Bench::from_minute(0);
    for total in ["100", "150", "20"] {
        bench.tick(vec![counter(total, "a")]);
    }
    assert_eq!(bench.folded("14", Fold::Sum), "70.000000");
}

#[test]
fn a_new_source_counts_from_zero_if_the_tick_before_succeeded() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![counter("100", "a")]);
    bench.tick(vec![counter("100", "a"), counter("7", "b")]);
    assert_eq!(bench.folded("14", Fold::Sum), "7.000000");
}

#[test]
fn a_new_source_after_a_missed_tick_is_a_baseline() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![counter("100", "a")]);
    bench.miss();
    bench.tick(vec![counter("101", "a"), counter("7", "b")]);
    assert_eq!(bench.folded("14", Fold::Sum), "1.000000");
}

#[test]
fn a_new_source_after_an_incomplete_tick_is_a_baseline() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![counter("100", "a")]);
    let tick = bench.next();
    let measurement = Measurement { readings: vec![counter("101", "a")], ..Measurement::default() };
    let incomplete = TickOrigin { is_complete: false, ..origin() };
    let rules = Rules { interval: bench.interval, dimensions: &bench.dimensions };
    bench.tally.commit(tick, rules, &measurement, &incomplete);
    bench.tick(vec![counter("102", "a"), counter("500", "b")]);
    assert_eq!(bench.folded("14", Fold::Sum), "2.000000");
}

#[test]
fn a_source_that_was_away_counts_on() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![counter("100", "a")]);
    bench.tick(vec![]);
    bench.tick(vec![]);
    bench.tick(vec![counter("130", "a")]);
    assert_eq!(bench.folded("14", Fold::Sum), "30.000000");
}

#[test]
fn counters_heal_after_missed_ticks_in_the_hour_of_the_next_one() {
    let mut bench = Bench::from_minute(40);
    bench.tick(vec![counter("100", "a")]);
    bench.miss();
    bench.miss();
    bench.tick(vec![counter("160", "a")]);
    assert_eq!(bench.folded("14", Fold::Sum), "0.000000");
    assert_eq!(bench.folded("15", Fold::Sum), "60.000000");
}

/// What counted 100 at 14:00 and is seen next at `minute` of the same day or later; ticks come every ten minutes.
fn counted_after(minute: i64, between: impl Fn(&mut Bench)) -> Quantity {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![counter("100", "a")]);
    while bench.ticks * 10 < minute {
        between(&mut bench);
    }
    bench.tick(vec![counter("160", "a")]);
    let dimension = "d".parse().unwrap();
    let parts = bench.tally.hours().flat_map(|(_, usage)| usage.folded(&dimension, Fold::Sum));
    parts.map(|part| part.quantity).sum()
}

#[test]
fn a_source_that_ticks_have_not_found_for_a_day_is_forgotten() {
    let is_away = |bench: &mut Bench| bench.tick(vec![]);
    assert_eq!(counted_after(24 * 60, is_away).to_string(), "60.000000");
    assert_eq!(counted_after(24 * 60 + 20, is_away).to_string(), "160.000000", "it is new");
}

#[test]
fn counters_heal_however_long_nothing_was_measured() {
    assert_eq!(counted_after(50 * 60, Bench::miss).to_string(), "60.000000");
}

#[test]
fn a_checkpoint_brings_back_the_same_tally() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![gauge("1.5"), counter("100", "a")]);
    bench.tick(vec![gauge("2"), counter("130", "a")]);
    bench.miss();
    let json = serde_json::to_string(&bench.tally).unwrap();
    assert_eq!(serde_json::from_str::<Tally>(&json).unwrap(), bench.tally);
}

#[test]
fn what_grew_since_before_the_end_of_a_doubtful_hour_counts_for_that_hour() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![counter("100", "a"), counter("200", "b")]);
    bench.tally.doubt_through("2026-11-21T15:00:00Z".parse().unwrap());
    (0..12).for_each(|_| bench.miss());
    // At 16:10: one source is back at once, the other later; a new one has no past.
    bench.tick(vec![counter("110", "a")]);
    bench.tick(vec![counter("111", "a"), counter("205", "b"), counter("7", "c")]);
    assert_eq!(bench.folded("15", Fold::Sum), "15.000000");
    assert_eq!(bench.folded("16", Fold::Sum), "8.000000");
}

#[test]
fn an_hour_keeps_the_dimensions_that_it_was_measured_by_as_they_were_at_first() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![gauge("1")]);
    bench.dimensions = vec![dimension("e", Fold::Sum), dimension("d", Fold::Max)];
    bench.tick(vec![gauge("1")]);
    // What is sold no more stays as long as the hour has readings of it.
    bench.dimensions = vec![dimension("f", Fold::Max)];
    bench.tick(vec![]);
    let (_, hour) = bench.tally.hours().next().unwrap();
    assert_eq!(hour.measured_by(), [dimension("d", Fold::Sum), dimension("f", Fold::Max)]);
}

#[test]
fn a_missed_tick_holds_no_gauge_of_what_is_sold_no_more() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![gauge("1")]);
    bench.dimensions = vec![dimension("e", Fold::Sum)];
    bench.miss();
    assert_eq!(bench.folded("14", Fold::Sum), "1.000000");
}

#[test]
fn what_the_tick_at_an_hours_end_counts_is_known_to_that_hour() {
    let mut bench = Bench::from_minute(50);
    bench.tick(vec![]);
    bench.dimensions = vec![dimension("e", Fold::Sum), dimension("d", Fold::Max)];
    bench.tick(vec![counter("7", "a")]);
    let (_, hour) = bench.tally.hours().next().unwrap();
    assert_eq!(hour.measured_by(), [dimension("d", Fold::Sum)]);
    let (_, next) = bench.tally.hours().last().unwrap();
    assert_eq!(next.measured_by(), [dimension("e", Fold::Sum), dimension("d", Fold::Max)]);
}

#[test]
fn a_checkpoint_of_an_older_version_still_loads_and_has_the_same_usage() {
    let mut bench = Bench::from_minute(0);
    bench.tick(vec![gauge("1")]);
    let mut json = serde_json::to_value(&bench.tally).unwrap();
    let hour = json.pointer_mut("/hours/0/1").unwrap().as_object_mut().unwrap();
    assert!(hour.remove("measuredBy").is_some() && hour.remove("config").is_some());
    bench.tally = serde_json::from_value(json).unwrap();
    let (_, hour) = bench.tally.hours().next().unwrap();
    assert_eq!(hour.measured_by(), []);
    let config = Digest::of(b"now");
    let named: Vec<ConfiguredPlugin> = hour.configured_plugins(&config).collect();
    assert_eq!(named, [ConfiguredPlugin { config, ..origin().measured_by }]);
    assert_eq!(bench.folded("14", Fold::Sum), "1.000000");
    bench.tick(vec![gauge("1")]);
    assert_eq!(bench.tally.hours().next().unwrap().1.measured_by(), bench.dimensions);
}

#[test]
fn an_hour_names_every_plugin_and_configuration_that_measured_it() {
    let configured = |plugin: &str, config: &str| ConfiguredPlugin {
        plugin: Digest::of(plugin.as_bytes()),
        config: Digest::of(config.as_bytes()),
    };
    let mut bench = Bench::from_minute(0);
    for (plugin, config) in [("one", "{}"), ("one", "{}"), ("two", "{}"), ("one", "{}"), ("one", "{1}")] {
        let tick = bench.next();
        let origin = TickOrigin { measured_by: configured(plugin, config), ..origin() };
        let rules = Rules { interval: bench.interval, dimensions: &bench.dimensions };
        bench.tally.commit(tick, rules, &Measurement::default(), &origin);
    }
    let (_, hour) = bench.tally.hours().next().unwrap();
    let named: Vec<ConfiguredPlugin> = hour.configured_plugins(&Digest::of(b"{1}")).collect();
    assert_eq!(named, [configured("one", "{}"), configured("two", "{}"), configured("one", "{1}")]);
}
