//! What was done to a site, and what its operators said: the story of a failure.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, time::Instant};

use tollkeeper_kit::Operator;

/// Lives at whose end a story is told to the terminal; the file has them all.
const TOLD: usize = 4;

/// Grows while a site runs.
#[derive(Debug)]
pub struct Chronicle {
    site: String,
    began: Instant,
    deeds: Vec<String>,
    lives: Vec<String>,
    tally: BTreeMap<String, usize>,
}

impl Chronicle {
    pub(crate) fn new(site: &str) -> Self {
        Self {
            site: site.to_owned(),
            began: Instant::now(),
            deeds: Vec::new(),
            lives: Vec::new(),
            tally: BTreeMap::new(),
        }
    }

    /// Notes a deed, and counts it under `kind`.
    pub(crate) fn note(&mut self, kind: &str, deed: &str) {
        *self.tally.entry(kind.to_owned()).or_default() += 1;
        self.deeds.push(format!("{:8.3} {} {kind}: {deed}", self.began.elapsed().as_secs_f64(), self.site));
    }

    /// Keeps what an operator said in its life.
    pub(crate) fn bury(&mut self, pod: &str, operator: &Operator) {
        let life = self.lives.len();
        let lines = operator.lines().join("\n");
        self.lives.push(format!("== {} life {life}, as {pod}\n{lines}\n", self.site));
    }

    /// How often each kind of deed was done.
    pub fn tally(&self) -> &BTreeMap<String, usize> {
        &self.tally
    }

    /// The deeds and the last lives; all lives go to a file in `folder`.
    pub fn tell(&self, folder: &Path) -> String {
        let file = folder.join(format!("{}.log", self.site));
        let mut story = self.deeds.join("\n");
        let last = self.lives.len().saturating_sub(TOLD);
        let _ = writeln!(story, "\n{}", self.lives[last..].concat());
        let written = fs::write(&file, format!("{}\n{}", self.deeds.join("\n"), self.lives.concat()));
        let _ = writeln!(
            story,
            "everything that the operators of {} said: {} {written:?}",
            self.site,
            file.display()
        );
        story
    }
}
