//! The file that a ledger is exported to.
//!
//! As JSON one document: `format`, `exported`, `reports`, `statements`, `digests`. As JSON lines the same, a line each:
//! first `format` and `exported`, then the objects, last `digests`. Every object has the digests of its parts there, so
//! that an edit of anything is found and named; `digests.all` fixes the list itself and the first line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Kind, Material, Problem};
use crate::{identity::Digest, report::canonical};

/// The version of the format.
pub const FORMAT: &str = "tollkeeper.dev/export/v1";

const REPORT: &str = "UsageReport";
const STATEMENT: &str = "UsageStatement";

/// A ledger and what proves that it is the one that was exported.
#[derive(Clone, PartialEq, Debug)]
pub struct Export {
    /// When it was exported.
    pub exported: String,
    /// The objects.
    pub material: Material,
    digests: Option<Digests>,
}

// A field that nobody reads is one that nobody would miss: what fixes everything else must be exactly this.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digests {
    objects: Vec<ObjectDigest>,
    all: Digest,
}

/// What fixes one object.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectDigest {
    kind: String,
    namespace: String,
    name: String,
    metadata: Digest,
    spec: Digest,
    status: Digest,
    /// Whatever else it says.
    rest: Digest,
}

/// Why a file is not an export.
#[derive(Debug, thiserror::Error)]
pub enum InvalidExport {
    /// A line is no JSON.
    #[error("line {line} is not JSON: {cause}")]
    Json {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// It is JSON, but of something else.
    #[error("this is not an export of `tollkeeper report export`: it has no `format` {FORMAT}")]
    Format,
    /// It says something that no export says.
    #[error("`{0}` belongs to no export")]
    Unknown(String),
    /// A line is neither a report nor a statement, nor are the digests the end.
    #[error(
        "line {0} is neither a UsageReport nor a UsageStatement nor the digests, which are the last line"
    )]
    Line(usize),
}

impl ObjectDigest {
    fn of(object: &Value) -> Self {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let digest = |value: &Value| Digest::of(canonical(value).as_bytes());
        let part = |name: &str| digest(object.get(name).unwrap_or(&Value::Null));
        let mut rest = object.clone();
        if let Some(members) = rest.as_object_mut() {
            members.retain(|name, _| !["metadata", "spec", "status"].contains(&name.as_str()));
        }
        Self {
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            metadata: part("metadata"),
            spec: part("spec"),
            status: part("status"),
            rest: digest(&rest),
        }
    }

    /// What it is of.
    fn name(&self) -> (&str, &str, &str) {
        (&self.kind, &self.namespace, &self.name)
    }

    fn label(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Digests {
    fn of(exported: &str, objects: Vec<ObjectDigest>) -> Self {
        let all = json!({"format": FORMAT, "exported": exported, "objects": objects});
        Self { all: Digest::of(canonical(&all).as_bytes()), objects }
    }
}

impl Export {
    /// Of these objects, which must be in order.
    pub fn new(exported: impl Into<String>, material: Material) -> Self {
        let exported = exported.into();
        let digests = Digests::of(&exported, objects(&material).map(ObjectDigest::of).collect());
        Self { exported, material, digests: Some(digests) }
    }

    /// As one document.
    pub fn json(&self) -> Value {
        json!({
            "format": FORMAT,
            "exported": self.exported,
            "reports": self.material.reports,
            "statements": self.material.statements,
            "digests": self.digests,
        })
    }

    /// As lines, each with its newline.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let head = json!({"format": FORMAT, "exported": self.exported}).to_string();
        let tail = json!({"digests": self.digests}).to_string();
        let objects = objects(&self.material).map(Value::to_string);
        [head].into_iter().chain(objects).chain([tail]).map(|line| line + "\n")
    }

    /// Reads a document or lines.
    pub fn parse(text: &str) -> Result<Self, InvalidExport> {
        match serde_json::from_str::<Value>(text) {
            Ok(document) if document.get("reports").is_some() => Self::of_document(document),
            _ => Self::of_lines(text),
        }
    }

    fn of_document(mut document: Value) -> Result<Self, InvalidExport> {
        let exported = head(&document, &["format", "exported", "reports", "statements", "digests"])?;
        let mut list = |name: &str| match document.get_mut(name).map(Value::take) {
            Some(Value::Array(objects)) => objects,
            _ => vec![],
        };
        let material = Material { reports: list("reports"), statements: list("statements") };
        let digests = document.get("digests").and_then(|digests| Digests::deserialize(digests).ok());
        Ok(Self { exported, material, digests })
    }

    fn of_lines(text: &str) -> Result<Self, InvalidExport> {
        let mut exported = None;
        let mut material = Material::default();
        let mut digests = None;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line_number = index + 1;
            let object: Value = serde_json::from_str(line)
                .map_err(|cause| InvalidExport::Json { line: line_number, cause })?;
            if exported.is_none() {
                exported = Some(head(&object, &["format", "exported"])?);
                continue;
            }
            match object.get("kind").and_then(Value::as_str) {
                _ if digests.is_some() => return Err(InvalidExport::Line(line_number)),
                Some(REPORT) => material.reports.push(object),
                Some(STATEMENT) => material.statements.push(object),
                _ => {
                    let found = object.get("digests").and_then(|found| Digests::deserialize(found).ok());
                    digests = Some(found.ok_or(InvalidExport::Line(line_number))?);
                }
            }
        }
        Ok(Self { exported: exported.ok_or(InvalidExport::Format)?, material, digests })
    }

    /// What is not as it was exported.
    pub fn problems(&self) -> Vec<Problem> {
        let Some(digests) = &self.digests else {
            let message = "it has no digests at its end, or they cannot be read: something is missing there";
            return vec![Problem::new(Kind::Truncated, "the export", message)];
        };
        let mut found = Vec::new();
        if *digests != Digests::of(&self.exported, digests.objects.clone()) {
            let message = "its own digest differs: its list of digests or its first line was edited";
            found.push(Problem::new(Kind::Edited, "the export", message).in_field("digests"));
        }
        let there: Vec<ObjectDigest> = objects(&self.material).map(ObjectDigest::of).collect();
        let mut by_name: BTreeMap<_, Vec<&ObjectDigest>> = BTreeMap::new();
        for one in &there {
            by_name.entry(one.name()).or_default().push(one);
        }
        for expected in &digests.objects {
            match by_name.remove(&expected.name()).as_deref() {
                None | Some([]) => found.push(Problem::new(
                    Kind::Missing,
                    expected.label(),
                    "it was exported, and is not in the file",
                )),
                Some([one, rest @ ..]) => {
                    if !rest.is_empty() {
                        let message = "it is in the file twice";
                        found.push(Problem::new(Kind::Duplicated, expected.label(), message));
                    }
                    found.extend(edits(expected, one));
                }
            }
        }
        for one in by_name.into_values().flatten() {
            found.push(Problem::new(Kind::Edited, one.label(), "it was not exported, and is in the file"));
        }
        let is_same_order =
            there.iter().map(ObjectDigest::label).eq(digests.objects.iter().map(ObjectDigest::label));
        if found.is_empty() && !is_same_order {
            let moved =
                there.iter().zip(&digests.objects).find(|(one, expected)| one.name() != expected.name());
            let label = moved.map_or_else(|| "the export".to_owned(), |(one, _)| one.label());
            found.push(Problem::new(Kind::OutOfOrder, label, "it is not where it was in the export"));
        }
        found
    }
}

fn objects(material: &Material) -> impl Iterator<Item = &Value> {
    material.reports.iter().chain(&material.statements)
}

/// The parts of an object that differ.
fn edits(expected: &ObjectDigest, there: &ObjectDigest) -> Vec<Problem> {
    [
        ("metadata", &expected.metadata, &there.metadata),
        ("spec", &expected.spec, &there.spec),
        ("status", &expected.status, &there.status),
        ("apiVersion", &expected.rest, &there.rest),
    ]
    .into_iter()
    .filter(|(_, expected, there)| expected != there)
    .map(|(part, _, _)| {
        let message = "it is not what was exported";
        Problem::new(Kind::Edited, expected.label(), message).in_field(part)
    })
    .collect()
}

/// The moment in the first line or at the top of the document, which may have these members.
fn head(object: &Value, members: &[&str]) -> Result<String, InvalidExport> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let unknown =
        object.as_object().and_then(|object| object.keys().find(|name| !members.contains(&name.as_str())));
    match (text("format"), text("exported"), unknown) {
        (Some(FORMAT), Some(_), Some(unknown)) => {
            Err(InvalidExport::Unknown(unknown.chars().take(80).collect()))
        }
        (Some(FORMAT), Some(exported), None) => Ok(exported.to_owned()),
        _ => Err(InvalidExport::Format),
    }
}
