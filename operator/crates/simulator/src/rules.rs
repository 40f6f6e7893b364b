//! The rules that a `MeterUsage` request must satisfy whatever was sent before: bounds of the API model, tags, allocations, window.
//!
//! Sources: the API model of `MeterUsage` and the seller guide's "Vendor-metered tagging".

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::quantity::Quantity;

use crate::{
    error::ApiError,
    request::{MeterUsageRequest, RequestedAllocation},
};

/// How far back usage may lie: "up to six hours in the past" (MeterUsage, `Timestamp`).
pub const WINDOW: SignedDuration = SignedDuration::from_hours(6);

/// API model: `UsageAllocations` has 1 to 2,500 members.
pub const MAX_ALLOCATIONS: usize = 2500;

/// API model: `TagList` has 1 to 5 members; the seller guide: at most 5 tags across the allocations of a record.
pub const MAX_TAGS: usize = 5;

/// Bounds that AWS front ends check before an operation is looked at.
pub(crate) fn check_form(request: &MeterUsageRequest) -> Result<(), ApiError> {
    let code = &request.product_code;
    if code.len() > 255
        || !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/=:_.@".contains(&byte))
    {
        let rule =
            "Member must satisfy regular expression pattern: ^[-a-zA-Z0-9/=:_.@]*$ and be at most 255 long";
        return Err(ApiError::validation("productCode", rule));
    }
    check_length("usageDimension", &request.dimension, 255)?;
    match &request.client_token {
        Some(token) => check_length("clientToken", token, 64),
        None => Ok(()),
    }
}

fn check_length(member: &str, text: &str, longest: usize) -> Result<(), ApiError> {
    if (1..=longest).contains(&text.chars().count()) {
        return Ok(());
    }
    Err(ApiError::validation(member, format!("Member must have length between 1 and {longest}, inclusive")))
}

/// The usage must lie in the last six hours and not ahead of AWS's clock.
pub(crate) fn check_window(now: Timestamp, timestamp: Timestamp) -> Result<(), ApiError> {
    let out_of_bounds = |why: &str| {
        Err(ApiError::client(
            "TimestampOutOfBoundsException",
            format!(
                "The timestamp value {timestamp} passed in the UsageRecord is out of allowed range: {why}."
            ),
        ))
    };
    if timestamp > now {
        return out_of_bounds("it is in the future");
    }
    if now.duration_since(timestamp) > WINDOW {
        return out_of_bounds("it is more than six hours in the past");
    }
    Ok(())
}

/// Tags first, then their sets, then the sum, as the errors' documentation divides it between the two names.
pub(crate) fn check_allocations(request: &MeterUsageRequest) -> Result<(), ApiError> {
    let Some(parts) = &request.allocations else { return Ok(()) };
    if !(1..=MAX_ALLOCATIONS).contains(&parts.len()) {
        return Err(wrong_allocations(format!("{} allocations are not 1 to {MAX_ALLOCATIONS}", parts.len())));
    }
    for part in parts {
        check_tags(part)?;
    }
    let keys: BTreeSet<_> = parts.iter().flat_map(tags).map(|(key, _)| key).collect();
    if keys.len() > MAX_TAGS {
        return Err(wrong_tag(format!("{} tag keys in one record are more than {MAX_TAGS}", keys.len())));
    }
    let sets: BTreeSet<BTreeSet<_>> = parts.iter().map(|part| tags(part).collect()).collect();
    if sets.len() != parts.len() {
        return Err(wrong_allocations("two allocations have the same set of tags".to_owned()));
    }
    let sum: Quantity = parts.iter().map(|part| part.quantity).sum();
    if sum != request.quantity {
        return Err(wrong_allocations(format!(
            "the sum of the allocated usage quantities, {sum}, is not equal to the usage quantity, {}",
            request.quantity
        )));
    }
    Ok(())
}

fn tags(part: &RequestedAllocation) -> impl Iterator<Item = (&str, &str)> {
    part.tags.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn check_tags(part: &RequestedAllocation) -> Result<(), ApiError> {
    let Some(listed) = &part.tags else { return Ok(()) };
    if !(1..=MAX_TAGS).contains(&listed.len()) {
        return Err(wrong_tag(format!("{} tags of an allocation are not 1 to {MAX_TAGS}", listed.len())));
    }
    for (key, value) in tags(part) {
        if !fits(key, 100) || !fits(value, 256) {
            let tag: String = key.chars().take(100).collect();
            return Err(wrong_tag(format!("the tag {tag} has a key or value that is not allowed")));
        }
    }
    let keys: BTreeSet<_> = tags(part).map(|(key, _)| key).collect();
    if keys.len() != listed.len() {
        return Err(wrong_tag("an allocation has the same tag key twice".to_owned()));
    }
    Ok(())
}

/// The documented characters. The API model's pattern reads ` -=` as a range and so lets more through by accident.
fn fits(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+ -=._:/@".contains(&byte))
}

fn wrong_tag(why: String) -> ApiError {
    ApiError::client("InvalidTagException", format!("The tag is invalid: {why}."))
}

fn wrong_allocations(why: String) -> ApiError {
    ApiError::client("InvalidUsageAllocationsException", format!("The usage allocations are invalid: {why}."))
}
