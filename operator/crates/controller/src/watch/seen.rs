//! An object as a watch has it, whether it can be decoded or not.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

/// An object that is there and cannot be decoded.
#[derive(Clone, PartialEq, Debug)]
pub struct Undecodable {
    /// Its metadata, which can.
    pub metadata: ObjectMeta,
    /// Why the rest cannot.
    pub problem: String,
}

/// An object as the watch has it.
#[derive(Clone, PartialEq, Debug)]
pub enum Seen<K> {
    /// As it is, pruned.
    Object(Arc<K>),
    /// There, but not to be decoded.
    Undecodable(Arc<Undecodable>),
}

/// Whether anything but the version differs: what was pruned may have changed, and nobody wants to know.
pub(super) fn differs<K: Resource<DynamicType = ()> + Clone + PartialEq>(
    before: Option<&Seen<K>>,
    after: Option<&Seen<K>>,
) -> bool {
    match (before, after) {
        (Some(Seen::Object(before)), Some(Seen::Object(after))) => {
            let mut before = K::clone(before);
            before.meta_mut().resource_version.clone_from(&after.meta().resource_version);
            before != **after
        }
        (before, after) => before != after,
    }
}
