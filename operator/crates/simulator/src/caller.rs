//! Who calls, as AWS knows it from the credentials: the buyer's account, the role, the endpoint's region and the pod.

use crate::settings::EXAMPLE_ACCOUNT;

/// The EKS pod behind an IRSA session. AWS counts records by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pod {
    /// Its UID: a pod that is made anew under the same name is another one.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The region it runs in, where that is known.
    pub region: Option<String>,
}

/// The caller of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The buyer's account, 12 digits.
    pub account: String,
    /// The assumed role's ARN.
    pub role_arn: String,
    /// The region of the endpoint that is called, as the signature's scope names it.
    pub region: String,
    /// The pod; none for sessions that are not bound to one, which AWS does not meter.
    pub pod: Option<Pod>,
}

impl Caller {
    /// A pod in the example account and `us-east-1`, for runs without STS. The name in `name` may be any text.
    pub fn pod(uid: impl Into<String>) -> Self {
        let uid = uid.into();
        Self {
            account: EXAMPLE_ACCOUNT.to_owned(),
            role_arn: format!("arn:aws:iam::{EXAMPLE_ACCOUNT}:role/{uid}"),
            region: "us-east-1".to_owned(),
            pod: Some(Pod { name: uid.clone(), uid, namespace: "default".to_owned(), region: None }),
        }
    }
}
