//! Pruning: reduces the JSON of an object to the declared fields while it is parsed, so that the rest of the
//! object is never built.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Paths with more segments than `serde_json` parses levels can match nothing.
const DEEPEST: usize = 128;

/// The declared fields of an input, as a tree.
#[derive(Debug)]
pub(super) struct Fields(Node);

#[derive(Debug)]
enum Node {
    /// The path ends here: everything below is kept.
    Whole,
    /// The path goes on with one of these keys.
    Parts(BTreeMap<String, Node>),
}

/// What is left of a value.
#[derive(Serialize)]
#[serde(untagged)]
enum Kept {
    Whole(Box<RawValue>),
    Object(BTreeMap<String, Kept>),
    Array(Vec<Kept>),
}

impl Fields {
    /// From dotted paths such as `status.capacity.cpu` or `spec.containers[*].image`. A dot that belongs to a
    /// key is written `\.`, as in kubectl's JSONPath.
    pub(super) fn new<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut root = Node::Parts(BTreeMap::new());
        for path in paths {
            let segments = segments(path);
            if !segments.is_empty() && segments.len() < DEEPEST {
                root.add(segments.into_iter());
            }
        }
        Self(root)
    }

    /// The JSON of `object`, reduced to these fields.
    pub(super) fn prune(&self, object: &str) -> serde_json::Result<String> {
        if matches!(&self.0, Node::Parts(parts) if parts.is_empty()) {
            return Ok("{}".to_owned());
        }
        let mut parser = serde_json::Deserializer::from_str(object);
        let kept = self.0.deserialize(&mut parser)?;
        parser.end()?;
        match kept {
            Some(kept @ Kept::Object(_)) => serde_json::to_string(&kept),
            _ => Ok("{}".to_owned()),
        }
    }
}

impl Node {
    fn add(&mut self, mut segments: impl Iterator<Item = String>) {
        match (self, segments.next()) {
            // A shorter path holds everything that a longer one could add.
            (Self::Whole, _) => {}
            (node, None) => *node = Self::Whole,
            (Self::Parts(parts), Some(key)) => {
                parts.entry(key).or_insert_with(|| Self::Parts(BTreeMap::new())).add(segments);
            }
        }
    }
}

/// The keys of a path. Empty ones are left out, so that a leading dot is accepted.
fn segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    let mut segment = String::new();
    let mut characters = path.trim().chars();
    loop {
        match characters.next() {
            Some('\\') => segment.extend(characters.next()),
            Some(character) if character != '.' => segment.push(character),
            end => {
                let mut key = segment.as_str();
                while let Some(shorter) = key.strip_suffix("[*]").or_else(|| key.strip_suffix("[]")) {
                    key = shorter;
                }
                if !key.is_empty() {
                    segments.push(key.to_owned());
                }
                segment.clear();
                if end.is_none() {
                    return segments;
                }
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Node {
    type Value = Option<Kept>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Kept>, D::Error> {
        match self {
            Node::Whole => Box::<RawValue>::deserialize(deserializer).map(|raw| Some(Kept::Whole(raw))),
            Node::Parts(parts) => deserializer.deserialize_any(Reduce { node: self, parts }),
        }
    }
}

struct Reduce<'a> {
    node: &'a Node,
    parts: &'a BTreeMap<String, Node>,
}

/// Objects keep the declared keys, arrays their elements reduced in the same way; other values have no such
/// keys, so nothing of them is left.
impl<'de> Visitor<'de> for Reduce<'_> {
    type Value = Option<Kept>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Kept>, A::Error> {
        let mut kept = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let Some(node) = self.parts.get(&key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            match map.next_value_seed(node)? {
                Some(Kept::Object(empty)) if empty.is_empty() => {}
                Some(value) => {
                    kept.insert(key, value);
                }
                None => {}
            }
        }
        Ok(Some(Kept::Object(kept)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Option<Kept>, A::Error> {
        let mut kept = Vec::new();
        while let Some(element) = array.next_element_seed(self.node)? {
            kept.extend(element);
        }
        Ok(Some(Kept::Array(kept)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<Kept>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<Kept>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<Kept>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<Kept>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<Kept>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<Kept>, E> {
        Ok(None)
    }
}
