use super::*;

fn parse(body: &str) -> Result<MeterUsageRequest, String> {
    MeterUsageRequest::from_json(body.as_bytes()).map_err(|error| error.code.into_owned())
}

#[test]
fn a_body_of_the_wrong_shape_is_a_serialization_error() {
    for body in [
        "",
        "[]",
        "{",
        r#"{"ProductCode":7}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":"now"}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageQuantity":1.5}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1e300}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"DryRun":"yes"}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageAllocations":{}}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageAllocations":[1]}"#,
    ] {
        assert_eq!(parse(body), Err("SerializationException".into()), "{body}");
    }
}

#[test]
fn missing_members_and_quantities_out_of_range_are_validation_errors() {
    for body in [
        r#"{"UsageDimension":"d","Timestamp":1}"#,
        r#"{"ProductCode":"p","Timestamp":1}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":null}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageQuantity":-1}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageQuantity":2147483648}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageQuantity":1,"UsageQuantityAsDecimal":"1"}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageQuantityAsDecimal":"017"}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageQuantityAsDecimal":"1.0000001"}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageQuantityAsDecimal":"-1"}"#,
        r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1,"UsageAllocations":[{}]}"#,
    ] {
        assert_eq!(parse(body), Err("ValidationException".into()), "{body}");
    }
}

#[test]
fn a_quantity_that_is_left_out_is_zero() {
    let request = parse(r#"{"ProductCode":"p","UsageDimension":"d","Timestamp":1795269600.5}"#).unwrap();
    assert!(request.quantity.is_zero());
    assert_eq!(request.hour().to_string(), "2026-11-21T14:00:00Z");
    assert_eq!(request.timestamp.as_millisecond(), 1_795_269_600_500);
}

#[test]
fn a_fraction_is_shown_as_text_and_a_whole_quantity_as_a_number() {
    let mut aws = Simulator::default();
    call(&mut aws, json!({"UsageQuantity": null, "UsageQuantityAsDecimal": "0.25"})).unwrap();
    call(&mut aws, json!({"UsageDimension": "other", "ClientToken": null})).unwrap();
    let view = serde_json::to_value(aws.view()).unwrap();
    assert_eq!(view["accepted"][0]["quantity"], "0.250000");
    assert_eq!(view["accepted"][1]["quantity"], 812);
}
