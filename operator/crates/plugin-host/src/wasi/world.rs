//! What a guest takes for the outside: a clock that stands still, numbers that only look random, three streams.

use tollkeeper_core::{plugin::Tick, reading::LogLevel};

use crate::call::Log;

/// When and for whom a call is made; everything that looks random follows from it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moment {
    /// Nanoseconds since 1970.
    nanoseconds: u64,
    seed: u64,
}

impl Moment {
    /// The moment of a tick of one product by one plugin.
    pub(crate) fn of(plugin: u64, tick: &Tick) -> Self {
        let nanoseconds = u64::try_from(tick.at.as_nanosecond()).unwrap_or_default();
        let product = tick.product.bytes().fold(plugin, |seed, byte| mixed(seed ^ u64::from(byte)));
        Self { nanoseconds, seed: mixed(product ^ nanoseconds) }
    }
}

/// The output function of SplitMix64: every bit of the seed changes half of the result's.
fn mixed(seed: u64) -> u64 {
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

/// Bytes of a printed line; what is longer becomes several.
const MAX_PRINTED: usize = 4 << 10;

/// The guest's standard output, as the number of its stream; every other number is its standard error.
pub(super) const OUTPUT: u32 = 1;
pub(super) const ERRORS: u32 = 2;

/// The world of one call.
pub(crate) struct World {
    moment: Moment,
    drawn: u64,
    output: Vec<u8>,
    errors: Vec<u8>,
}

impl World {
    pub(crate) fn new(moment: Moment) -> Self {
        Self { moment, drawn: 0, output: Vec::new(), errors: Vec::new() }
    }

    pub(super) fn nanoseconds(&self) -> u64 {
        self.moment.nanoseconds
    }

    /// SplitMix64.
    pub(super) fn random(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.moment.seed.wrapping_add(self.drawn))
    }

    /// Logs the lines that end among these bytes.
    pub(super) fn print(&mut self, stream: u32, bytes: impl Iterator<Item = u8>, log: &mut Log) {
        let (line, level) = match stream {
            OUTPUT => (&mut self.output, LogLevel::Info),
            _ => (&mut self.errors, LogLevel::Warn),
        };
        for byte in bytes {
            if byte != b'\n' {
                line.push(byte);
            }
            if byte == b'\n' || line.len() >= MAX_PRINTED {
                log.push(level, &String::from_utf8_lossy(line));
                line.clear();
            }
        }
    }

    /// Logs what was printed last without a line's end.
    pub(crate) fn flush(&mut self, log: &mut Log) {
        for (stream, is_open) in [(OUTPUT, !self.output.is_empty()), (ERRORS, !self.errors.is_empty())] {
            if is_open {
                self.print(stream, std::iter::once(b'\n'), log);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn moment(plugin: u64, product: &str, at: &str) -> Moment {
        let at = at.parse().unwrap();
        let tick = Tick { at, seconds: 60, product: product.into(), config: "".into(), state: Arc::from([]) };
        Moment::of(plugin, &tick)
    }

    #[test]
    fn randomness_follows_from_the_plugin_the_product_and_the_tick() {
        let draw = |moment| World::new(moment).random();
        let one = moment(1, "a", "2026-11-21T14:58:00Z");
        assert_eq!(draw(one), draw(one));
        for other in [
            moment(2, "a", "2026-11-21T14:58:00Z"),
            moment(1, "b", "2026-11-21T14:58:00Z"),
            moment(1, "a", "2026-11-21T14:59:00Z"),
        ] {
            assert_ne!(draw(one), draw(other));
        }
        let mut world = World::new(one);
        assert_ne!(world.random(), world.random());
    }

    #[test]
    fn printed_lines_become_the_log() {
        let (mut world, mut log) = (World::new(Moment::default()), Log::default());
        for (stream, text) in [(OUTPUT, "one\ntw"), (ERRORS, "oops\n"), (OUTPUT, "o\nthree")] {
            world.print(stream, text.bytes(), &mut log);
        }
        world.flush(&mut log);
        let lines: Vec<_> = log.finish().into_iter().map(|line| (line.level, line.message)).collect();
        let line = |level, message: &str| (level, message.to_owned());
        assert_eq!(
            lines,
            [
                line(LogLevel::Info, "one"),
                line(LogLevel::Warn, "oops"),
                line(LogLevel::Info, "two"),
                line(LogLevel::Info, "three"),
            ]
        );
    }
}
