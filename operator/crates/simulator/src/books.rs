//! What AWS has billed: one record a product, dimension, hour, account and pod; the first write wins.
//!
//! The books also watch for what AWS cannot see: one slot billed through two pods.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::Serialize;
use tollkeeper_core::hour::BillingHour;
use uuid::Uuid;

use crate::{
    caller::{Caller, Pod},
    error::ApiError,
    request::{Amount, MeterUsageRequest, RecordedAllocation},
    settings::TokenScope,
};

/// Refusals kept: enough for any test, and a bound for a server that is called for days.
const KEPT_REFUSALS: usize = 10_000;

/// Namespace of the record ids, so that the same run gives the same ids.
const RECORD_IDS: Uuid = Uuid::from_u128(0x7ab1_5e0f_44c0_5d29_9d1e_6f2a_7c83_b05d);

/// What AWS tells records apart by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct RecordKey {
    product_code: String,
    dimension: String,
    hour: BillingHour,
    account: String,
    pod: String,
}

/// A metering record that the buyer pays for.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedRecord {
    /// `MeterUsage`.
    pub operation: &'static str,
    /// The product.
    pub product_code: String,
    /// The account that pays.
    pub buyer: String,
    /// The dimension.
    pub dimension: String,
    /// The hour that it is billed in.
    pub hour: BillingHour,
    /// The timestamp as it was sent.
    pub timestamp: Timestamp,
    /// How much.
    pub quantity: Amount,
    /// The id that the caller was given.
    pub metering_record_id: String,
    /// The UID of the pod that it came through.
    pub pod: String,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// In the order of their tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<RecordedAllocation>,
    /// When AWS took it.
    pub at: Timestamp,
    /// How many identical requests came after it and got its id.
    pub repeats: u32,
}

/// A request that AWS refused.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedRequest {
    /// `MeterUsage`.
    pub operation: &'static str,
    /// The product.
    pub product_code: String,
    /// The caller's account.
    pub buyer: String,
    /// The dimension.
    pub dimension: String,
    /// The hour of its timestamp.
    pub hour: BillingHour,
    /// How much.
    pub quantity: Amount,
    /// The UID of the calling pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// The AWS error name.
    pub reason: String,
    /// What AWS said.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// What a client token was first used for; a later use must repeat all of it. The timestamp counts as sent.
#[derive(Clone, PartialEq, Debug)]
struct TokenUse {
    product_code: String,
    dimension: String,
    timestamp: Timestamp,
    quantity: Amount,
    allocations: Vec<RecordedAllocation>,
    /// Index into `Books::accepted`.
    record: usize,
}

impl TokenUse {
    fn is_repeated_by(&self, request: &MeterUsageRequest, allocations: &[RecordedAllocation]) -> bool {
        self.product_code == request.product_code
            && self.dimension == request.dimension
            && self.timestamp == request.timestamp
            && self.quantity == Amount(request.quantity)
            && self.allocations == allocations
    }
}

/// The records of every buyer and all that decides about the next one.
#[derive(Default, Debug)]
pub(crate) struct Books {
    accepted: Vec<AcceptedRecord>,
    rejected: VecDeque<RejectedRequest>,
    rejected_before: u64,
    /// Index into `accepted`.
    slots: BTreeMap<RecordKey, usize>,
    tokens: BTreeMap<(String, Option<String>, String), TokenUse>,
    /// Pods whose subscription was found valid, by product.
    admitted: BTreeSet<(String, String)>,
}

impl Books {
    pub(crate) fn accepted(&self) -> &[AcceptedRecord] {
        &self.accepted
    }

    pub(crate) fn rejected(&self) -> impl Iterator<Item = &RejectedRequest> {
        self.rejected.iter()
    }

    /// How many refusals were forgotten because newer ones needed their place.
    pub(crate) fn rejected_before(&self) -> u64 {
        self.rejected_before
    }

    /// AWS looks at the subscription at a pod's first calls for a product only: once it was valid, it is not asked again.
    pub(crate) fn check_entitled(
        &mut self,
        pod: &Pod,
        product_code: &str,
        entitled: bool,
    ) -> Result<(), ApiError> {
        let key = (pod.uid.clone(), product_code.to_owned());
        if entitled {
            self.admitted.insert(key);
        } else if !self.admitted.contains(&key) {
            return Err(ApiError::client(
                "CustomerNotEntitledException",
                "The customer does not have a valid subscription for the product.",
            ));
        }
        Ok(())
    }

    /// Writes the record, or finds the one that an identical request wrote. The token is looked at before the slot, so that
    /// a token used for two requests is told from two requests for one slot.
    pub(crate) fn record(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        pod: &Pod,
        request: &MeterUsageRequest,
        scope: TokenScope,
    ) -> Result<String, ApiError> {
        let allocations = request.canonical_allocations();
        let token = request.client_token.as_ref().map(|token| {
            let pod = (scope == TokenScope::Pod).then(|| pod.uid.clone());
            (caller.account.clone(), pod, token.clone())
        });
        if let Some(earlier) = token.as_ref().and_then(|token| self.tokens.get(token)) {
            if !earlier.is_repeated_by(request, &allocations) {
                return Err(ApiError::client(
                    "IdempotencyConflictException",
                    "The ClientToken is being used for multiple requests.",
                ));
            }
            return self.repeat(earlier.record);
        }
        let key = RecordKey {
            product_code: request.product_code.clone(),
            dimension: request.dimension.clone(),
            hour: request.hour(),
            account: caller.account.clone(),
            pod: pod.uid.clone(),
        };
        let use_of_token = TokenUse {
            product_code: request.product_code.clone(),
            dimension: request.dimension.clone(),
            timestamp: request.timestamp,
            quantity: Amount(request.quantity),
            allocations,
            record: self.slots.get(&key).copied().unwrap_or(self.accepted.len()),
        };
        let index = use_of_token.record;
        let id = match self.accepted.get(index) {
            Some(first) => {
                if first.quantity != use_of_token.quantity || first.allocations != use_of_token.allocations {
                    return Err(duplicate(request, first));
                }
                self.repeat(index)?
            }
            None => self.write(now, key, request, use_of_token.allocations.clone()),
        };
        if let Some(token) = token {
            self.tokens.insert(token, use_of_token);
        }
        Ok(id)
    }

    fn repeat(&mut self, index: usize) -> Result<String, ApiError> {
        let record = self.accepted.get_mut(index).ok_or_else(ApiError::internal)?;
        record.repeats = record.repeats.saturating_add(1);
        Ok(record.metering_record_id.clone())
    }

    fn write(
        &mut self,
        now: Timestamp,
        key: RecordKey,
        request: &MeterUsageRequest,
        allocations: Vec<RecordedAllocation>,
    ) -> String {
        let id = record_id(&key);
        self.accepted.push(AcceptedRecord {
            operation: "MeterUsage",
            product_code: key.product_code.clone(),
            buyer: key.account.clone(),
            dimension: key.dimension.clone(),
            hour: key.hour,
            timestamp: request.timestamp,
            quantity: Amount(request.quantity),
            metering_record_id: id.clone(),
            pod: key.pod.clone(),
            client_token: request.client_token.clone(),
            allocations,
            at: now,
            repeats: 0,
        });
        self.slots.insert(key, self.accepted.len().saturating_sub(1));
        id
    }

    pub(crate) fn refuse(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &MeterUsageRequest,
        error: &ApiError,
    ) {
        if self.rejected.len() >= KEPT_REFUSALS {
            self.rejected.pop_front();
            self.rejected_before = self.rejected_before.saturating_add(1);
        }
        self.rejected.push_back(RejectedRequest {
            operation: "MeterUsage",
            product_code: request.product_code.clone(),
            buyer: caller.account.clone(),
            dimension: request.dimension.clone(),
            hour: request.hour(),
            quantity: Amount(request.quantity),
            pod: caller.pod.as_ref().map(|pod| pod.uid.clone()),
            client_token: request.client_token.clone(),
            reason: error.code.to_string(),
            message: error.message.clone(),
            at: now,
        });
    }
}

fn duplicate(request: &MeterUsageRequest, first: &AcceptedRecord) -> ApiError {
    ApiError::client(
        "DuplicateRequestException",
        format!(
            "A metering record has already been emitted by the same EKS pod for the given {{{}, {}}} with a different \
             usageQuantity or usageAllocations: {} was recorded first.",
            request.dimension,
            request.hour(),
            first.quantity.0
        ),
    )
}

fn record_id(key: &RecordKey) -> String {
    let hour = key.hour.to_string();
    let parts = ["MeterUsage", &key.account, &key.product_code, &key.dimension, &hour, &key.pod];
    Uuid::new_v5(&RECORD_IDS, parts.join("\n").as_bytes()).to_string()
}
