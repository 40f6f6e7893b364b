use std::time::Duration;

use super::*;
use crate::{Answer, Exchange, FaultScript, ScriptError};

fn aws(script: &str) -> Simulator {
    let mut aws = Simulator::new(Settings { calls_a_second: 0, ..Settings::default() });
    aws.set_faults(FaultScript::parse(script).unwrap());
    aws
}

fn exchange(aws: &mut Simulator, seconds: i64) -> Exchange<String> {
    aws.exchange(at(SignedDuration::from_secs(seconds)), &Caller::pod("a"), &request(json!({})))
}

/// Which of ten calls, one a second, were refused by the script.
fn pattern(script: &str) -> String {
    let mut aws = aws(script);
    (0..10)
        .map(|second| match exchange(&mut aws, second).answer {
            Answer::Reply(Ok(_)) => '.',
            _ => 'x',
        })
        .collect()
}

#[test]
fn each_effect_is_done_or_not_as_its_name_says() {
    let outcome = |effect: &str| {
        let mut aws = aws(&format!("faults: [{{effect: {effect}}}]"));
        let answer = exchange(&mut aws, 0).answer;
        let view = aws.view();
        assert_eq!(view.faults.len(), 1);
        assert_eq!(view.faults[0].committed, !view.accepted.is_empty());
        (answer, view.accepted.len())
    };
    assert_eq!(outcome("acceptThenDrop"), (Answer::Dropped, 1));
    assert_eq!(outcome("reset"), (Answer::Reset, 0));
    assert_eq!(outcome("html502"), (Answer::Html502, 0));
    assert_eq!(outcome("reset\n, commit: true"), (Answer::Reset, 1));
    let (answer, records) = outcome("truncatedJson");
    assert!(matches!(answer, Answer::Truncated(Ok(_))) && records == 1);
    for (effect, code, status, records) in [
        ("error500Before", "InternalServiceErrorException", 500, 0),
        ("error500After", "InternalServiceErrorException", 500, 1),
        ("throttle", "ThrottlingException", 400, 0),
        ("{error: {code: OddException, status: 418}}", "OddException", 418, 0),
    ] {
        let (answer, accepted) = outcome(effect);
        let Answer::Reply(Err(error)) = answer else { panic!("{answer:?}") };
        assert_eq!((error.code.as_ref(), error.status), (code, status));
        assert_eq!(accepted, records, "{effect}");
    }
}

#[test]
fn a_delay_is_added_to_whatever_else_happens() {
    let mut aws = aws("faults: [{effect: {delay: 2.5}}, {effect: {delay: 1}}, {effect: acceptThenDrop}]");
    let exchange = exchange(&mut aws, 0);
    assert_eq!(exchange, Exchange { delay: Duration::from_millis(3500), answer: Answer::Dropped });
    assert_eq!(aws.view().accepted.len(), 1);
}

#[test]
fn the_first_effect_that_applies_decides() {
    let mut aws = aws("faults: [{when: {nth: 2}, effect: reset}, {effect: html502}]");
    assert_eq!(exchange(&mut aws, 0).answer, Answer::Html502);
    assert_eq!(exchange(&mut aws, 0).answer, Answer::Reset);
}

#[test]
fn a_rule_saves_its_count_for_calls_that_no_earlier_rule_decided() {
    let mut aws =
        aws("faults: [{when: {count: 2}, effect: reset}, {when: {count: 1}, effect: {throttle: 2}}]");
    let mut next = || exchange(&mut aws, 0).answer;
    assert_eq!((next(), next()), (Answer::Reset, Answer::Reset));
    assert!(matches!(next(), Answer::Reply(Err(_))));
    assert!(matches!(next(), Answer::Reply(Err(_))));
    assert!(matches!(next(), Answer::Reply(Ok(_))));
}

#[test]
fn calls_are_picked_by_number_by_chance_and_by_time() {
    assert_eq!(pattern("faults: [{when: {nth: 3}, effect: reset}]"), "..x.......");
    assert_eq!(pattern("faults: [{when: {nth: [1, 4]}, effect: reset}]"), "x..x......");
    assert_eq!(pattern("faults: [{when: {every: 3}, effect: reset}]"), "..x..x..x.");
    assert_eq!(pattern("faults: [{when: {count: 2}, effect: reset}]"), "xx........");
    assert_eq!(pattern("faults: [{when: {every: 2, count: 2}, effect: reset}]"), ".x.x......");
    let between =
        r#"faults: [{when: {from: "2026-11-21T15:30:02Z", to: "2026-11-21T15:30:04Z"}, effect: reset}]"#;
    assert_eq!(pattern(between), "..xx......");
    assert_eq!(pattern("faults: [{when: {probability: 0}, effect: reset}]"), "..........");
    assert_eq!(pattern("faults: [{when: {probability: 1}, effect: reset}]"), "xxxxxxxxxx");
}

#[test]
fn a_seed_decides_every_chance() {
    let with =
        |seed| pattern(&format!("{{seed: {seed}, faults: [{{when: {{probability: 0.5}}, effect: reset}}]}}"));
    assert_eq!(with(1), with(1));
    assert!((2..20).any(|seed| with(seed) != with(1)));
}

#[test]
fn calls_are_selected_by_what_they_ask_for() {
    let hits =
        |when: &str| pattern(&format!("faults: [{{when: {{{when}}}, effect: reset}}]")) == "xxxxxxxxxx";
    for when in [
        "operation: MeterUsage",
        "productCode: vecdb",
        "dimension: gb_hours",
        "pod: a",
        r#"hour: "2026-11-21T14:00:00Z""#,
    ] {
        assert!(hits(when), "{when}");
    }
    for when in [
        "operation: AssumeRoleWithWebIdentity",
        "productCode: other",
        "dimension: other",
        "pod: b",
        r#"hour: "2026-11-21T15:00:00Z""#,
    ] {
        assert!(!hits(when), "{when}");
    }
}

#[test]
fn a_throttle_lasts_for_its_calls_or_its_time() {
    assert_eq!(pattern("faults: [{when: {nth: 2}, effect: {throttle: 3}}]"), ".xxx......");
    assert_eq!(pattern("faults: [{when: {nth: 2}, effect: {throttle: {calls: 3}}}]"), ".xxx......");
    assert_eq!(pattern("faults: [{when: {nth: 2}, effect: {throttle: {seconds: 4}}}]"), ".xxxx.....");
}

#[test]
fn an_empty_script_breaks_nothing() {
    for script in ["", "{}", "faults: []"] {
        assert_eq!(pattern(script), "..........");
    }
}

#[test]
fn a_wrong_script_says_what_is_wrong() {
    let wrong = |script: &str| FaultScript::parse(script).unwrap_err();
    assert!(matches!(wrong("faults: ["), ScriptError::Syntax(_)));
    for (script, says) in [
        ("faults: [{effect: explode}]", "`explode` is none of the effects"),
        ("faults: [{effect: {reset: 1}}]", "`reset` takes no argument"),
        ("faults: [{effect: {throttle: 0}}]", "`throttle` takes a number of calls"),
        ("faults: [{effect: {delay: -1}}]", "not a number of seconds"),
        ("faults: [{effect: {error: {code: X, status: 200}}}]", "is not 400 to 599"),
        ("faults: [{effect: reset, when: {nht: 1}}]", "unknown field `nht`"),
    ] {
        let ScriptError::Shape(why) = wrong(script) else { panic!("{script}") };
        assert!(why.contains(says), "{why}");
    }
    for (script, says) in [
        ("faults: [{effect: reset}, {effect: reset, when: {probability: 2}}]", "rule 2: `probability`"),
        ("faults: [{effect: reset, when: {every: 0}}]", "rule 1: `every` is 0"),
        ("faults: [{effect: reset, when: {nth: 0}}]", "counts from 1"),
        ("faults: [{effect: throttle, commit: true}]", "does not go with `throttle`"),
        (
            r#"faults: [{effect: reset, when: {from: "2026-11-21T15:00:00Z", to: "2026-11-21T15:00:00Z"}}]"#,
            "`from` is not before `to`",
        ),
    ] {
        assert!(wrong(script).to_string().contains(says), "{}", wrong(script));
    }
}
