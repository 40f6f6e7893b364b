//! Vendor-metered tags, as a buyer sees them in the cost report (`aws:marketplace:isv:<key>`).
//!
//! The narrow documented character list holds, not the wider range that the API's pattern admits by accident.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Tags of one allocation, and distinct keys of one record (MeterUsage, vendor-metered tagging).
pub const MAX_TAGS: usize = 5;

/// A set of tags in canonical order: sorted by key. The empty set is untagged usage. Copies share it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct TagSet(Arc<BTreeMap<String, String>>);

/// Why tags were refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidTags {
    /// More than [`MAX_TAGS`].
    #[error("{0} tags are more than the 5 that AWS Marketplace takes")]
    TooMany(usize),
    /// One key is there twice.
    #[error("the tag `{0}` is given twice")]
    Repeated(String),
    /// A key or value that AWS would refuse.
    #[error("the tag `{0}` is not a key of 1-100 and a value of 1-256 characters of [A-Za-z0-9 +-=._:/@]")]
    Unfit(String),
}

impl TagSet {
    /// Checks the tags of one reading or binding.
    pub fn new(tags: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidTags> {
        let mut set = BTreeMap::new();
        for (key, value) in tags {
            if !fits(&key, 100) || !fits(&value, 256) {
                return Err(InvalidTags::Unfit(key.chars().take(100).collect()));
            }
            if set.insert(key.clone(), value).is_some() {
                return Err(InvalidTags::Repeated(key));
            }
        }
        if set.len() > MAX_TAGS { Err(InvalidTags::TooMany(set.len())) } else { Ok(Self(set.into())) }
    }

    /// Whether this is untagged usage.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// These tags with those of `other` whose keys are new and which `admit` lets in. Up to the caller: at most [`MAX_TAGS`].
    pub(crate) fn joined(&self, other: &Self, admit: impl Fn(&str) -> bool) -> Self {
        let mut set: BTreeMap<_, _> =
            self.0.iter().filter(|(key, _)| admit(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        for (key, value) in other.0.iter().filter(|(key, _)| admit(key)) {
            set.entry(key.clone()).or_insert_with(|| value.clone());
        }
        Self(set.into())
    }
}

fn fits(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" +-=._:/@".contains(&byte))
}

impl TryFrom<BTreeMap<String, String>> for TagSet {
    type Error = InvalidTags;

    fn try_from(tags: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        Self::new(tags)
    }
}

impl From<TagSet> for BTreeMap<String, String> {
    fn from(tags: TagSet) -> Self {
        Arc::unwrap_or_clone(tags.0)
    }
}

/// `team=blue,zone=a`; nothing for the empty set.
impl fmt::Display for TagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Result<TagSet, InvalidTags> {
        TagSet::new(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())))
    }

    #[test]
    fn tags_that_aws_would_refuse_are_refused_here() {
        assert_eq!(tags(&[("a", "1"), ("a", "2")]), Err(InvalidTags::Repeated("a".into())));
        assert_eq!(tags(&[("a!", "1")]), Err(InvalidTags::Unfit("a!".into())));
        assert_eq!(tags(&[("a", "")]), Err(InvalidTags::Unfit("a".into())));
        let six: Vec<_> = ["a", "b", "c", "d", "e", "f"].iter().map(|key| (*key, "1")).collect();
        assert_eq!(tags(&six), Err(InvalidTags::TooMany(6)));
    }

    #[test]
    fn tags_have_one_order() {
        assert_eq!(tags(&[("b", "2"), ("a", "1")]).unwrap().to_string(), "a=1,b=2");
    }
}
