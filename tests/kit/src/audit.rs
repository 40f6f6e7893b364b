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
        let user = format!("system:serviceaccount:{namespace}:{service_account}");
        let text = std::fs::read_to_string(self.run.folder.join(LOG))?;
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut refusals = Vec::new();
        for line in whole.lines() {
            let event: Event = serde_json::from_str(line)?;
            if event.user.username == user && event.response_status.code == 403 {
                refusals.push(format!("{} {}", event.verb, event.request_uri));
            }
        }
        Ok(refusals)
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
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

/// Missing where a request ended without an answer.
#[derive(Deserialize, Default)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}
