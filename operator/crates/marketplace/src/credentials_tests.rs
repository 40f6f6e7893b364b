use super::*;

fn irsa() -> AwsEnvironment {
    AwsEnvironment {
        web_identity_token_file: Some("/token".into()),
        role_arn: Some("arn:aws:iam::123456789012:role/meter".into()),
        ..AwsEnvironment::default()
    }
}

fn refused(env: &AwsEnvironment) -> &'static str {
    WebIdentity::of(env).unwrap_err().reason()
}

#[test]
fn a_web_identity_wins_over_all_that_is_beside_it() {
    let env = AwsEnvironment { access_key_present: true, container_credentials_present: true, ..irsa() };
    assert_eq!(CredentialKind::of(&env), CredentialKind::WebIdentity);
    let identity = WebIdentity::of(&env).unwrap();
    assert_eq!(identity.session_name, "tollkeeper");
}

#[test]
fn pod_identity_is_refused_by_its_name() {
    let env = AwsEnvironment { container_credentials_present: true, ..AwsEnvironment::default() };
    assert_eq!(refused(&env), "PodIdentityNotSupported");
}

#[test]
fn access_keys_are_refused_by_their_name() {
    let env = AwsEnvironment {
        access_key_present: true,
        container_credentials_present: true,
        ..AwsEnvironment::default()
    };
    assert_eq!(refused(&env), "StaticKeysNotSupported");
}

#[test]
fn half_a_web_identity_says_which_half_is_missing() {
    let no_file = AwsEnvironment { web_identity_token_file: None, ..irsa() };
    assert_eq!(
        WebIdentity::of(&no_file).unwrap_err().to_string(),
        "the pod has no IAM role of its own: AWS_WEB_IDENTITY_TOKEN_FILE is not set; annotate its ServiceAccount with \
         eks.amazonaws.com/role-arn and restart the pod"
    );
    let no_role = AwsEnvironment { role_arn: None, ..irsa() };
    assert_eq!(
        WebIdentity::of(&no_role),
        Err(CredentialProblem::WebIdentityMissing { missing: "AWS_ROLE_ARN" })
    );
    assert_eq!(refused(&AwsEnvironment::default()), "WebIdentityMissing");
}

#[test]
fn a_role_without_a_token_does_not_make_pod_identity_acceptable() {
    let env = AwsEnvironment { web_identity_token_file: None, container_credentials_present: true, ..irsa() };
    assert_eq!(refused(&env), "PodIdentityNotSupported");
}

#[test]
fn a_session_name_that_sts_would_refuse_is_refused_at_the_start() {
    for name in ["x", "with space", "slash/y", "ümlaut", &"x".repeat(65)] {
        let env = AwsEnvironment { role_session_name: Some(name.into()), ..irsa() };
        assert_eq!(refused(&env), "SessionNameInvalid", "{name}");
    }
    for name in ["xy", "pod_1+a=b,c.d@e-f", &"x".repeat(64)] {
        let env = AwsEnvironment { role_session_name: Some(name.into()), ..irsa() };
        assert_eq!(WebIdentity::of(&env).unwrap().session_name, name);
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    for problem in [
        CredentialProblem::PodIdentityNotSupported,
        CredentialProblem::StaticKeysNotSupported,
        CredentialProblem::NodeRoleNotSupported,
        CredentialProblem::WebIdentityMissing { missing: "AWS_ROLE_ARN" },
    ] {
        let text = problem.to_string();
        assert!(text.contains("eks.amazonaws.com/role-arn") && text.contains("restart the pod"), "{text}");
    }
}
