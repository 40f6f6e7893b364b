//! What the simulated AWS knows of the world: regions, products, subscriptions, permissions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The account of a caller that brings none: the one that AWS's own documentation uses for examples.
pub const EXAMPLE_ACCOUNT: &str = "123456789012";

/// `MeterUsage` calls a second, account and region (AWS Marketplace endpoints and quotas).
pub const CALLS_A_SECOND: u32 = 10;

/// `LookupEvents` calls a second, account and region (API reference of CloudTrail).
pub const LOOKUPS_A_SECOND: u32 = 2;

/// How long CloudTrail takes to deliver an event, in seconds: AWS says about five minutes on average and promises nothing.
pub const TRAIL_DELAY_SECONDS: u32 = 300;

/// Over which callers AWS compares a `ClientToken`. Not documented, so a client has to be right under both.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenScope {
    /// One pod: another pod that sends the same token makes a second record. The harsher reading, so the default.
    #[default]
    Pod,
    /// The buyer's account: another pod that repeats a request gets the first record's id.
    Account,
}

/// What can be set from outside, in Rust or as JSON at the control endpoint. The default accepts every product and dimension.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Known products and their dimensions. Empty: every product is known. A product without dimensions: all its dimensions are.
    pub products: BTreeMap<String, BTreeSet<String>>,
    /// Products that the buyers have no valid subscription for.
    pub not_entitled: BTreeSet<String>,
    /// ARNs of roles whose policy does not allow `aws-marketplace:MeterUsage`.
    pub denied_roles: BTreeSet<String>,
    /// The region that the pods run in, where their token's issuer does not tell (EKS issuers do). None: not checked.
    pub pod_region: Option<String>,
    /// `MeterUsage` calls a second, account and region; 0 switches the throttle off.
    pub calls_a_second: u32,
    /// ARNs of roles whose policy does not allow `cloudtrail:LookupEvents`.
    pub trail_denied_roles: BTreeSet<String>,
    /// How long CloudTrail takes to deliver an event, in seconds of the simulator's clock.
    pub trail_delay_seconds: u32,
    /// `LookupEvents` calls a second, account and region; 0 switches the throttle off.
    pub lookups_a_second: u32,
    /// Over which callers a `ClientToken` counts.
    pub token_scope: TokenScope,
    /// The audience that STS asks of a web identity token. None: not checked.
    pub audience: Option<String>,
    /// Lets in access keys that STS never issued: each is a pod named after the key. For tools without web identity.
    pub allow_any_credentials: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            products: BTreeMap::new(),
            not_entitled: BTreeSet::new(),
            denied_roles: BTreeSet::new(),
            pod_region: None,
            calls_a_second: CALLS_A_SECOND,
            trail_denied_roles: BTreeSet::new(),
            trail_delay_seconds: TRAIL_DELAY_SECONDS,
            lookups_a_second: LOOKUPS_A_SECOND,
            token_scope: TokenScope::default(),
            audience: Some("sts.amazonaws.com".to_owned()),
            allow_any_credentials: false,
        }
    }
}
