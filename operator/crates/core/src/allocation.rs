//! Splits a record's quantity over the tag sets of its usage.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    metering::Allocation,
    quantity::Quantity,
    tags::{MAX_TAGS, TagSet},
};

/// Allocations of one record (API model: `UsageAllocations` has at most 2500 members).
pub const MAX_ALLOCATIONS: usize = 2500;

/// Usage with the tags of its reading and those of its binding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaggedUsage<'a> {
    /// The reading's own tags; they win over the binding's.
    pub own: TagSet,
    /// The binding's tags.
    pub binding: &'a TagSet,
    /// How much.
    pub quantity: Quantity,
}

/// A record's usage by tag set, and the tag keys that it had no room for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tagged {
    /// Usage of each tag set; tag sets without usage are left out.
    pub usage: BTreeMap<TagSet, Quantity>,
    /// Keys beyond the five that a record may have.
    pub dropped_keys: BTreeSet<String>,
}

/// Joins own and binding tags. A record has at most five distinct keys: own keys come first, then the bindings',
/// each in order; usage whose tag sets differ only in dropped keys is added.
pub fn tagged(usage: &[TaggedUsage<'_>]) -> Tagged {
    let own: BTreeSet<&str> = usage.iter().flat_map(|part| part.own.keys()).collect();
    let of_bindings: BTreeSet<&str> =
        usage.iter().flat_map(|part| part.binding.keys()).filter(|key| !own.contains(key)).collect();
    let in_order: Vec<&str> = own.iter().chain(&of_bindings).copied().collect();
    let (admitted, dropped) = in_order.split_at(in_order.len().min(MAX_TAGS));

    let mut tagged =
        Tagged { usage: BTreeMap::new(), dropped_keys: dropped.iter().map(ToString::to_string).collect() };
    for part in usage.iter().filter(|part| !part.quantity.is_zero()) {
        let tags = part.own.joined(part.binding, |key| admitted.contains(&key));
        *tagged.usage.entry(tags).or_insert(Quantity::ZERO) += part.quantity;
    }
    tagged
}

/// Splits `quantity` over the tag sets in proportion to their usage, by largest remainder, so that the parts sum to
/// it exactly. No allocations if there is nothing but untagged usage.
pub fn allocate(quantity: u32, usage: &BTreeMap<TagSet, Quantity>) -> Vec<Allocation> {
    if usage.keys().all(TagSet::is_empty) {
        return Vec::new();
    }
    let usage = merged(usage);
    let total = usage.values().copied().sum::<Quantity>().micros();
    let shares: Vec<(&TagSet, u128, u128)> = usage
        .iter()
        .map(|(tags, part)| {
            let product = part.micros().saturating_mul(u128::from(quantity));
            (tags, product / total.max(1), product % total.max(1))
        })
        .collect();
    let given: u128 = shares.iter().map(|(_, share, _)| share).sum();
    let left = usize::try_from(u128::from(quantity).saturating_sub(given)).unwrap_or(usize::MAX);

    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_by_key(|&index| {
        (std::cmp::Reverse(shares.get(index).map(|(_, _, remainder)| *remainder)), index)
    });
    let rounded_up: BTreeSet<usize> = by_remainder.into_iter().take(left).collect();
    shares
        .into_iter()
        .enumerate()
        .map(|(index, (tags, share, _))| Allocation {
            quantity: u32::try_from(share).unwrap_or(u32::MAX) + u32::from(rounded_up.contains(&index)),
            tags: tags.clone(),
        })
        .collect()
}

/// At most [`MAX_ALLOCATIONS`] tag sets: the smallest join the untagged usage.
fn merged(usage: &BTreeMap<TagSet, Quantity>) -> BTreeMap<TagSet, Quantity> {
    if usage.len() <= MAX_ALLOCATIONS {
        return usage.clone();
    }
    let mut tagged: Vec<_> = usage.iter().filter(|(tags, _)| !tags.is_empty()).collect();
    tagged.sort_by_key(|(tags, quantity)| (std::cmp::Reverse(**quantity), *tags));
    let (kept, small) = tagged.split_at(tagged.len().min(MAX_ALLOCATIONS - 1));
    let untagged = usage.get(&TagSet::default()).copied().unwrap_or_default()
        + small.iter().map(|(_, quantity)| **quantity).sum();
    kept.iter()
        .map(|(tags, quantity)| ((*tags).clone(), **quantity))
        .chain([(TagSet::default(), untagged)])
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(pairs: &[(&str, &str)]) -> TagSet {
        TagSet::new(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()))).unwrap()
    }

    fn units(quantity: u32) -> Quantity {
        Quantity::from_units(quantity)
    }

    #[test]
    fn ties_go_to_the_first_tag_set_in_canonical_order() {
        let usage = BTreeMap::from([(set(&[("t", "b")]), units(1)), (set(&[("t", "a")]), units(1))]);
        let parts: Vec<_> =
            allocate(3, &usage).into_iter().map(|part| (part.tags.to_string(), part.quantity)).collect();
        assert_eq!(parts, [("t=a".to_owned(), 2), ("t=b".to_owned(), 1)]);
    }

    #[test]
    fn untagged_usage_alone_needs_no_allocations() {
        assert_eq!(allocate(5, &BTreeMap::from([(TagSet::default(), units(5))])), []);
        assert_eq!(allocate(0, &BTreeMap::new()), []);
    }

    #[test]
    fn untagged_usage_beside_tagged_is_an_allocation_without_tags() {
        let usage = BTreeMap::from([(TagSet::default(), units(1)), (set(&[("t", "a")]), units(3))]);
        let parts = allocate(8, &usage);
        assert_eq!(
            parts,
            [
                Allocation { quantity: 2, tags: TagSet::default() },
                Allocation { quantity: 6, tags: set(&[("t", "a")]) }
            ]
        );
    }

    #[test]
    fn own_tags_win_over_those_of_the_binding() {
        let binding = set(&[("CostCenter", "42"), ("Namespace", "binding")]);
        let usage =
            [TaggedUsage { own: set(&[("Namespace", "blue")]), binding: &binding, quantity: units(1) }];
        let tagged = tagged(&usage);
        let sets: Vec<_> = tagged.usage.keys().map(ToString::to_string).collect();
        assert_eq!(sets, ["CostCenter=42,Namespace=blue"]);
    }

    #[test]
    fn a_record_has_at_most_five_keys_and_the_dropped_ones_are_named() {
        let none = TagSet::default();
        let binding = set(&[("a", "1"), ("b", "1")]);
        let four = [("w", "1"), ("x", "1"), ("y", "1"), ("z", "1")];
        let usage = [
            TaggedUsage { own: set(&four), binding: &binding, quantity: units(1) },
            TaggedUsage { own: none.clone(), binding: &binding, quantity: units(2) },
        ];
        let tagged = tagged(&usage);
        assert_eq!(tagged.dropped_keys, BTreeSet::from(["b".to_owned()]));
        let sets: Vec<_> = tagged.usage.keys().map(ToString::to_string).collect();
        assert_eq!(sets, ["a=1", "a=1,w=1,x=1,y=1,z=1"]);
    }

    #[test]
    fn more_tag_sets_than_aws_takes_are_merged_into_the_untagged_one() {
        let usage: BTreeMap<_, _> =
            (1..=2600).map(|n: u32| (set(&[("t", &format!("{n:05}"))]), units(n))).collect();
        let total: u32 = (1..=2600).sum();
        let parts = allocate(total, &usage);
        assert_eq!(parts.len(), MAX_ALLOCATIONS);
        assert_eq!(parts.iter().map(|part| part.quantity).sum::<u32>(), total);
        let untagged = parts.iter().find(|part| part.tags.is_empty()).unwrap();
        assert_eq!(untagged.quantity, (1..=101).sum::<u32>());
    }

    proptest! {
        #[test]
        fn allocations_sum_to_the_quantity(
            quantity in 0u32..=crate::quantity::MAX_BILLABLE,
            measures in prop::collection::btree_map("[a-z]{1,3}", 1u128..10u128.pow(15), 1..50),
        ) {
            let usage: BTreeMap<_, _> = measures
                .into_iter()
                .map(|(value, micros)| (set(&[("t", &value)]), Quantity::from_micros(micros)))
                .collect();
            let sum: u64 = allocate(quantity, &usage).iter().map(|part| u64::from(part.quantity)).sum();
            prop_assert_eq!(sum, u64::from(quantity));
        }
    }
}
