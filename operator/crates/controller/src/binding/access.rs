//! What has to be written so that a binding's pods reach AWS, decided from what is there.
//!
//! An object that is not ours is never touched, whatever its name.

use std::collections::BTreeSet;

use tollkeeper_api::convert::{Access, CheckedBinding, LicenseToken, TokenOrigin};

use super::{
    objects::{Content, Found, Hidden, ObjectId, Reading, Title},
    observe::{Observed, TokenReading},
    plan::Step,
};
use crate::conditions::{Verdict, Voice};

/// The condition.
pub const ACCESS_PROVISIONED: &str = "AccessProvisioned";

/// What provisioning takes.
#[derive(Clone, PartialEq, Debug)]
pub struct Provision {
    /// The writes.
    pub steps: Vec<Step>,
    /// What is or will be provisioned, and what was and is not gone yet.
    pub provisioned: BTreeSet<ObjectId>,
    /// What is true once the writes have been done.
    pub verdict: Verdict,
}

/// What a binding that stays takes.
pub fn provision(observed: &Observed, spec: &CheckedBinding) -> Provision {
    let wanted = observed.access().map(|access| wanted(access, observed.token.as_ref())).unwrap_or_default();
    let mut provisioned: BTreeSet<ObjectId> = wanted.iter().map(|(id, _)| id.clone()).collect();
    let mut steps = Vec::new();
    for id in observed.subject.provisioned.difference(&provisioned.clone()) {
        match withdrawal(observed, id) {
            Withdrawal::Needed(step) => {
                steps.push(step);
                provisioned.insert(id.clone());
            }
            Withdrawal::Unknown => drop(provisioned.insert(id.clone())),
            Withdrawal::None => {}
        }
    }
    let mut problems = Vec::new();
    for (id, content) in wanted.iter().cloned() {
        let (step, problem) = step(observed, id, content);
        steps.extend(step);
        problems.extend(problem);
    }
    let verdict = problems.into_iter().next().unwrap_or_else(|| {
        if spec.suspended {
            return fails("Suspended", "the binding is suspended, and its access is withdrawn".to_owned())
                .with_voice(Voice::Silent);
        }
        if wanted.is_empty() {
            let message = "the binding asks for no access; its pods bring their own";
            return Verdict::holds(ACCESS_PROVISIONED, "NotRequested", message).with_voice(Voice::Silent);
        }
        let names: Vec<String> = wanted.iter().map(|(id, _)| id.to_string()).collect();
        Verdict::holds(ACCESS_PROVISIONED, "Provisioned", format!("provisioned: {}", names.join(", ")))
    });
    Provision { steps, provisioned, verdict }
}

/// Takes everything away that was provisioned.
pub fn withdraw(observed: &Observed) -> Vec<Step> {
    let all = observed.objects.keys();
    all.filter_map(|id| match withdrawal(observed, id) {
        Withdrawal::Needed(step) => Some(step),
        Withdrawal::Unknown | Withdrawal::None => None,
    })
    .collect()
}

enum Withdrawal {
    Needed(Step),
    /// It may have to be withdrawn, but it cannot be seen.
    Unknown,
    None,
}

fn withdrawal(observed: &Observed, id: &ObjectId) -> Withdrawal {
    match observed.objects.get(id) {
        Some(Reading::Found(found)) if found.title(&observed.subject.owner.uid) == Title::Ours => {
            Withdrawal::Needed(delete(id, found))
        }
        Some(Reading::Forbidden) => Withdrawal::Unknown,
        Some(Reading::Found(_) | Reading::Absent) | None => Withdrawal::None,
    }
}

fn delete(id: &ObjectId, found: &Found) -> Step {
    Step::Delete { id: id.clone(), uid: found.uid.clone(), version: found.version.clone() }
}

type Problem = Verdict;

/// The objects of an access, and what they are to hold or why that is not known.
fn wanted(access: &Access, token: Option<&TokenReading>) -> Vec<(ObjectId, Result<Content, Problem>)> {
    match access {
        Access::Irsa { role_arn, service_account } => {
            let role_arn = Some(role_arn.to_string());
            vec![(
                ObjectId::service_account(service_account.as_str()),
                Ok(Content::ServiceAccount { role_arn }),
            )]
        }
        Access::LicenseToken(access) => {
            let account = access.service_account.as_ref().map(|name| {
                (ObjectId::service_account(name.as_str()), Ok(Content::ServiceAccount { role_arn: None }))
            });
            let content = license_token(access, token)
                .map(|token| Content::license_token(&token, access.role_arn.as_str()));
            account.into_iter().chain([(ObjectId::secret(access.secret.as_str()), content)]).collect()
        }
    }
}

fn license_token(access: &LicenseToken, token: Option<&TokenReading>) -> Result<Hidden, Problem> {
    let TokenOrigin::Secret { name, key } = &access.origin else {
        return Err(fails(
            "TokenCreationNotSupported",
            "this version cannot create license tokens; create one in AWS License Manager, put it into a Secret of this namespace and name that in spec.access.licenseToken.tokenSecretRef".to_owned(),
        ));
    };
    let (reason, what) = match token {
        Some(TokenReading::Value(value)) => match stripped(value) {
            Some(token) if !token.0.is_empty() => return Ok(token),
            Some(_) => (
                "TokenEmpty",
                format!("the key {key} of the Secret {name} is empty; put the license token there"),
            ),
            None => (
                "TokenInvalid",
                format!(
                    "the key {key} of the Secret {name} is no text; put the license token there as it was given to you"
                ),
            ),
        },
        Some(TokenReading::NoSecret) | None => (
            "TokenSecretNotFound",
            format!("there is no Secret {name}; create it with the license token under the key {key}"),
        ),
        Some(TokenReading::NoKey) => {
            ("TokenKeyNotFound", format!("the Secret {name} has no key {key}; put the license token there"))
        }
        Some(TokenReading::Forbidden) => return Err(forbidden(&ObjectId::secret(name.as_str()))),
    };
    Err(fails(reason, what))
}

/// The token without the white space and the quotes that copying brings along; `None` if it is no text.
fn stripped(value: &Hidden) -> Option<Hidden> {
    let text = std::str::from_utf8(&value.0).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\u{feff}'));
    Some(Hidden(text.as_bytes().to_vec()))
}

/// What one object takes, and what stands in the way.
fn step(
    observed: &Observed,
    id: ObjectId,
    content: Result<Content, Problem>,
) -> (Option<Step>, Option<Problem>) {
    let owner = &observed.subject.owner;
    let found = match observed.objects.get(&id) {
        Some(Reading::Found(found)) => found,
        Some(Reading::Forbidden) => return (None, Some(forbidden(&id))),
        Some(Reading::Absent) | None => {
            return match content {
                Ok(content) => (Some(Step::Create { id, content }), None),
                Err(problem) => (None, Some(problem)),
            };
        }
    };
    if found.title(&owner.uid) == Title::Taken {
        let message = format!(
            "{id} exists, and Tollkeeper did not make it for this binding; it is left alone: delete it, or name another one in spec.access"
        );
        return (None, Some(fails("NameTaken", message)));
    }
    if found.is_terminating {
        let message = format!("{id} is being deleted; it is made anew when it is gone");
        return (None, Some(waits("Terminating", message)));
    }
    let content = match content {
        Ok(content) => content,
        Err(problem) => return (None, Some(problem)),
    };
    if matches!(found.content, Content::Secret { is_opaque: false, .. }) {
        let message =
            format!("{id} is of another type than Opaque, which cannot be changed; it is made anew");
        return (Some(delete(&id, found)), Some(waits("Replacing", message)));
    }
    if found.is_as_wanted(&content, owner) {
        return (None, None);
    }
    (Some(Step::Repair { id, content, found: found.clone() }), None)
}

fn forbidden(id: &ObjectId) -> Problem {
    let kind = id.kind.as_str();
    fails(
        "AccessForbidden",
        format!(
            "the operator may not read {id}; grant it {kind}s in this namespace (chart value secretNamespaces or watchNamespaces)"
        ),
    )
}

fn fails(reason: &'static str, message: String) -> Problem {
    Verdict::fails(ACCESS_PROVISIONED, reason, message)
}

fn waits(reason: &'static str, message: String) -> Problem {
    Verdict::waits(ACCESS_PROVISIONED, reason, message)
}
