//! Kubernetes events: what conditions have changed to, for `kubectl describe`.
//!
//! Events are told on a change only. They are a courtesy: one that cannot be published is logged, and nothing waits.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::{
    calls::{self, CallError},
    conditions::{Verdict, Voice},
};

/// Longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;

/// Publishes events. Clones share what they have published, so that a repetition becomes a count.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Events of this pod.
    pub fn new(client: Client, pod: Option<String>) -> Self {
        let reporter = Reporter { controller: tollkeeper_api::FIELD_MANAGER.to_owned(), instance: pod };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Tells about an object what the verdicts say. `action` is what Tollkeeper was doing, PascalCase.
    pub async fn announce(
        &self,
        about: &ObjectReference,
        action: &'static str,
        verdicts: impl IntoIterator<Item = &Verdict>,
    ) {
        for verdict in verdicts {
            self.tell(about, None, action, verdict).await;
        }
    }

    /// Tells about an object what a verdict says because of another one. Those of one reason are told apart by that other one:
    /// with the same, the second becomes a count of the first. Whether it need not be told again.
    pub async fn tell(
        &self,
        about: &ObjectReference,
        because_of: Option<&ObjectReference>,
        action: &'static str,
        verdict: &Verdict,
    ) -> bool {
        let Some(event) = event(action, verdict, because_of) else { return true };
        match self.publish(about, &event).await {
            Ok(()) => true,
            Err(error) => {
                let object = about.name.as_deref();
                tracing::warn!(reason = error.reason(), %error, object, event = %event.reason, "no event");
                !error.passes_by_itself()
            }
        }
    }

    /// A connection that was idle may be dead, which its first use finds out.
    async fn publish(&self, about: &ObjectReference, event: &Event) -> Result<(), CallError> {
        match calls::call(self.recorder.publish(event, about)).await {
            Err(error) if error.passes_by_itself() => calls::call(self.recorder.publish(event, about)).await,
            other => other,
        }
    }
}

fn event(action: &'static str, verdict: &Verdict, because_of: Option<&ObjectReference>) -> Option<Event> {
    let type_ = match verdict.voice {
        Voice::Silent => return None,
        Voice::Note => EventType::Normal,
        Voice::Warning => EventType::Warning,
    };
    Some(Event {
        type_,
        reason: verdict.reason.to_owned(),
        note: Some(shortened(&verdict.message)),
        action: action.to_owned(),
        secondary: because_of.cloned(),
    })
}

/// At most as long as a note may be, cut between characters.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_NOTE {
        return text.to_owned();
    }
    let mut short = String::with_capacity(MAX_NOTE);
    for character in text.chars() {
        if short.len() + character.len_utf8() + '…'.len_utf8() > MAX_NOTE {
            break;
        }
        short.push(character);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_fits_and_is_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        let cut = shortened(&"ä".repeat(2000));
        assert!(cut.len() <= MAX_NOTE && cut.len() > MAX_NOTE - 5, "{}", cut.len());
        assert!(cut.ends_with("ä…"));
    }

    #[test]
    fn the_voice_of_a_verdict_is_the_type_of_its_event() {
        let verdict = Verdict::fails("AccessProvisioned", "NameTaken", "taken");
        assert_eq!(event("Provision", &verdict, None).map(|event| event.type_), Some(EventType::Warning));
        let verdict = Verdict::holds("AccessProvisioned", "Provisioned", "done");
        assert_eq!(event("Provision", &verdict, None).map(|event| event.type_), Some(EventType::Normal));
        assert!(event("Provision", &verdict.with_voice(Voice::Silent), None).is_none());
    }
}
