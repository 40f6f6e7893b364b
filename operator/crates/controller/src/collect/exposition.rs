//! Parses metrics as pods expose them: the Prometheus text format 0.0.4 and OpenMetrics 1.0, with UTF-8 names.
//!
//! It is fed in chunks and parses line by line, so that a long exposition is never held, and it is as strict as
//! Prometheus: one malformed line fails the whole exposition, because usage must not be read from half of it.
//!
//! The published parsers were tried: `prometheus-parse` drops or mangles label values with commas, braces and
//! escapes, `nom-openmetrics` and `prom_text_format_parser` refuse exemplars and much that Prometheus accepts,
//! `openmetrics-parser` is LGPL and refuses metrics without a type.

use std::collections::{BTreeMap, BTreeSet};

use tollkeeper_core::{input::Sample, workload::Labels};

use super::{
    limits::{Share, bytes},
    sample::{self, Line},
};

/// The longest line. Label values are short; only HELP texts come near.
const LONGEST_LINE: usize = 64 << 10;

/// How an exposition is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// `text/plain`, the Prometheus text format.
    Prometheus,
    /// `application/openmetrics-text`.
    OpenMetrics,
}

impl Format {
    /// By the content type of the answer. Anything but OpenMetrics is tried as the Prometheus text format, which
    /// many exporters serve without saying so.
    pub(super) fn of(content_type: &str) -> Self {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// The metrics that are kept.
pub(super) struct Wanted<'a>(BTreeSet<&'a str>);

impl<'a> Wanted<'a> {
    /// These metrics, or all if there are none.
    pub(super) fn new(metrics: &'a [String]) -> Self {
        Self(metrics.iter().map(String::as_str).collect())
    }

    fn has(&self, name: &str, children: &BTreeMap<String, &'static [&'static str]>) -> bool {
        self.0.is_empty()
            || self.0.contains(name)
            || children.iter().any(|(family, suffixes)| {
                name.strip_prefix(family.as_str()).is_some_and(|suffix| suffixes.contains(&suffix))
            })
    }
}

/// The suffixes of the samples that belong to a family of this type besides those of its own name. Creation
/// times (`_created`) are no measurements and have to be named.
fn children(family_type: &str) -> &'static [&'static str] {
    match family_type {
        "histogram" => &["_bucket", "_sum", "_count"],
        "gaugehistogram" => &["_bucket", "_gsum", "_gcount"],
        "summary" => &["_sum", "_count"],
        "counter" => &["_total"],
        "info" => &["_info"],
        _ => &[],
    }
}

/// An exposition while it comes in.
pub(super) struct Exposition<'a> {
    format: Format,
    wanted: &'a Wanted<'a>,
    target: &'a [(&'a str, &'a str)],
    share: Share<'a>,
    /// The wanted families that have been declared, with the suffixes of their samples.
    families: BTreeMap<String, &'static [&'static str]>,
    rest: Vec<u8>,
    number: usize,
    ended: bool,
    samples: Vec<Sample>,
}

impl<'a> Exposition<'a> {
    /// Keeps the wanted samples with the labels of the target; they take their bytes from the share.
    pub(super) fn new(
        format: Format,
        wanted: &'a Wanted<'a>,
        target: &'a [(&'a str, &'a str)],
        share: Share<'a>,
    ) -> Self {
        Self {
            format,
            wanted,
            target,
            share,
            families: BTreeMap::new(),
            rest: Vec::new(),
            number: 0,
            ended: false,
            samples: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut chunk: &[u8]) -> Result<(), String> {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (line, after) = chunk.split_at(end);
            if self.rest.is_empty() && line.len() <= LONGEST_LINE {
                self.line(line)?;
            } else {
                self.extend(line)?;
                let line = std::mem::take(&mut self.rest);
                self.line(&line)?;
            }
            chunk = after.get(1..).unwrap_or_default();
        }
        self.extend(chunk)
    }

    /// The samples, after the last byte. `framed` says that the transport would have told of a missing end.
    pub(super) fn finish(mut self, framed: bool) -> Result<Vec<Sample>, String> {
        if !self.rest.is_empty() {
            let line = std::mem::take(&mut self.rest);
            if !framed && self.format == Format::Prometheus {
                return Err("its last line has no end, so it may have been cut off".to_owned());
            }
            self.line(&line)?;
        }
        if self.format == Format::OpenMetrics && !self.ended {
            return Err("it does not end with `# EOF`, so it was cut off".to_owned());
        }
        self.share.keep();
        Ok(self.samples)
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), String> {
        if self.rest.len() + part.len() > LONGEST_LINE {
            return Err(format!("line {} is longer than {}", self.number + 1, bytes(LONGEST_LINE)));
        }
        self.rest.extend_from_slice(part);
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        self.number += 1;
        let number = self.number;
        let text = std::str::from_utf8(line).map_err(|_| format!("line {number} is not UTF-8"))?;
        if self.ended && !text.trim().is_empty() {
            return Err(format!("line {number} comes after `# EOF`"));
        }
        match sample::parse(text, self.format).map_err(|reason| format!("line {number} {reason}"))? {
            Line::Nothing => Ok(()),
            Line::End => {
                self.ended = true;
                Ok(())
            }
            Line::Type { family, family_type } => {
                if self.wanted.0.contains(family.as_ref()) {
                    self.families.insert(family.into_owned(), children(family_type));
                }
                Ok(())
            }
            Line::Sample(sample) => self.keep(sample),
        }
    }

    fn keep(&mut self, mut sample: Sample) -> Result<(), String> {
        if !self.wanted.has(&sample.name, &self.families) {
            return Ok(());
        }
        for (name, value) in self.target {
            add_target_label(&mut sample.labels, name, value);
        }
        if !self.share.take(size(&sample)) {
            return Err("its samples are too large".to_owned());
        }
        self.samples.push(sample);
        Ok(())
    }
}

/// The bytes that a sample hands to a plugin.
fn size(sample: &Sample) -> usize {
    let labels: usize = sample.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    sample.name.len() + labels + size_of::<f64>()
}

/// Sorts samples by name and labels and leaves of each series only the first; returns how many were left out.
pub(super) fn sort(samples: &mut Vec<Sample>) -> usize {
    let before = samples.len();
    samples.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
    samples.dedup_by(|later, first| later.name == first.name && later.labels == first.labels);
    before - samples.len()
}

/// Adds a target's label as Prometheus does: a label of that name that the sample already has is renamed to
/// `exported_…`.
fn add_target_label(labels: &mut Labels, name: &str, value: &str) {
    if let Some(own) = labels.insert(name.to_owned(), value.to_owned()) {
        let mut exported = format!("exported_{name}");
        while labels.contains_key(&exported) {
            exported.insert_str(0, "exported_");
        }
        labels.insert(exported, own);
    }
}
