//! An object as a watch has it, whether it can be decoded or not.

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;

/// An object that is there and cannot be decoded.
#[derive(Clone, PartialEq, Debug)]
pub struct Undecodable<K> {
    /// Its metadata, which can.
    pub metadata: ObjectMeta,
    /// Why the rest cannot.
    pub problem: String,
    /// The parts of it that can all the same, as an object that has nothing else, for kinds that ask for them.
    pub remains: Option<K>,
}

/// An object as the watch has it.
#[derive(Clone, PartialEq, Debug)]
pub enum Seen<K> {
    /// As it is, pruned.
    Object(Arc<K>),
    /// There, but not to be decoded.
    Undecodable(Arc<Undecodable<K>>),
}

impl<K> Seen<K> {
    /// The object, or what remains of one that cannot be decoded.
    pub fn readable(&self) -> Option<&K> {
        match self {
            Self::Object(object) => Some(object),
            Self::Undecodable(broken) => broken.remains.as_ref(),
        }
    }
}

/// An object that may not be what its kind says, without harm to the list that it is in. kube has such a type too, but it keeps
/// the metadata only.
#[derive(Clone, Debug)]
pub(super) enum Guarded<K> {
    Object(K),
    Undecodable { metadata: Box<ObjectMeta>, content: Value, problem: String },
}

/// How an object of a kind is kept.
pub(super) struct Keeping<K> {
    /// Takes away what is large and not needed.
    pub(super) prune: fn(&mut K),
    /// What can be told of one that cannot be decoded, from what is stored.
    pub(super) remains: fn(&Value) -> Option<K>,
}

impl<K: Resource<DynamicType = ()>> Guarded<K> {
    /// The object as it is kept.
    pub(super) fn kept(self, keeping: &Keeping<K>) -> Seen<K> {
        let pruned = |mut object: K| {
            object.meta_mut().managed_fields = None;
            (keeping.prune)(&mut object);
            object
        };
        match self {
            Self::Object(object) => Seen::Object(Arc::new(pruned(object))),
            Self::Undecodable { metadata, content, problem } => {
                let metadata = ObjectMeta { managed_fields: None, ..*metadata };
                let remains = (keeping.remains)(&content).map(pruned);
                Seen::Undecodable(Arc::new(Undecodable { metadata, problem, remains }))
            }
        }
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let content = Value::deserialize(deserializer)?;
        K::deserialize(&content).map(Self::Object).or_else(|problem| {
            let metadata = content.get("metadata").map(ObjectMeta::deserialize).transpose();
            let metadata = metadata.map_err(D::Error::custom)?.unwrap_or_default();
            Ok(Self::Undecodable { metadata: Box::new(metadata), problem: problem.to_string(), content })
        })
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Object(object) => object.meta(),
            Self::Undecodable { metadata, .. } => metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Object(object) => object.meta_mut(),
            Self::Undecodable { metadata, .. } => metadata,
        }
    }
}

/// Whether anything but the version differs: what was pruned may have changed, and nobody wants to know.
pub(super) fn differs<K: Resource<DynamicType = ()> + Clone + PartialEq>(
    before: Option<&Seen<K>>,
    after: Option<&Seen<K>>,
) -> bool {
    match (before, after) {
        (Some(Seen::Object(before)), Some(Seen::Object(after))) => {
            unversioned(&**before) != unversioned(&**after)
        }
        (Some(Seen::Undecodable(before)), Some(Seen::Undecodable(after))) => {
            let told = |broken: &Undecodable<K>| {
                let metadata = ObjectMeta { resource_version: None, ..broken.metadata.clone() };
                (metadata, broken.problem.clone(), broken.remains.as_ref().map(unversioned))
            };
            told(before) != told(after)
        }
        (before, after) => before != after,
    }
}

fn unversioned<K: Resource<DynamicType = ()> + Clone>(object: &K) -> K {
    let mut object = object.clone();
    object.meta_mut().resource_version = None;
    object
}
