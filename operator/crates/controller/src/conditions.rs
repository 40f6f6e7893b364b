//! Conditions as every Kubernetes tool reads them, computed without I/O.
//!
//! A condition's `lastTransitionTime` moves only when its status does, so conditions that say the same compare equal
//! and nothing is written. `Ready` is never decided by itself: it is derived from the others.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The type of the derived condition.
pub const READY: &str = "Ready";

/// Longest message of a condition; the bound of its schema.
const MAX_MESSAGE: usize = 32_768;

/// Whether something holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody knows yet.
    Unknown,
}

/// How a change is announced as an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Voice {
    /// Not at all: it is part of the ordinary course, or another verdict says it.
    Silent,
    /// For the record.
    Note,
    /// A person has to do something.
    Warning,
}

/// What is found about one aspect of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The aspect, positive: type of the condition.
    pub aspect: &'static str,
    /// Whether it holds.
    pub truth: Truth,
    /// Why, for programs: bounded, PascalCase.
    pub reason: &'static str,
    /// Why, for people. It must not contain anything that moves by itself.
    pub message: String,
    /// How a change to this is announced.
    pub voice: Voice,
}

impl Truth {
    /// As the condition writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Verdict {
    /// It holds.
    pub fn holds(aspect: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { aspect, truth: Truth::True, reason, message: message.into(), voice: Voice::Note }
    }

    /// It does not hold, and a person has to do something.
    pub fn fails(aspect: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { aspect, truth: Truth::False, reason, message: message.into(), voice: Voice::Warning }
    }

    /// It does not hold, and will by itself, or is meant not to.
    pub fn waits(aspect: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { aspect, truth: Truth::False, reason, message: message.into(), voice: Voice::Silent }
    }

    /// Nobody knows.
    pub fn unknown(aspect: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { aspect, truth: Truth::Unknown, reason, message: message.into(), voice: Voice::Silent }
    }

    /// The same with another voice.
    #[must_use]
    pub fn with_voice(self, voice: Voice) -> Self {
        Self { voice, ..self }
    }

    /// Whether a person has to do something.
    pub fn is_alarming(&self) -> bool {
        self.truth == Truth::False && self.voice == Voice::Warning
    }
}

/// `Ready`: false with the reason of the first of `parts` that does not hold, else true.
pub fn ready<'a>(parts: impl IntoIterator<Item = &'a Verdict>, message: &str) -> Verdict {
    match parts.into_iter().find(|part| part.truth == Truth::False) {
        Some(part) => Verdict { aspect: READY, ..part.clone() },
        None => Verdict::holds(READY, READY, message),
    }
}

/// The conditions after these verdicts. Conditions of other types stay as they are.
pub fn updated(
    old: &[Condition],
    verdicts: &[Verdict],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let judged = verdicts.iter().map(|verdict| condition(old, verdict, generation, now));
    let others =
        old.iter().filter(|old| !verdicts.iter().any(|verdict| verdict.aspect == old.type_)).cloned();
    judged.chain(others).collect()
}

/// The verdicts that change what the conditions say and that somebody should hear of, one for each reason.
pub fn announcements<'a>(old: &[Condition], verdicts: &'a [Verdict]) -> Vec<&'a Verdict> {
    let mut news: Vec<&Verdict> = Vec::new();
    for verdict in verdicts {
        let is_new = find(old, verdict.aspect)
            .is_none_or(|old| old.status != verdict.truth.as_str() || old.reason != verdict.reason);
        let is_said = news.iter().any(|other| other.reason == verdict.reason);
        if verdict.voice != Voice::Silent && is_new && !is_said {
            news.push(verdict);
        }
    }
    news
}

/// The condition of this type.
pub fn find<'a>(conditions: &'a [Condition], aspect: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == aspect)
}

fn condition(old: &[Condition], verdict: &Verdict, generation: Option<i64>, now: Timestamp) -> Condition {
    let status = verdict.truth.as_str();
    let since = find(old, verdict.aspect)
        .filter(|old| old.status == status)
        .map_or_else(|| Time(whole_seconds(now)), |old| old.last_transition_time.clone());
    Condition {
        type_: verdict.aspect.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: verdict.message.chars().take(MAX_MESSAGE).collect(),
        observed_generation: generation,
        last_transition_time: since,
    }
}

/// The API server keeps whole seconds; a fraction would never compare equal to what was stored.
fn whole_seconds(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: &str = "AccessProvisioned";
    const SETTLED: &str = "Settled";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn early() -> Timestamp {
        at("2026-11-21T14:00:00.75Z")
    }

    fn late() -> Timestamp {
        at("2026-11-21T15:00:00Z")
    }

    #[test]
    fn the_same_verdict_later_is_the_same_condition() {
        let verdicts = [Verdict::holds(ACCESS, "Provisioned", "done")];
        let first = updated(&[], &verdicts, Some(1), early());
        assert_eq!(updated(&first, &verdicts, Some(1), late()), first);
    }

    #[test]
    fn a_condition_survives_the_way_to_the_api_server_and_back() {
        let conditions = updated(&[], &[Verdict::holds(ACCESS, "Provisioned", "done")], Some(1), early());
        let stored: Vec<Condition> =
            serde_json::from_value(serde_json::to_value(&conditions).unwrap()).unwrap();
        assert_eq!(stored, conditions);
    }

    #[test]
    fn the_time_moves_with_the_status_only() {
        let holds = updated(&[], &[Verdict::holds(ACCESS, "Provisioned", "done")], Some(1), early());
        let reworded = updated(&holds, &[Verdict::holds(ACCESS, "Adopted", "other words")], Some(2), late());
        assert_eq!(reworded[0].last_transition_time, holds[0].last_transition_time);
        assert_eq!((reworded[0].reason.as_str(), reworded[0].observed_generation), ("Adopted", Some(2)));
        let failed = updated(&reworded, &[Verdict::fails(ACCESS, "NameTaken", "taken")], Some(2), late());
        assert_eq!(failed[0].last_transition_time, Time(late()));
    }

    #[test]
    fn conditions_of_others_stay() {
        let theirs = updated(&[], &[Verdict::holds("Audited", "Yes", "by hand")], None, early());
        let both = updated(&theirs, &[Verdict::holds(ACCESS, "Provisioned", "done")], Some(1), late());
        assert_eq!(both.iter().map(|one| one.type_.as_str()).collect::<Vec<_>>(), [ACCESS, "Audited"]);
        assert_eq!(both[1], theirs[0]);
    }

    #[test]
    fn ready_says_what_the_first_false_part_says() {
        let parts = [
            Verdict::unknown("Entitled", "NotChecked", "not asked yet"),
            Verdict::fails(ACCESS, "NameTaken", "taken"),
            Verdict::fails(SETTLED, "NeedsAttention", "look"),
        ];
        let derived = ready(&parts, "in force");
        assert_eq!(
            (derived.aspect, derived.truth, derived.reason, derived.message.as_str()),
            (READY, Truth::False, "NameTaken", "taken")
        );
    }

    #[test]
    fn what_nobody_knows_does_not_stand_in_the_way_of_ready() {
        let parts = [Verdict::unknown("Entitled", "NotChecked", "not asked yet")];
        assert_eq!(ready(&parts, "in force"), Verdict::holds(READY, READY, "in force"));
    }

    #[test]
    fn a_reason_is_announced_once_and_only_when_it_is_new() {
        let failed = Verdict::fails(ACCESS, "NameTaken", "taken");
        let verdicts = [ready([&failed], ""), failed];
        let news = announcements(&[], &verdicts);
        assert_eq!(news.iter().map(|one| one.reason).collect::<Vec<_>>(), ["NameTaken"]);
        let conditions = updated(&[], &verdicts, Some(1), early());
        assert!(announcements(&conditions, &verdicts).is_empty());
    }

    #[test]
    fn the_ordinary_course_is_not_announced() {
        let verdicts = [Verdict::waits(SETTLED, "Settling", "two records wait")];
        assert!(announcements(&[], &verdicts).is_empty());
    }

    #[test]
    fn only_what_a_person_must_do_is_alarming() {
        assert!(Verdict::fails(ACCESS, "NameTaken", "taken").is_alarming());
        assert!(!Verdict::waits(SETTLED, "Settling", "two records wait").is_alarming());
        assert!(!Verdict::holds(ACCESS, "Provisioned", "done").is_alarming());
    }
}
