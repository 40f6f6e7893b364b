//! What the exposition parser accepts, keeps and refuses.

use proptest::prelude::*;
use tollkeeper_core::{input::Sample, workload::Labels};

use crate::collect::{
    exposition::{Exposition, Format, Wanted, sort},
    limits::Budget,
};

fn parse_bytes(format: Format, wanted: &[&str], chunks: &[&[u8]]) -> Result<Vec<Sample>, String> {
    let budget = Budget::new(1 << 20);
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let wanted = Wanted::new(&wanted);
    let mut exposition = Exposition::new(format, &wanted, &[], budget.share());
    for chunk in chunks {
        exposition.feed(chunk)?;
    }
    exposition.finish(true)
}

fn prometheus(text: &str) -> Result<Vec<Sample>, String> {
    parse_bytes(Format::Prometheus, &[], &[text.as_bytes()])
}

fn openmetrics(text: &str) -> Result<Vec<Sample>, String> {
    parse_bytes(Format::OpenMetrics, &[], &[text.as_bytes()])
}

fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
    let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Sample { name: name.into(), labels, value }
}

fn names(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.name.as_str()).collect()
}

#[test]
fn label_values_may_hold_every_character() {
    let line = r#"a{quote="a\"b",path="C:\\x",lines="1\n2",marks="},=#{ ",other="\d",text="ü"} 1"#;
    let expected = sample(
        "a",
        &[
            ("quote", "a\"b"),
            ("path", "C:\\x"),
            ("lines", "1\n2"),
            ("marks", "},=#{ "),
            ("other", "\\d"),
            ("text", "ü"),
        ],
        1.0,
    );
    assert_eq!(prometheus(line).unwrap(), [expected]);
}

#[test]
fn blanks_trailing_commas_empty_labels_and_comments_are_accepted() {
    let text =
        "# any comment\n#\n\n  a { x = \"1\" , y=\"\",}\t2  \nb{} 3\nc:d 4\n# HELP e\n# TYPE e counter\n";
    let expected = [sample("a", &[("x", "1")], 2.0), sample("b", &[], 3.0), sample("c:d", &[], 4.0)];
    assert_eq!(prometheus(text).unwrap(), expected);
}

#[test]
fn values_are_decimal_numbers_infinities_or_nan() {
    let text = "a 1e+06\na -2.5\na .5\na +Inf\na -inf\na NaN\n";
    let values: Vec<f64> = prometheus(text).unwrap().iter().map(|sample| sample.value).collect();
    assert_eq!(values[..5], [1e6, -2.5, 0.5, f64::INFINITY, f64::NEG_INFINITY]);
    assert!(values[5].is_nan());
    for wrong in ["a 0x10\n", "a 1_000\n", "a 1e999\n", "a one\n", "a \n", "a\n", "a-1\n"] {
        assert!(prometheus(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn timestamps_are_checked_and_dropped() {
    assert_eq!(prometheus("a 1 1395066363000\nb 2 -5\n").unwrap().len(), 2);
    assert_eq!(openmetrics("a_total 1 1520879607.789\n# EOF\n").unwrap(), [sample("a_total", &[], 1.0)]);
    for wrong in ["a 1 soon\n", "a 1 NaN\n", "a 1 2 3\n"] {
        assert!(prometheus(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn exemplars_belong_to_openmetrics() {
    let line = "h_bucket{le=\"1\"} 2 # {trace_id=\"a} # b\"} 0.5 1520879607.789\n";
    assert_eq!(openmetrics(&format!("{line}# EOF\n")).unwrap(), [sample("h_bucket", &[("le", "1")], 2.0)]);
    assert!(prometheus(line).unwrap_err().contains("behind the sample"));
    assert!(openmetrics("a 1 # {x=\"1\"}\n# EOF\n").unwrap_err().contains("exemplar without a value"));
}

#[test]
fn quoted_names_may_hold_every_character() {
    let text = "# TYPE \"my.metric\" counter\n{\"my.metric\",\"a.b\"=\"c\"} 1\n{\"only\"} 2\n";
    let expected = [sample("my.metric", &[("a.b", "c")], 1.0), sample("only", &[], 2.0)];
    assert_eq!(prometheus(text).unwrap(), expected);
}

#[test]
fn openmetrics_that_does_not_end_with_its_mark_was_cut_off() {
    assert!(openmetrics("a 1\n").unwrap_err().contains("cut off"));
    assert!(openmetrics("a 1\n# EOF").is_ok());
    assert!(openmetrics("# EOF\na 1\n").unwrap_err().contains("line 2 comes after"));
    assert!(prometheus("# EOF\na 1\n").is_ok());
}

#[test]
fn a_last_line_without_an_end_counts_only_if_the_transport_vouches_for_it() {
    let end = |framed| {
        let (budget, wanted) = (Budget::new(1024), Wanted::new(&[]));
        let mut exposition = Exposition::new(Format::Prometheus, &wanted, &[], budget.share());
        exposition.feed(b"a 12").unwrap();
        exposition.finish(framed)
    };
    assert_eq!(end(true).unwrap(), [sample("a", &[], 12.0)]);
    assert!(end(false).unwrap_err().contains("cut off"));
}

#[test]
fn one_malformed_line_fails_the_whole_exposition() {
    for (line, reason) in [
        ("<html>", "no metric name"),
        ("{\"status\":\"ok\"}", "neither `,` nor `}`"),
        ("b{x=\"1", "without an end"),
        ("b{x=\"1\"", "neither `,` nor `}`"),
        ("b{x=1} 1", "without quotes"),
        ("b{1x=\"1\"} 1", "label name"),
        ("b{x=\"1\",x=\"2\"} 1", "same label twice"),
        ("b{x} 1", "without `=`"),
        ("{A}0", "without `=`"),
        ("b{__name__=\"c\"} 1", "not allowed"),
        ("{x=\"1\"} 1", "no metric name"),
        ("1b 1", "no metric name"),
    ] {
        let error = prometheus(&format!("a 1\n{line}\n")).unwrap_err();
        assert!(error.starts_with("line 2 ") && error.contains(reason), "{line}: {error}");
    }
    assert!(parse_bytes(Format::Prometheus, &[], &[b"a{x=\"\xff\"} 1\n"]).unwrap_err().contains("UTF-8"));
}

#[test]
fn only_wanted_metrics_are_kept() {
    let text = "a 1\nab 2\na_total 3\na_sum 4\n";
    let kept = parse_bytes(Format::Prometheus, &["a"], &[text.as_bytes()]).unwrap();
    assert_eq!(names(&kept), ["a"]);
}

#[test]
fn samples_of_histograms_and_summaries_belong_to_their_family() {
    let text = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nh_created 1\n\
                # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n\
                # TYPE g gauge\ng 1\ng_count 1\n";
    let kept = |wanted: &[&str]| parse_bytes(Format::Prometheus, wanted, &[text.as_bytes()]).unwrap();
    assert_eq!(names(&kept(&["h"])), ["h_bucket", "h_sum", "h_count"]);
    assert_eq!(names(&kept(&["s"])), ["s", "s_sum", "s_count"]);
    assert_eq!(names(&kept(&["g"])), ["g"]);
    assert_eq!(names(&kept(&["h_sum", "s_count"])), ["h_sum", "s_count"]);
}

#[test]
fn an_openmetrics_counter_is_found_by_its_family_and_by_its_sample() {
    let text = "# TYPE a counter\na_total 1\na_created 2\n# EOF\n";
    for wanted in ["a", "a_total"] {
        let kept = parse_bytes(Format::OpenMetrics, &[wanted], &[text.as_bytes()]).unwrap();
        assert_eq!(names(&kept), ["a_total"]);
    }
}

#[test]
fn labels_of_the_target_win_and_rename_those_of_the_sample() {
    let (budget, wanted) = (Budget::new(1024), Wanted::new(&[]));
    let target = [("namespace", "blue"), ("pod", "db-0")];
    let mut exposition = Exposition::new(Format::Prometheus, &wanted, &target, budget.share());
    exposition.feed(b"a{pod=\"x\",exported_pod=\"y\"} 1\n").unwrap();
    let expected =
        [("namespace", "blue"), ("pod", "db-0"), ("exported_pod", "y"), ("exported_exported_pod", "x")];
    assert_eq!(exposition.finish(true).unwrap(), [sample("a", &expected, 1.0)]);
}

#[test]
fn of_a_repeated_series_the_first_sample_counts() {
    let mut samples = prometheus("b 1\na{x=\"2\"} 2\na{x=\"1\"} 3\nb 4\n").unwrap();
    assert_eq!(sort(&mut samples), 1);
    let expected = [sample("a", &[("x", "1")], 3.0), sample("a", &[("x", "2")], 2.0), sample("b", &[], 1.0)];
    assert_eq!(samples, expected);
}

#[test]
fn too_many_samples_exceed_the_budget_and_unwanted_ones_do_not_count() {
    let text = "a{x=\"0123456789\"} 1\n".repeat(100);
    let run = |wanted: &[String]| {
        let budget = Budget::new(300);
        let wanted = Wanted::new(wanted);
        let mut exposition = Exposition::new(Format::Prometheus, &wanted, &[], budget.share());
        let fed = exposition.feed(text.as_bytes());
        (fed.is_ok(), budget.is_exceeded())
    };
    assert_eq!(run(&[]), (false, true));
    assert_eq!(run(&["b".to_owned()]), (true, false));
}

#[test]
fn an_endless_line_is_given_up() {
    let line = format!("# HELP a {}", "x".repeat(70 << 10));
    assert!(prometheus(&line).unwrap_err().contains("line 1 is longer than 64 KiB"));
}

fn any_format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Prometheus), Just(Format::OpenMetrics)]
}

fn any_labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map("[a-z_][a-z0-9_]{0,5}", "\\PC{1,6}|[\"\\\\\n{},=#]{1,4}", 0..4)
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let value = any::<f64>().prop_filter("comparable", |value| !value.is_nan());
    ("[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", any_labels(), value).prop_map(|(name, labels, value)| Sample {
        name,
        labels,
        value,
    })
}

fn exposed(samples: &[Sample]) -> String {
    let mut text = String::new();
    for Sample { name, labels, value } in samples {
        let pairs: Vec<String> = labels
            .iter()
            .map(|(key, value)| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                format!("{key}=\"{value}\"")
            })
            .collect();
        text.push_str(&format!("{name}{{{}}} {value:e}\n", pairs.join(",")));
    }
    text + "# EOF\n"
}

/// The same bytes in pieces of one to a few bytes.
fn pieces(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

proptest! {
    #[test]
    fn what_is_exposed_is_what_is_read(samples in proptest::collection::vec(any_sample(), 0..8), format in any_format()) {
        prop_assert_eq!(parse_bytes(format, &[], &[exposed(&samples).as_bytes()]).unwrap(), samples);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), format in any_format()) {
        let _ = parse_bytes(format, &["a"], &[&bytes]);
    }

    #[test]
    fn nearly_valid_text_never_panics_and_chunks_do_not_matter(
        text in "([aé_:{}\"\\\\=,# \t\r\n0-9.+eENaInf]|# TYPE |# EOF|a_bucket|le=\"1\"){0,60}",
        sizes in proptest::collection::vec(1_usize..7, 1..5),
        format in any_format(),
    ) {
        let pieces = pieces(text.as_bytes(), &sizes);
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let whole = parse_bytes(format, &[], &[text.as_bytes()]);
        prop_assert_eq!(format!("{whole:?}"), format!("{:?}", parse_bytes(format, &[], &pieces)));
    }

    #[test]
    fn a_cut_exposition_is_never_read_as_a_different_one(
        samples in proptest::collection::vec(any_sample(), 1..5),
        cut in 0_usize..400,
    ) {
        let text = exposed(&samples);
        let cut = &text.as_bytes()[..cut.min(text.len() - "# EOF\n".len())];
        prop_assert!(parse_bytes(Format::OpenMetrics, &[], &[cut]).is_err());
    }
}
