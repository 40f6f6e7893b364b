//! The defects that other systems have (D1 to D13 of the list that this project was designed against) and some of our own, put back
//! one at a time: a harness that does not notice them proves nothing.
//!
//! They live at the seams, so that no production code has to know of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use clap::ValueEnum;
use jiff::Timestamp;
use tollkeeper_core::{
    clock::Clock as _,
    hour::BillingHour,
    identity::ClientToken,
    input::{InputData, InputObject},
    ledger::Entry,
    metering::{MeterUsage, Outcome},
    plugin::PluginFailure,
    recording::{RecordedInput, RecordedTick},
    settlement::Settlement,
};
use tollkeeper_ledger::marks::KeptMarks;
use tollkeeper_simulator::Settings;

use crate::{cell::Step, tenant::Tenant, world::World};

/// One defect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, ValueEnum)]
pub enum Mutant {
    /// D1: AWS is called first and the claim is never written.
    NoWriteAhead,
    /// D2: the timestamp is that of sending.
    TimeOfSending,
    /// D3: a refused record counts as taken.
    StatusIgnored,
    /// D4: an error that somebody handles counts as success.
    ErrorIsSuccess,
    /// D5: a throttled record is given up.
    ThrottleIsFinal,
    /// D6: a report with one accepted record is done.
    PartialSuccessFreezes,
    /// D7: what is about to be sent has left the buffer.
    FlushBeforeSend,
    /// D8: an hour counts as sealed before its report is written.
    NameTakenBeforeWrite,
    /// D9: a restarted process has client tokens of its own.
    NewTokenAfterRestart,
    /// D10: what is past its deadline is looked at no more.
    ExpiredVanishes,
    /// D11: asking whether the buyer is entitled uses the hour up.
    CheckConsumes,
    /// D12: the identity of the first pod is used by all that follow.
    IdentityOutlivesPod,
    /// D13: nothing is accepted without a real listing.
    ListingNeeded,
    /// One of no peer, but of ours: what the ledger says is believed even after an older backup was put back.
    BackupBelieved,
    /// Another one of ours: reports are deleted although the statement that counts them was not written.
    StatementBelieved,
    /// What is recorded of a number is not all of it.
    DigitLost,
    /// When the plugin of one product fails, another product misses its ticks for the rest of the hour.
    FailureSpreads,
    /// While one product has a record that AWS refused, no other product's are sent.
    RefusalBlocks,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::NoWriteAhead,
        Self::TimeOfSending,
        Self::StatusIgnored,
        Self::ErrorIsSuccess,
        Self::ThrottleIsFinal,
        Self::PartialSuccessFreezes,
        Self::FlushBeforeSend,
        Self::NameTakenBeforeWrite,
        Self::NewTokenAfterRestart,
        Self::ExpiredVanishes,
        Self::CheckConsumes,
        Self::IdentityOutlivesPod,
        Self::ListingNeeded,
        Self::BackupBelieved,
        Self::StatementBelieved,
        Self::DigitLost,
        Self::FailureSpreads,
        Self::RefusalBlocks,
    ];

    /// The invariant that must be found broken: another one would be noticed by accident.
    pub fn breaks(self) -> &'static str {
        match self {
            Self::StatusIgnored | Self::ErrorIsSuccess => "I1",
            Self::NewTokenAfterRestart | Self::CheckConsumes | Self::BackupBelieved => "I2",
            Self::NoWriteAhead | Self::TimeOfSending | Self::IdentityOutlivesPod => "I3",
            Self::NameTakenBeforeWrite | Self::StatementBelieved => "I4",
            Self::ThrottleIsFinal
            | Self::PartialSuccessFreezes
            | Self::FlushBeforeSend
            | Self::ListingNeeded => "I6",
            Self::ExpiredVanishes => "I7",
            Self::FailureSpreads => "I9",
            Self::DigitLost => "I10",
            Self::RefusalBlocks => "I11",
        }
    }

    pub(crate) fn settings(self) -> Settings {
        let products = match self {
            Self::ListingNeeded => BTreeMap::from([("listed".to_owned(), BTreeSet::new())]),
            _ => BTreeMap::new(),
        };
        Settings { products, ..Settings::default() }
    }

    /// The volume that a process finds its high-water mark on.
    pub(crate) fn marks(world: &World) -> Arc<KeptMarks> {
        match world.mutant {
            Some(Self::BackupBelieved) => Arc::new(KeptMarks::in_memory()),
            _ => world.marks.clone(),
        }
    }

    /// The pod that claims name.
    pub(crate) fn claimant(mutant: Option<Self>, pod: &str) -> String {
        if mutant == Some(Self::IdentityOutlivesPod) { "pod-0".to_owned() } else { pod.to_owned() }
    }

    /// A swap that is not done but looks as if it were.
    pub(crate) fn swap(world: &World, step: Step, entry: &Entry, settlement: &Settlement) -> Option<Entry> {
        let is_skipped = world.mutant == Some(Self::NoWriteAhead) && step == Step::Claim;
        is_skipped.then(|| Entry { settlement: settlement.clone(), ..entry.clone() })
    }

    /// What a scan shows.
    pub(crate) fn scan(world: &World, mut found: Vec<Entry>) -> Vec<Entry> {
        use tollkeeper_core::settlement::RecordState;
        let now = world.clock.now();
        let is_sending = |entry: &Entry| {
            entry.settlement.records.iter().any(|record| record.state == RecordState::Sending)
        };
        let has_refusal = |entry: &&Entry| {
            entry.settlement.records.iter().any(|record| record.state == RecordState::Rejected)
        };
        match world.mutant {
            Some(Self::PartialSuccessFreezes) => found.retain(|entry| entry.settlement.accepted() == 0),
            Some(Self::FlushBeforeSend) => found.retain(|entry| !is_sending(entry)),
            Some(Self::ExpiredVanishes) => found.retain(|entry| now < entry.report.deadline()),
            Some(Self::RefusalBlocks) => {
                if let Some(product) = found.iter().find(has_refusal).map(|entry| entry.namespace.clone()) {
                    found.retain(|entry| entry.namespace == product);
                }
            }
            _ => {}
        }
        found
    }

    /// Whether a seal is believed to have happened before it did.
    pub(crate) fn believes_sealed(mutant: Option<Self>) -> bool {
        mutant == Some(Self::NameTakenBeforeWrite)
    }

    /// Whether a statement is believed to be written that is not.
    pub(crate) fn believes_statements(mutant: Option<Self>) -> bool {
        mutant == Some(Self::StatementBelieved)
    }

    /// Why a product misses a tick although its own plugin is well.
    pub(crate) fn shared_failure(world: &World, tenant: Tenant, tick: Timestamp) -> Option<PluginFailure> {
        let is_spread = world.mutant == Some(Self::FailureSpreads)
            && tenant == Tenant::Neighbour
            && world.state().failed_in == Some(BillingHour::of(tick));
        is_spread.then(|| PluginFailure::Internal("another product's".to_owned()))
    }

    /// What is recorded of a tick.
    pub(crate) fn recorded(mutant: Option<Self>, tick: RecordedTick) -> RecordedTick {
        if mutant != Some(Self::DigitLost) {
            return tick;
        }
        let mut collected = tick.collected();
        for input in &mut collected.inputs {
            let InputData::Objects(objects) = &mut input.data else { continue };
            for object in objects {
                let mut rounded = InputObject::clone(object);
                rounded.body.pop();
                *object = rounded.into();
            }
        }
        RecordedTick { inputs: RecordedInput::all(&collected), ..tick }
    }

    /// What goes to AWS.
    pub(crate) fn request(world: &World, process: usize, request: &MeterUsage) -> MeterUsage {
        let mut request = request.clone();
        match world.mutant {
            Some(Self::TimeOfSending) => request.timestamp = world.clock.now(),
            Some(Self::NewTokenAfterRestart) if process > 0 => {
                request.client_token =
                    ClientToken::of(&format!("{}{process}", request.client_token.as_str()));
            }
            _ => {}
        }
        request
    }

    /// A call that only wants to know something and is a record all the same.
    pub(crate) fn probe(world: &World, request: &MeterUsage) -> Option<MeterUsage> {
        (world.mutant == Some(Self::CheckConsumes)).then(|| MeterUsage {
            quantity: 0,
            allocations: vec![],
            client_token: ClientToken::of("probe"),
            ..request.clone()
        })
    }

    /// What is made of AWS's answer.
    pub(crate) fn outcome(world: &World, outcome: Outcome) -> Outcome {
        let taken = Outcome::Accepted { metering_record_id: "believed".to_owned() };
        match (world.mutant, outcome) {
            (Some(Self::StatusIgnored), Outcome::Rejected(_))
            | (Some(Self::ErrorIsSuccess), Outcome::Unknown(_)) => taken,
            (Some(Self::ThrottleIsFinal), Outcome::NotAccepted(refusal)) => Outcome::Rejected(refusal),
            (_, outcome) => outcome,
        }
    }
}
