//! I10: a recorded hour is computed again, and comes to the report that was sealed.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use jiff::Timestamp;
use tollkeeper_controller::meter::{LoadedPlugin, replay};
use tollkeeper_core::{identity::Digest, recording::Recording, report::SealedReport};

use super::Oracle;

impl Oracle {
    /// A process comes to another report than the one that is there, and says so: its recording is not that report's. So it is
    /// with what a backup has left of an hour that was sealed anew.
    pub(crate) fn note_other_seal(&mut self, report: &SealedReport, process: usize) {
        self.sealed.remove(&(process, report.hash.clone()));
    }

    /// Plays what a process has recorded again. Where another one was faster to seal, its inputs were others.
    pub(crate) fn note_recording(
        &mut self,
        process: usize,
        recording: &Recording,
        plugins: &BTreeMap<Digest, LoadedPlugin>,
        now: Timestamp,
    ) {
        let Some(seal) = recording.seal() else { return };
        let is_own = |hash: &Digest| self.sealed.contains(&(process, hash.clone()));
        if seal.report.as_ref().is_some_and(|report| !is_own(&report.hash)) {
            return;
        }
        let hour = format!("{} of {}", recording.header.hour, recording.header.product);
        // The plugin on the desk waits for nothing.
        match replay(recording, plugins).now_or_never() {
            Some(Ok(again)) if again == seal.report => self.replayed += 1,
            Some(Ok(again)) => {
                let (was, is) = (&seal.report, again);
                self.breach("I10", now, &format!("{hour}: sealed {was:?}, computed again {is:?}"));
            }
            Some(Err(error)) => self.breach("I10", now, &format!("{hour}: {error}")),
            None => self.breach("I10", now, &format!("{hour}: does not end")),
        }
    }
}
