//! AWS as one deterministic value: a call and a moment go in, an answer comes out.
//!
//! The order of checks, so that each documented error can be told from the others: quota; bounds of the API model; region;
//! permission and `DryRun`; platform; product and dimension; tags and allocations; subscription; window; client token; slot.
//! The window comes before token and slot: a late repeat of an accepted request is `TimestampOutOfBoundsException`, which
//! therefore proves nothing about an earlier attempt whose outcome is unknown.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    books::Books,
    caller::Caller,
    error::ApiError,
    faults::{Call, Effect, Engine, FaultScript, InjectedFault, Operation},
    request::MeterUsageRequest,
    rules,
    settings::Settings,
    throttle::Throttle,
    trail::{LookupEventsRequest, Trail},
    view::BooksView,
};

/// Faults kept for the view: a bound for a server that is called for days.
const KEPT_FAULTS: usize = 10_000;

/// The id of an accepted record, as AWS returns it.
pub type MeteringRecordId = String;

/// What the caller's connection carries.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer<T> {
    /// A readable reply.
    Reply(Result<T, ApiError>),
    /// A readable head and a body that breaks off.
    Truncated(Result<T, ApiError>),
    /// A proxy's page with status 502.
    Html502,
    /// The connection closes without a reply.
    Dropped,
    /// The connection is reset.
    Reset,
}

/// An answer and how long the caller waits for it, on the simulator's clock.
#[derive(Clone, PartialEq, Debug)]
pub struct Exchange<T> {
    /// How long.
    pub delay: Duration,
    /// What then.
    pub answer: Answer<T>,
}

/// Settings, books, quota and faults.
#[derive(Debug, Default)]
pub struct Simulator {
    settings: Settings,
    books: Books,
    throttle: Throttle,
    trail: Trail,
    lookups: Throttle,
    script: FaultScript,
    faults: Engine,
    injected: Vec<InjectedFault>,
}

impl Simulator {
    /// Empty books, no faults.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// One `MeterUsage` call with AWS's true answer, no faults.
    ///
    /// # Errors
    /// Every documented error of the operation, and the common errors `ValidationException`, `AccessDeniedException`,
    /// `PlatformNotSupportedException`. A dry run always ends in one: `DryRunOperation` is its success.
    pub fn meter_usage(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &MeterUsageRequest,
    ) -> Result<MeteringRecordId, ApiError> {
        self.meter_usage_paced(now, now, caller, request)
    }

    /// The same, with the moment that the quota counts by: a frozen clock must not turn ten calls into a throttle for ever.
    pub(crate) fn meter_usage_paced(
        &mut self,
        now: Timestamp,
        pace: Timestamp,
        caller: &Caller,
        request: &MeterUsageRequest,
    ) -> Result<MeteringRecordId, ApiError> {
        let outcome = self.judge(now, pace, caller, request);
        if let Err(error) = &outcome
            && error.code != "DryRunOperation"
        {
            self.books.refuse(now, caller, request, error);
        }
        self.trail.note(now, caller, request, &outcome);
        outcome
    }

    /// One `LookupEvents` call, as it ends on the wire: a page of the event history, or what the fault script makes of it.
    pub fn look_up(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &LookupEventsRequest,
    ) -> Exchange<Value> {
        self.look_up_paced(now, now, caller, request)
    }

    pub(crate) fn look_up_paced(
        &mut self,
        now: Timestamp,
        pace: Timestamp,
        caller: &Caller,
        request: &LookupEventsRequest,
    ) -> Exchange<Value> {
        let call = Call {
            now,
            operation: Operation::LookupEvents,
            product_code: None,
            dimension: None,
            hour: None,
            pod: caller.pod.as_ref().map(|pod| pod.uid.as_str()),
        };
        self.with_faults(&call, ApiError::failure, ApiError::throttled, |simulator| {
            let Self { settings, trail, lookups, .. } = simulator;
            if !lookups.admit(pace, &caller.account, &caller.region, settings.lookups_a_second) {
                return Err(ApiError::throttled());
            }
            if settings.trail_denied_roles.contains(&caller.role_arn) {
                return Err(access_denied(caller, "cloudtrail:LookupEvents"));
            }
            let delay = SignedDuration::from_secs(i64::from(settings.trail_delay_seconds));
            trail.page(now, delay, caller, request)
        })
    }

    /// One `MeterUsage` call as it ends on the wire: the true answer, or what the fault script makes of it.
    pub fn exchange(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: &MeterUsageRequest,
    ) -> Exchange<MeteringRecordId> {
        self.exchange_paced(now, now, caller, request)
    }

    pub(crate) fn exchange_paced(
        &mut self,
        now: Timestamp,
        pace: Timestamp,
        caller: &Caller,
        request: &MeterUsageRequest,
    ) -> Exchange<MeteringRecordId> {
        let call = Call {
            now,
            operation: Operation::MeterUsage,
            product_code: Some(&request.product_code),
            dimension: Some(&request.dimension),
            hour: Some(request.hour()),
            pod: caller.pod.as_ref().map(|pod| pod.uid.as_str()),
        };
        self.with_faults(&call, ApiError::internal, ApiError::throttled, |simulator| {
            simulator.meter_usage_paced(now, pace, caller, request)
        })
    }

    /// Does the call or not, as the script says, and makes the answer.
    pub(crate) fn with_faults<T>(
        &mut self,
        call: &Call<'_>,
        failed: fn() -> ApiError,
        throttled: fn() -> ApiError,
        done: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Exchange<T> {
        let (decision, injected) = self.faults.decide(call);
        self.injected.extend(injected);
        let surplus = self.injected.len().saturating_sub(KEPT_FAULTS);
        self.injected.drain(..surplus);
        let delay = decision.delay;
        let Some((effect, commits)) = decision.effect else {
            return Exchange { delay, answer: Answer::Reply(done(self)) };
        };
        let result = if commits { done(self) } else { Err(failed()) };
        let answer = match effect {
            Effect::AcceptThenDrop => Answer::Dropped,
            Effect::Reset => Answer::Reset,
            Effect::Html502 => Answer::Html502,
            Effect::TruncatedJson => Answer::Truncated(result),
            Effect::Error500Before | Effect::Error500After => Answer::Reply(Err(failed())),
            Effect::Throttle(_) => Answer::Reply(Err(throttled())),
            Effect::Error(error) => Answer::Reply(Err(ApiError {
                code: error.code.into(),
                status: error.status,
                message: error.message,
            })),
            // The engine adds delays up and never makes one the effect.
            Effect::Delay(_) => Answer::Reply(result),
        };
        Exchange { delay, answer }
    }

    fn judge(
        &mut self,
        now: Timestamp,
        pace: Timestamp,
        caller: &Caller,
        request: &MeterUsageRequest,
    ) -> Result<MeteringRecordId, ApiError> {
        let Self { settings, books, throttle, .. } = self;
        if !throttle.admit(pace, &caller.account, &caller.region, settings.calls_a_second) {
            return Err(ApiError::throttled());
        }
        rules::check_form(request)?;
        let pod_region = caller.pod.as_ref().and_then(|pod| pod.region.as_ref());
        if let Some(region) = pod_region.or(settings.pod_region.as_ref())
            && *region != caller.region
        {
            return Err(ApiError::client(
                "InvalidEndpointRegionException",
                format!(
                    "The endpoint being called is in {}, a different Region than your EKS pod, which is in {region}.",
                    caller.region
                ),
            ));
        }
        check_permission(settings, caller, request.dry_run)?;
        let Some(pod) = &caller.pod else {
            return Err(ApiError::client(
                "PlatformNotSupportedException",
                "The credentials are not those of an EKS pod with an IAM role for its service account.",
            ));
        };
        check_product(settings, request)?;
        rules::check_allocations(request)?;
        let entitled = !settings.not_entitled.contains(&request.product_code);
        books.check_entitled(pod, &request.product_code, entitled)?;
        rules::check_window(now, request.timestamp)?;
        books.record(now, caller, pod, request, settings.token_scope)
    }

    /// What was billed, refused and broken so far.
    pub fn view(&self) -> BooksView {
        BooksView::of(&self.books, &self.injected)
    }

    /// The present settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the settings; what is billed stays billed.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Replaces the fault script; its counters start at zero.
    pub fn set_faults(&mut self, script: FaultScript) {
        self.faults = Engine::new(script.clone());
        self.script = script;
    }

    /// Empty books, a full quota, and the fault script from its start. Settings stay.
    pub fn reset(&mut self) {
        self.books = Books::default();
        self.throttle = Throttle::default();
        self.trail = Trail::default();
        self.lookups = Throttle::default();
        self.faults = Engine::new(self.script.clone());
        self.injected.clear();
    }
}

/// A dry run asks for nothing but the permission: "Checks whether you have the permissions required for the action".
fn check_permission(settings: &Settings, caller: &Caller, dry_run: bool) -> Result<(), ApiError> {
    let denied = settings.denied_roles.contains(&caller.role_arn);
    let who = &caller.role_arn;
    let action = "aws-marketplace:MeterUsage";
    Err(match (denied, dry_run) {
        (false, false) => return Ok(()),
        (false, true) => {
            ApiError::client("DryRunOperation", "Request would have succeeded, but the DryRun flag is set.")
        }
        (true, true) => ApiError::client(
            "UnauthorizedException",
            format!("{who} is not authorized to perform: {action}."),
        ),
        (true, false) => access_denied(caller, action),
    })
}

fn access_denied(caller: &Caller, action: &str) -> ApiError {
    let who = &caller.role_arn;
    ApiError::client(
        "AccessDeniedException",
        format!(
            "User: {who} is not authorized to perform: {action} on resource: * because no identity-based policy allows it."
        ),
    )
}

fn check_product(settings: &Settings, request: &MeterUsageRequest) -> Result<(), ApiError> {
    if settings.products.is_empty() {
        return Ok(());
    }
    let Some(dimensions) = settings.products.get(&request.product_code) else {
        return Err(ApiError::client(
            "InvalidProductCodeException",
            "The product code passed does not match the product code used for publishing the product.",
        ));
    };
    if !dimensions.is_empty() && !dimensions.contains(&request.dimension) {
        return Err(ApiError::client(
            "InvalidUsageDimensionException",
            format!(
                "The usage dimension {} does not match one of the UsageDimensions associated with products.",
                request.dimension
            ),
        ));
    }
    Ok(())
}

/// A simulator that several callers share: the books of one AWS. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct SharedSimulator(Arc<Mutex<Simulator>>);

impl SharedSimulator {
    /// Shares this simulator.
    pub fn new(simulator: Simulator) -> Self {
        Self(Arc::new(Mutex::new(simulator)))
    }

    /// Exclusive use, for the length of one call. Never hold it across an await.
    pub fn lock(&self) -> MutexGuard<'_, Simulator> {
        // A panic of another caller cannot leave the books half-written: they are changed after every check has passed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
