//! A loaded plugin: a compiled component, its limits, its manifest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tollkeeper_core::{
    identity::Digest,
    input::Input,
    plugin::{Manifest, Plugin, PluginFailure, Tick},
    quote::clip,
    reading::Measurement,
};
use wasmtime::{
    Engine, Store,
    component::{Component, HasSelf, Instance, InstancePre, Linker},
};

use crate::{
    bindings::{Plugin as World, exports::tollkeeper::meter},
    call::{CallState, Done, call},
    compile::Code,
    failure,
    host::House,
    imports,
    input::{View, check_size},
    limits::{Limits, MAX_MESSAGE},
    mending::{Mending, mend},
    output,
    usage::PluginUsage,
    wasi::{self, Moment},
};

/// A component whose machine code is mapped, ready to be instantiated.
pub(crate) struct Linked {
    pre: InstancePre<CallState>,
    meter: meter::meter::GuestIndices,
    describe: meter::describe::GuestIndices,
}

impl Linked {
    fn new(engine: &Engine, component: &Component) -> Result<Self, PluginFailure> {
        let mut linker = Linker::new(engine);
        World::add_to_linker::<_, HasSelf<CallState>>(&mut linker, |state| state)
            .and_then(|()| wasi::link(engine, component, &mut linker))
            .and_then(|()| linker.instantiate_pre(component))
            .and_then(|pre| {
                Ok(Self {
                    meter: meter::meter::GuestIndices::new(&pre)?,
                    describe: meter::describe::GuestIndices::new(&pre)?,
                    pre,
                })
            })
            .map_err(|error| unsupported("", &error))
    }
}

/// A compiled component that the host can link; plugins with different limits share it.
pub(crate) struct Prepared {
    house: Weak<House>,
    code: Mutex<Arc<Code>>,
    digest: Digest,
    usage: Mutex<PluginUsage>,
    pub(crate) mending: Mending,
}

impl Prepared {
    /// Checks and links a compiled component.
    pub(crate) fn new(
        house: &Arc<House>,
        code: Code,
        component: &Component,
        digest: &Digest,
    ) -> Result<Self, PluginFailure> {
        imports::check(&house.engine, component)?;
        let linked = Linked::new(&house.engine, component)?;
        house.shelf.put(digest, code.mapped(), Arc::new(linked));
        let (house, digest) = (Arc::downgrade(house), digest.clone());
        let (code, (usage, mending)) = (Mutex::new(Arc::new(code)), Default::default());
        Ok(Self { house, code, digest, usage, mending })
    }

    /// Its digest.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Where its machine code is.
    pub(crate) fn code(&self) -> Arc<Code> {
        Arc::clone(&self.code.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes other machine code of the same component. A call that runs keeps its own.
    pub(crate) fn replace(
        &self,
        house: &House,
        code: Code,
        component: &Component,
    ) -> Result<(), PluginFailure> {
        let linked = Linked::new(&house.engine, component)?;
        house.shelf.put(&self.digest, code.mapped(), Arc::new(linked));
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(code);
        Ok(())
    }

    /// What is called: from the shelf, or mapped and linked again.
    fn linked(&self, house: &House) -> Result<Arc<Linked>, PluginFailure> {
        if let Some(linked) = house.shelf.find(&self.digest) {
            return Ok(linked);
        }
        let code = self.code();
        let linked = Arc::new(Linked::new(&house.engine, &code.component(&house.engine)?)?);
        house.shelf.put(&self.digest, code.mapped(), Arc::clone(&linked));
        Ok(linked)
    }

    /// Checks the type of every export, so that a wrong `measure` is found now, and asks for the manifest.
    fn manifest(&self, house: &House, limits: Limits) -> Result<Manifest, PluginFailure> {
        let done = self.call(house, limits, Moment::default(), |linked, store, instance| {
            let meter =
                linked.meter.load(&mut *store, &instance).map_err(|error| unsupported("meter: ", &error));
            let describe = meter.and_then(|_| {
                linked
                    .describe
                    .load(&mut *store, &instance)
                    .map_err(|error| unsupported("describe: ", &error))
            });
            match describe {
                Ok(describe) => describe.call_get_manifest(store).map(Ok),
                Err(mismatch) => Ok(Err(mismatch)),
            }
        });
        output::manifest(done.outcome??)
    }

    fn validate(&self, house: &House, limits: Limits, config: &str) -> Result<(), PluginFailure> {
        let done = self.call(house, limits, Moment::default(), |linked, store, instance| {
            linked.describe.load(&mut *store, &instance)?.call_validate_config(store, config)
        });
        done.outcome?.map_err(|why| PluginFailure::InvalidConfig(clip(&why, MAX_MESSAGE)))
    }

    fn measure(
        &self,
        house: &House,
        limits: Limits,
        seed: u64,
        tick: &Tick,
        inputs: &[Input],
    ) -> Result<Measurement, PluginFailure> {
        self.try_measure(house, limits, seed, tick, inputs).inspect_err(|failure| self.note(failure))
    }

    /// That a tick gave no readings.
    fn note(&self, failure: &PluginFailure) {
        *self.books().failures.entry(failure.reason()).or_default() += 1;
    }

    fn try_measure(
        &self,
        house: &House,
        limits: Limits,
        seed: u64,
        tick: &Tick,
        inputs: &[Input],
    ) -> Result<Measurement, PluginFailure> {
        check_size(tick, inputs)?;
        let at = tick.at.to_string();
        let theirs = meter::meter::Tick {
            at: &at,
            seconds: tick.seconds,
            product: &tick.product,
            config: &tick.config,
            state: &tick.state,
        };
        let view = View::of(inputs);
        let moment = Moment::of(seed, tick);
        let done = view.with(|inputs| {
            self.call(house, limits, moment, |linked, store, instance| {
                linked.meter.load(&mut *store, &instance)?.call_measure(store, theirs, inputs)
            })
        });
        let (readings, state) = output::outcome(done.outcome?.map_err(failure::of_guest)?)?;
        Ok(Measurement { readings, state, log: done.log, fuel: done.cost.fuel, memory: done.cost.memory })
    }

    /// A call while time runs, and on the books.
    fn call<R>(
        &self,
        house: &House,
        limits: Limits,
        moment: Moment,
        body: impl FnOnce(&Linked, &mut Store<CallState>, Instance) -> wasmtime::Result<R>,
    ) -> Done<R> {
        let linked = match self.linked(house) {
            Ok(linked) => linked,
            Err(failure) => return Done::never(failure),
        };
        let _running = house.ticker.running();
        let done = call(&linked.pre, limits, moment, |store, instance| body(&linked, store, instance));
        self.books().note(done.cost);
        done
    }

    fn books(&self) -> MutexGuard<'_, PluginUsage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its calls have cost.
    pub(crate) fn usage(&self) -> PluginUsage {
        self.books().clone()
    }
}

/// Nobody calls it any more, so its machine code need not stay mapped.
impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(house) = self.house.upgrade() {
            house.shelf.clear(&self.digest);
        }
    }
}

/// The beginning of the digest.
fn seed(digest: &Digest) -> u64 {
    let hex = digest.as_str().trim_start_matches("sha256:");
    hex.get(..16).and_then(|beginning| u64::from_str_radix(beginning, 16).ok()).unwrap_or_default()
}

fn unsupported(interface: &str, error: &wasmtime::Error) -> PluginFailure {
    PluginFailure::UnsupportedInterface(clip(&format!("{interface}{error:#}"), MAX_MESSAGE))
}

/// A component with its limits and its manifest.
pub(crate) struct WasmPlugin {
    house: Arc<House>,
    prepared: Arc<Prepared>,
    limits: Limits,
    /// What looks random follows from it and the tick.
    seed: u64,
    manifest: Manifest,
}

impl WasmPlugin {
    pub(crate) async fn new(
        house: Arc<House>,
        prepared: Arc<Prepared>,
        limits: Limits,
        chance: u64,
    ) -> Result<Self, PluginFailure> {
        mend(&house, &prepared).await?;
        let (there, asked) = (Arc::clone(&house), Arc::clone(&prepared));
        let manifest = house.evaluator.run(move || asked.manifest(&there, limits)).await?;
        let seed = seed(prepared.digest()) ^ chance;
        Ok(Self { house, prepared, limits, seed, manifest })
    }
}

#[async_trait]
impl Plugin for WasmPlugin {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn validate_config(&self, config: &str) -> Result<(), PluginFailure> {
        mend(&self.house, &self.prepared).await?;
        let (house, prepared, limits) = (Arc::clone(&self.house), Arc::clone(&self.prepared), self.limits);
        let config = config.to_owned();
        self.house.evaluator.run(move || prepared.validate(&house, limits, &config)).await
    }

    async fn measure(&self, tick: Tick, inputs: Vec<Input>) -> Result<Measurement, PluginFailure> {
        mend(&self.house, &self.prepared).await.inspect_err(|failure| self.prepared.note(failure))?;
        let (house, prepared) = (Arc::clone(&self.house), Arc::clone(&self.prepared));
        let (limits, seed) = (self.limits, self.seed);
        self.house.evaluator.run(move || prepared.measure(&house, limits, seed, &tick, &inputs)).await
    }
}
