//! What a document comes to once its aliases are followed: a short one may mean gigabytes, which are never built.

use std::{cell::Cell, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// More than any object that an API server takes.
const MOST: usize = 16 << 20;

/// Bytes that a value takes beside its text.
const VALUE: usize = 32;

/// Whether a document means too much. One that cannot be read does not.
pub(super) fn is_too_much(text: &str) -> bool {
    let left = Cell::new(Some(MOST));
    // Without aliases it means what it is.
    let _ = text.contains('*').then(|| Weigh(&left).deserialize(serde_yaml::Deserializer::from_str(text)));
    left.get().is_none()
}

/// Takes every value from what is left, and stops when nothing is.
#[derive(Clone, Copy)]
struct Weigh<'a>(&'a Cell<Option<usize>>);

impl Weigh<'_> {
    fn take<E: Error>(self, text: usize) -> Result<(), E> {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(VALUE.saturating_add(text))));
        self.0.get().map(drop).ok_or_else(|| E::custom("too much"))
    }
}

impl<'de> DeserializeSeed<'de> for Weigh<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Weigh<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.take(0)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.take(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.take(0)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.take(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.take(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.take(text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        self.take(0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(self)?.is_some() {
            map.next_value_seed(self)?;
        }
        self.take(0)
    }

    /// A value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let ((), value) = tagged.variant_seed(self)?;
        value.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_document_that_means_gigabytes_is_too_much() {
        let (zeros, aliases) = ("0,".repeat(10_000), "*a,".repeat(14_000));
        assert!(is_too_much(&format!("a: &a [{zeros}]\nb: [{aliases}]\n")));
        let text = format!("a: &a {}\nb: [{aliases}]\n", "x".repeat(20_000));
        assert!(is_too_much(&text) && is_too_much(&text.replace("&a", "&a !tag")));
    }

    #[test]
    fn aliases_in_measure_are_not_too_much() {
        assert!(!is_too_much("a: &a {b: [1, 1.5, -1, true, ~, text]}\nc: *a\nd: !tag [*a, *a]\n"));
        assert!(!is_too_much("a: *nobody\n"));
        assert!(!is_too_much(&format!("a: '{}*'", "x".repeat(MOST / 2))));
    }
}
