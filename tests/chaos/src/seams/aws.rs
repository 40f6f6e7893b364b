//! AWS with faults: the simulator's true answers, and what becomes of them on the way.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use tollkeeper_core::{
    classification::{Reply, classify_meter_usage},
    clock::Clock as _,
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Entry, Ledger as _},
    metering::{MeterUsage, Metering, Outcome},
    report::report_name,
};
use tollkeeper_simulator::{Caller, SimulatedMetering};

use super::hand::Hand;
use crate::{
    cell::{AwsFault, Deed, ErrorName, Step},
    mutant::Mutant,
    tenant::Tenant,
};

pub(crate) struct ChaosMetering {
    hand: Hand,
    aws: SimulatedMetering,
}

impl ChaosMetering {
    pub(crate) fn new(hand: Hand) -> Self {
        let caller = Caller::pod(hand.pod.clone());
        let clock: Arc<_> = hand.world.clock.clone();
        Self { aws: SimulatedMetering::new(hand.world.aws.clone(), clock, caller), hand }
    }

    /// Whether AWS has a record of this pod for the slot: then only its true answer is possible.
    fn is_taken(&self, request: &MeterUsage) -> bool {
        let aws = self.hand.world.aws.lock();
        let hour = BillingHour::of(request.timestamp);
        aws.view().accepted.iter().any(|record| {
            record.pod == self.hand.pod
                && record.product_code == request.product_code.as_str()
                && record.hour == hour
                && record.dimension == request.dimension.as_str()
        })
    }

    async fn outcome(&self, request: &MeterUsage, deed: Option<Deed>) -> Outcome {
        let lost = Reply::Lost { message: "chaos".to_owned() };
        let broken = |status: u16| Reply::Error { status, code: None, message: "chaos".to_owned() };
        let fault = match deed {
            Some(Deed::Aws(fault)) => Some(fault),
            Some(Deed::Refuse) => Some(AwsFault::NotSent),
            _ => self.standing_fault(),
        };
        let Some(fault) = fault else { return self.aws.meter_usage(request).await };
        let reply = match fault {
            AwsFault::NotSent => Reply::NotSent { message: "chaos".to_owned() },
            AwsFault::Error500Before => broken(500),
            AwsFault::Html502 => broken(502),
            AwsFault::ReplyLost
            | AwsFault::Truncated
            | AwsFault::Error500After
            | AwsFault::Html502After
            | AwsFault::NoRecordId => {
                self.aws.meter_usage(request).await;
                match fault {
                    // As `reply.rs` of the marketplace crate reads a body that breaks off.
                    AwsFault::ReplyLost | AwsFault::Truncated => lost,
                    AwsFault::Error500After => broken(500),
                    AwsFault::Html502After => broken(502),
                    _ => Reply::Accepted { id: String::new() },
                }
            }
            AwsFault::Slow => {
                let outcome = self.aws.meter_usage(request).await;
                let world = &self.hand.world;
                world.clock.sleep_until(world.now() + SignedDuration::from_secs(45)).await;
                return outcome;
            }
            AwsFault::Named(name) if self.is_taken(request) && !is_of_the_caller(name) => {
                return self.aws.meter_usage(request).await;
            }
            AwsFault::Named(name) => {
                Reply::Error { status: 400, code: Some(format!("{name:?}")), message: "chaos".to_owned() }
            }
        };
        classify_meter_usage(&reply)
    }

    /// The oracle sees what is sent.
    fn note(&self, tenant: Tenant, request: &MeterUsage, entry: Option<&Entry>) {
        let (pod, now) = (&self.hand.pod, self.hand.world.now());
        let mut state = self.hand.world.state();
        let calls = state.calls.note(pod, now);
        let oracle = state.oracle(tenant);
        oracle.note_pace(pod, calls, now);
        oracle.note_send(request, entry, (pod, self.hand.epoch), now);
    }

    /// What AWS does to every call at the moment.
    fn standing_fault(&self) -> Option<AwsFault> {
        let now = self.hand.world.now();
        let mut state = self.hand.world.state();
        if now < state.aws_down_until {
            let ways = [AwsFault::NotSent, AwsFault::Error500Before, AwsFault::Html502, AwsFault::NotSent];
            return state.random.pick(&ways).copied();
        }
        if now < state.throttled_until {
            return Some(AwsFault::Named(ErrorName::ThrottlingException));
        }
        (now < state.not_entitled_until).then_some(AwsFault::Named(ErrorName::CustomerNotEntitledException))
    }
}

/// Refusals that come before AWS looks at the record.
fn is_of_the_caller(name: ErrorName) -> bool {
    matches!(
        name,
        ErrorName::AccessDeniedException
            | ErrorName::DisabledApiException
            | ErrorName::ExpiredTokenException
            | ErrorName::ThrottlingException
            | ErrorName::UnheardOfException
    )
}

#[async_trait]
impl Metering for ChaosMetering {
    async fn meter_usage(&self, request: &MeterUsage) -> Outcome {
        let world = &self.hand.world;
        let request = Mutant::request(world, self.hand.process, request);
        world.trace(format_args!(
            "p{} ({}) sends {} {} of {}",
            self.hand.process, self.hand.pod, request.quantity, request.dimension, request.timestamp
        ));
        let tenant = Tenant::of_code(&request.product_code);
        let product = tenant.key();
        let name = report_name(&product.name, BillingHour::of(request.timestamp));
        let entry = world.ledger.get(&ObjectKey::new(product.namespace, name)).await.ok().flatten();
        self.note(tenant, &request, entry.as_ref());
        if let Some(probe) = Mutant::probe(world, &request) {
            self.aws.meter_usage(&probe).await;
        }
        let deed = self.hand.begin(tenant, Step::Send).await;
        let outcome = self.outcome(&request, deed).await;
        self.hand.end(Step::Send, deed).await;
        let outcome = if deed == Some(Deed::LoseAnswer) {
            classify_meter_usage(&Reply::Lost { message: "chaos".to_owned() })
        } else {
            outcome
        };
        world.trace(format_args!("p{} got {outcome:?}", self.hand.process));
        Mutant::outcome(world, outcome)
    }
}
