//! Takes out of inputs what a meter does not need, so that they can be shown to others.
//!
//! Every text that comes from the cluster can be replaced: names, namespaces, UIDs, values of labels, texts in bodies and
//! documents, and why an input was not there. Numbers and truth values are what is measured, and names of metrics, labels
//! and JSON members are what the meter asks for by name: they stay.
//!
//! A text is replaced by its rank among all texts (`text-0042`), so equal texts stay equal, and sorting them gives the same
//! order; unlike a hash, a rank cannot be guessed back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use serde_json::Value;

use crate::input::{Input, InputData, InputObject, SampleGroup};

/// Where in an input texts stand, such as `nodes:labels.zone` or `pods:/spec/containers/*/image`; or the plugin's `state`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    input: String,
    part: String,
}

impl Place {
    /// The state that the first tick is handed. Nobody but the plugin knows what is in it.
    pub fn state() -> Self {
        Self { input: "state".to_owned(), part: String::new() }
    }

    /// The input.
    pub fn input(&self) -> &str {
        &self.input
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.input)?;
        if self.part.is_empty() { Ok(()) } else { write!(f, ":{}", self.part) }
    }
}

/// What is not replaced: a place, all labels (`nodes:labels`), all below a JSON pointer (`nodes:/status`), or a whole input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keep {
    input: String,
    part: String,
}

impl FromStr for Keep {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (input, part) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self { input: input.to_owned(), part: part.to_owned() })
    }
}

impl Keep {
    /// Whether a place is meant.
    pub fn covers(&self, place: &Place) -> bool {
        let below = |separator: char| {
            place.part.strip_prefix(&self.part).is_some_and(|rest| rest.starts_with(separator))
        };
        self.input == place.input
            && match self.part.as_str() {
                "" => true,
                "labels" => below('.'),
                part => part == place.part || (part.starts_with('/') && below('/')),
            }
    }
}

/// Knows every text of some inputs.
#[derive(Debug)]
pub struct Redactor {
    texts: BTreeMap<Place, BTreeSet<String>>,
    replacements: BTreeMap<String, String>,
}

impl Redactor {
    /// Of inputs that belong together: their texts are told apart by the same ranks.
    pub fn of<'a>(inputs: impl IntoIterator<Item = &'a Input>) -> Self {
        let mut texts: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
        for input in inputs {
            visit(&mut input.clone(), &mut |place, text| {
                if !text.is_empty() {
                    texts.entry(place.clone()).or_default().insert(text.clone());
                }
            });
        }
        let all: BTreeSet<&String> = texts.values().flatten().collect();
        let digits = all.len().to_string().len();
        let numbered = |(rank, text): (usize, &String)| (text.clone(), format!("text-{:0digits$}", rank + 1));
        let replacements = all.into_iter().enumerate().map(numbered).collect();
        Self { texts, replacements }
    }

    /// Places that have texts. Those that share a text are together: a meter may join by it.
    pub fn groups(&self) -> Vec<BTreeSet<Place>> {
        let mut groups: Vec<(BTreeSet<Place>, BTreeSet<&String>)> = Vec::new();
        for (place, texts) in &self.texts {
            let mut group = (BTreeSet::from([place.clone()]), texts.iter().collect::<BTreeSet<_>>());
            let (joined, apart) = groups
                .into_iter()
                .partition(|(_, others): &(_, BTreeSet<&String>)| !group.1.is_disjoint(others));
            groups = apart;
            let joined: Vec<_> = joined;
            for (places, others) in joined {
                group.0.extend(places);
                group.1.extend(others);
            }
            groups.push(group);
        }
        groups.into_iter().map(|(places, _)| places).collect()
    }

    /// How many different texts are replaced if these places are kept.
    pub fn replaced(&self, kept: &BTreeSet<Place>) -> usize {
        let replaced = self.texts.iter().filter(|(place, _)| !kept.contains(place));
        replaced.flat_map(|(_, texts)| texts).collect::<BTreeSet<_>>().len()
    }

    /// An input with every text replaced that is not at one of these places.
    pub fn redacted(&self, input: &Input, kept: &BTreeSet<Place>) -> Input {
        let mut redacted = input.clone();
        visit(&mut redacted, &mut |place, text| {
            if !kept.contains(place)
                && let Some(replacement) = self.replacements.get(text)
            {
                text.clone_from(replacement);
            }
        });
        redacted
    }
}

type Visitor<'a> = dyn FnMut(&Place, &mut String) + 'a;

/// Hands over every text that can be replaced.
fn visit(input: &mut Input, each: &mut Visitor<'_>) {
    let mut place = Place { input: input.name.clone(), part: String::new() };
    let mut at = |part: &str, text: &mut String| {
        part.clone_into(&mut place.part);
        each(&place, text);
    };
    match &mut input.data {
        InputData::Objects(objects) => {
            objects.iter_mut().for_each(|object| visit_object(Arc::make_mut(object), &mut at));
        }
        InputData::Samples(groups) => {
            groups.iter_mut().for_each(|group| visit_samples(Arc::make_mut(group), &mut at));
        }
        InputData::Json(document) => {
            let mut text = document.to_string();
            visit_json(&mut text, "document", &mut at);
            *document = text.into();
        }
        InputData::Unavailable(why) => at("unavailable", why),
        InputData::Scalar(_) => {}
    }
}

fn visit_object(object: &mut InputObject, at: &mut dyn FnMut(&str, &mut String)) {
    if let Some(namespace) = &mut object.namespace {
        at("namespace", namespace);
    }
    at("name", &mut object.name);
    at("uid", &mut object.uid);
    for (key, value) in &mut object.labels {
        at(&format!("labels.{key}"), value);
    }
    visit_json(&mut object.body, "body", at);
}

fn visit_samples(group: &mut SampleGroup, at: &mut dyn FnMut(&str, &mut String)) {
    for (key, value) in group.samples.iter_mut().flat_map(|sample| &mut sample.labels) {
        at(&format!("labels.{key}"), value);
    }
}

/// What is no JSON is one text, at a part of its own.
fn visit_json(text: &mut String, whole: &str, at: &mut dyn FnMut(&str, &mut String)) {
    match serde_json::from_str::<Value>(text) {
        Ok(before) => {
            let mut value = before.clone();
            visit_value(&mut value, "", at);
            // Written anew only if it must be: numbers of more digits than JSON's have would lose some.
            if value != before {
                *text = value.to_string();
            }
        }
        Err(_) => at(whole, text),
    }
}

/// Items of a list share a place: their number is not known before.
fn visit_value(value: &mut Value, pointer: &str, at: &mut dyn FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => at(if pointer.is_empty() { "/" } else { pointer }, text),
        Value::Array(items) => {
            let below = format!("{pointer}/*");
            items.iter_mut().for_each(|item| visit_value(item, &below, at));
        }
        Value::Object(members) => {
            for (name, member) in members {
                visit_value(member, &format!("{pointer}/{name}"), at);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
#[path = "redaction_tests.rs"]
mod tests;
