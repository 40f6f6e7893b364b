//! Credentials that STS issued, each bound to the pod whose token was exchanged for it.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use uuid::Uuid;

use crate::caller::Pod;

/// What a pair of keys stands for.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The account of the role.
    pub(super) account: String,
    /// The assumed role.
    pub(super) role_arn: String,
    /// The pod, if the token named one.
    pub(super) pod: Option<Pod>,
    /// To be sent with every request.
    pub(super) token: String,
    /// By the machine's clock.
    pub(super) expires: Timestamp,
}

/// A new pair of keys.
pub(super) struct Issued {
    pub(super) key_id: String,
    pub(super) secret: String,
    pub(super) token: String,
    pub(super) expires: Timestamp,
}

/// All sessions, by access key id.
#[derive(Default, Debug)]
pub(super) struct Sessions(BTreeMap<String, Session>);

/// Expired sessions are still told from unknown ones for so long; then they are forgotten.
const KEPT_EXPIRED: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

impl Sessions {
    /// Random, so that the keys of an earlier server never stand for another pod in this one.
    pub(super) fn issue(
        &mut self,
        now: Timestamp,
        expires: Timestamp,
        account: &str,
        role_arn: &str,
        pod: Option<Pod>,
    ) -> Issued {
        self.0.retain(|_, session| now.duration_since(session.expires) < KEPT_EXPIRED);
        // The forms of real ones: ASIA and 16 upper-case characters, 40 of Base64, a long Base64 text.
        let unique = Uuid::new_v4().simple().to_string().to_uppercase();
        let key_id = format!("ASIA{}", unique.chars().take(16).collect::<String>());
        let random =
            |uuids: usize| -> Vec<u8> { (0..uuids).flat_map(|_| Uuid::new_v4().into_bytes()).collect() };
        let secret = STANDARD.encode(random(2)).chars().take(40).collect();
        let token = format!("IQoJb3JpZ2lu{}", STANDARD.encode(random(12)));
        let session = Session {
            account: account.to_owned(),
            role_arn: role_arn.to_owned(),
            pod,
            token: token.clone(),
            expires,
        };
        self.0.insert(key_id.clone(), session);
        Issued { key_id, secret, token, expires }
    }

    pub(super) fn find(&self, key_id: &str) -> Option<&Session> {
        self.0.get(key_id)
    }
}
