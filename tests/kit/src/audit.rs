//! What the API server has answered to service accounts, from its audit log.

use serde::Deserialize;

use crate::{ControlPlane, Result};

/// The log's name in the folder of a run.
pub(crate) const LOG: &str = "audit.log";

/// One line for each request of a service account, and none for the tests' own.
pub(crate) const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata, userGroups: ["system:serviceaccounts"]}]
"#;

impl ControlPlane {
    /// What a service account asked for without having the right to, as `verb path`, in the order of the answers.
    pub fn refusals(&self, namespace: &str, service_account: &str) -> Result<Vec<String>> {
        let events = self.events_of(namespace, service_account)?.into_iter();
        let refused = events.filter(|event| event.response_status.code == 403);
        Ok(refused.map(|event| format!("{} {}", event.verb, event.request_uri)).collect())
    }

    /// What a service account has written, as the resource and the name of each object, in the order of the answers; what was
    /// refused is left out. An object that is created without its name in the path has none.
    pub fn writes(&self, namespace: &str, service_account: &str) -> Result<Vec<(String, String)>> {
        let events = self.events_of(namespace, service_account)?.into_iter();
        let written = events.filter(|event| {
            matches!(event.verb.as_str(), "create" | "update" | "patch" | "delete")
                && event.response_status.code < 300
        });
        let objects = written.filter_map(|event| event.object_ref);
        Ok(objects.map(|object| (object.resource, object.name.unwrap_or_default())).collect())
    }

    fn events_of(&self, namespace: &str, service_account: &str) -> Result<Vec<Event>> {
        let user = format!("system:serviceaccount:{namespace}:{service_account}");
        let text = std::fs::read_to_string(self.run.folder.join(LOG))?;
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut events = Vec::new();
        for line in whole.lines() {
            let event: Event = serde_json::from_str(line)?;
            if event.user.username == user {
                events.push(event);
            }
        }
        Ok(events)
    }
}

/// The fields of an audit event that are asked for here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    object_ref: Option<ObjectRef>,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    resource: String,
    name: Option<String>,
}

/// Missing where a request ended without an answer.
#[derive(Deserialize, Default)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}
