//! One line of an exposition. Blanks and a comma before `}` are accepted in both formats; exemplars only in
//! OpenMetrics. Timestamps and exemplars are checked and dropped: a tick has the time of the tick.

use std::borrow::Cow;

use tollkeeper_core::{input::Sample, workload::Labels};

use super::exposition::Format;

/// What a line says.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// A comment, a help text, a unit, nothing.
    Nothing,
    /// The type of a family.
    Type { family: Cow<'a, str>, family_type: &'a str },
    /// A sample.
    Sample(Sample),
    /// The end of an OpenMetrics exposition.
    End,
}

/// Parses a line; the error goes on after "line 7 ".
pub(super) fn parse(line: &str, format: Format) -> Result<Line<'_>, &'static str> {
    let mut scan = Scan { rest: line };
    scan.blanks();
    if scan.rest.is_empty() {
        return Ok(Line::Nothing);
    }
    if scan.eat('#') {
        return comment(scan, format);
    }
    let mut name = scan.name(true).map(str::to_owned);
    let is_apart = scan.rest.starts_with([' ', '\t']);
    scan.blanks();
    let labels = if scan.eat('{') {
        scan.labels(&mut name)?
    } else if name.is_some() && !is_apart {
        return Err("has no value apart from the metric name");
    } else {
        Labels::new()
    };
    let name = name.ok_or("has no metric name")?;
    scan.blanks();
    let value = number(scan.token()).ok_or("has no number as value")?;
    scan.timestamp()?;
    if format == Format::OpenMetrics && scan.eat('#') {
        scan.exemplar()?;
    }
    if scan.rest.is_empty() {
        Ok(Line::Sample(Sample { name, labels, value }))
    } else {
        Err("has something behind the sample")
    }
}

fn comment(mut scan: Scan<'_>, format: Format) -> Result<Line<'_>, &'static str> {
    if format == Format::OpenMetrics && scan.rest.trim_end() == " EOF" {
        return Ok(Line::End);
    }
    scan.blanks();
    if scan.token() != "TYPE" {
        return Ok(Line::Nothing);
    }
    scan.blanks();
    let family = if scan.eat('"') {
        Cow::Owned(scan.quoted()?)
    } else {
        Cow::Borrowed(scan.name(true).ok_or("declares the type of no metric")?)
    };
    scan.blanks();
    Ok(Line::Type { family, family_type: scan.rest.trim_end() })
}

/// A number as Go writes it; decimal, so without hexadecimal floats, and within the range of a 64-bit float.
pub(super) fn number(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let spelled = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    (!value.is_infinite() || spelled).then_some(value)
}

struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
    }

    fn eat(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Everything up to a blank.
    fn token(&mut self) -> &'a str {
        let (token, rest) = self.rest.split_at(self.rest.find([' ', '\t', '\r']).unwrap_or(self.rest.len()));
        self.rest = rest;
        token
    }

    /// A name of a metric or, without colons, of a label.
    fn name(&mut self, colons: bool) -> Option<&'a str> {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
        if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let end = self.rest.find(|c: char| !inside(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    /// The rest of a quoted text; the opening quote has been read. Other escapes than the three stay as they are.
    fn quoted(&mut self) -> Result<String, &'static str> {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next().ok_or("has a quoted text without an end")? {
                '"' => {
                    self.rest = characters.as_str();
                    return Ok(text);
                }
                '\\' => match characters.next().ok_or("has a quoted text without an end")? {
                    'n' => text.push('\n'),
                    escaped @ ('"' | '\\') => text.push(escaped),
                    other => text.extend(['\\', other]),
                },
                character => text.push(character),
            }
        }
    }

    /// The rest of a label set, which may hold a quoted metric name; the opening brace has been read. Empty
    /// values are left out: for Prometheus such a label does not exist.
    fn labels(&mut self, metric: &mut Option<String>) -> Result<Labels, &'static str> {
        let mut labels = Labels::new();
        let mut seen = std::collections::BTreeSet::new();
        loop {
            self.blanks();
            if self.eat('}') {
                return Ok(labels);
            }
            let is_quoted = self.eat('"');
            let name = if is_quoted {
                self.quoted()?
            } else {
                self.name(false).ok_or("has something else than a label name in its braces")?.to_owned()
            };
            self.blanks();
            if self.eat('=') {
                self.blanks();
                if !self.eat('"') {
                    return Err("has a label value without quotes");
                }
                let value = self.quoted()?;
                if name == "__name__" || name.is_empty() {
                    return Err("has a label with a name that is not allowed");
                }
                if !seen.insert(name.clone()) {
                    return Err("has the same label twice");
                }
                if !value.is_empty() {
                    labels.insert(name, value);
                }
            } else if is_quoted && metric.is_none() && !name.is_empty() {
                *metric = Some(name);
            } else {
                return Err("has a label without `=`");
            }
            self.blanks();
            if !self.eat(',') && !self.rest.starts_with('}') {
                return Err("has neither `,` nor `}` behind a label");
            }
        }
    }

    /// A timestamp, if there is one.
    fn timestamp(&mut self) -> Result<(), &'static str> {
        self.blanks();
        if !self.rest.is_empty() && !self.rest.starts_with('#') {
            let time = number(self.token()).ok_or("has no number as timestamp")?;
            if !time.is_finite() {
                return Err("has no number as timestamp");
            }
            self.blanks();
        }
        Ok(())
    }

    fn exemplar(&mut self) -> Result<(), &'static str> {
        self.blanks();
        // An exemplar has no name; a quoted text in place of one would be taken for it.
        let mut no_name = Some(String::new());
        if !self.eat('{') {
            return Err("has an exemplar without labels");
        }
        self.labels(&mut no_name)?;
        self.blanks();
        number(self.token()).ok_or("has an exemplar without a value")?;
        self.timestamp()
    }
}
