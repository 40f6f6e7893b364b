use proptest::prelude::*;

use super::*;

fn error(status: u16, code: &str) -> Outcome {
    classify_meter_usage(&Reply::Error { status, code: Some(code.into()), message: "said so".into() })
}

fn said(reason: &str) -> Refusal {
    refusal(reason, "said so")
}

macro_rules! documented {
    ($($test:ident: $status:literal $name:literal => $outcome:ident;)*) => {$(
        #[test]
        fn $test() {
            assert_eq!(error($status, $name), Outcome::$outcome(said($name)));
        }
    )*};
}

// Every error that the API model of MeterUsage documents, and those that its pages add.
documented! {
    an_internal_error_leaves_the_record_in_doubt: 500 "InternalServiceErrorException" => Unknown;
    a_throttled_call_was_not_taken: 400 "ThrottlingException" => NotAccepted;
    another_quantity_for_a_taken_slot_is_final: 400 "DuplicateRequestException" => Rejected;
    a_client_token_used_twice_is_final: 400 "IdempotencyConflictException" => Rejected;
    a_time_outside_the_window_is_final_for_its_hour: 400 "TimestampOutOfBoundsException" => OutOfWindow;
    a_customer_without_a_subscription_is_final: 400 "CustomerNotEntitledException" => Rejected;
    a_wrong_product_code_is_final: 400 "InvalidProductCodeException" => Rejected;
    a_wrong_dimension_is_final: 400 "InvalidUsageDimensionException" => Rejected;
    a_wrong_tag_is_final: 400 "InvalidTagException" => Rejected;
    wrong_allocations_are_final: 400 "InvalidUsageAllocationsException" => Rejected;
    a_call_from_another_region_is_final: 400 "InvalidEndpointRegionException" => Rejected;
    an_unsupported_platform_did_not_take_it: 400 "PlatformNotSupportedException" => NotAccepted;
    a_disabled_api_did_not_take_it: 400 "DisabledApiException" => NotAccepted;
    a_dry_run_did_not_take_it: 400 "DryRunOperation" => NotAccepted;
    a_dry_run_without_permission_did_not_take_it: 400 "UnauthorizedException" => NotAccepted;
}

#[test]
fn a_caller_whom_aws_does_not_let_in_has_not_been_billed() {
    for name in ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"] {
        for status in [400, 401, 403] {
            assert_eq!(error(status, name), Outcome::NotAccepted(said(name)));
        }
    }
    for name in ["InvalidSignatureException", "MissingAuthenticationToken", "OptInRequired"] {
        assert_eq!(error(403, name), Outcome::NotAccepted(said(name)));
    }
}

#[test]
fn a_name_that_nobody_knows_leaves_the_record_in_doubt() {
    assert_eq!(error(400, "BrandNewException"), Outcome::Unknown(said("BrandNewException")));
    assert_eq!(error(400, "ValidationException"), Outcome::Unknown(said("ValidationException")));
}

#[test]
fn a_failing_server_leaves_the_record_in_doubt_whatever_it_says() {
    for name in ["ThrottlingException", "DuplicateRequestException", "AccessDeniedException"] {
        assert_eq!(error(503, name), Outcome::Unknown(said(name)));
    }
}

#[test]
fn a_reply_of_no_aws_service_is_named_after_its_status() {
    let page = |status| classify_meter_usage(&Reply::Error { status, code: None, message: "said so".into() });
    assert_eq!(page(502), Outcome::Unknown(said("Http502")));
    assert_eq!(page(403), Outcome::Unknown(said("Http403")));
    assert_eq!(page(200), Outcome::Unknown(said("Http200")));
    assert_eq!(page(429), Outcome::NotAccepted(said("Http429")));
    assert_eq!(error(502, "<html> not a name </html>"), Outcome::Unknown(said("Http502")));
    assert_eq!(error(400, &"A".repeat(500)), Outcome::Unknown(said("Http400")));
}

#[test]
fn a_qualified_name_is_the_name() {
    let name = "ThrottlingException";
    for code in ["com.amazonaws.marketplacemetering#ThrottlingException", "ThrottlingException:http://x/"] {
        assert_eq!(error(400, code), Outcome::NotAccepted(said(name)));
    }
}

#[test]
fn only_a_record_id_proves_that_the_record_was_taken() {
    let with = |id: &str| classify_meter_usage(&Reply::Accepted { id: id.into() });
    assert_eq!(with("r-1"), Outcome::Accepted { metering_record_id: "r-1".into() });
    for id in ["", "  "] {
        assert!(matches!(with(id), Outcome::Unknown(refusal) if refusal.reason == "MissingRecordId"));
    }
}

#[test]
fn a_request_that_never_left_was_not_taken_and_a_lost_reply_leaves_doubt() {
    let message = || "said so".to_owned();
    assert_eq!(
        classify_meter_usage(&Reply::NotSent { message: message() }),
        Outcome::NotAccepted(said("NotSent"))
    );
    assert_eq!(
        classify_meter_usage(&Reply::Lost { message: message() }),
        Outcome::Unknown(said("ReplyLost"))
    );
}

proptest! {
    #[test]
    fn no_error_is_ever_an_acceptance_and_no_unknown_name_is_final(status in any::<u16>(), code in ".{0,40}") {
        let outcome = error(status, &code);
        let accepted = matches!(outcome, Outcome::Accepted { .. });
        prop_assert!(!accepted);
        let known = error_name(&code).is_some_and(|name| REJECTED.contains(&name) || name == OUT_OF_WINDOW);
        if !known {
            prop_assert!(matches!(outcome, Outcome::Unknown(_) | Outcome::NotAccepted(_)));
        }
    }
}
