//! A binding, checked.

use std::collections::BTreeSet;

use tollkeeper_core::{
    identity::{DimensionName, InvalidName, ObjectKey},
    product::Binding,
    tags::{InvalidTags, TagSet},
    workload::{Selector, Workload},
};

use super::{
    access::{Access, InvalidAccess},
    key::{InvalidKey, key_of},
    names::{AccountId, CustomerIdentifier, LicenseArn, NameRefused, Namespace, ObjectName},
};
use crate::{
    binding::{EntitlementRequest, LicenseBinding, WorkloadSpec},
    shared::Buyer,
};

/// Longest name of an object, less the hour that the name of a report adds.
const MAX_NAME: usize = 253 - "-2026112114".len();

/// A binding whose every field has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBinding {
    /// The product that it is for.
    pub product: ObjectKey,
    /// What the domain needs.
    pub binding: Binding,
    /// Who bought a SaaS product.
    pub buyer: Option<CheckedBuyer>,
    /// What is provisioned for its pods.
    pub access: Option<Access>,
    /// What to check out; empty means the product's license dimensions.
    pub entitlements: Vec<WantedEntitlement>,
    /// Whether it is out of force.
    pub suspended: bool,
}

/// A buyer of a SaaS product. Never both ways for one buyer: AWS would bill them twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckedBuyer {
    /// By account and license.
    License {
        /// The account.
        account_id: AccountId,
        /// The license.
        license_arn: LicenseArn,
    },
    /// By the identifier of older products.
    Customer(CustomerIdentifier),
}

/// Something to check out from License Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedEntitlement {
    /// Its name.
    pub name: DimensionName,
    /// How much; `None` for a tier, or for all that there is.
    pub quantity: Option<u32>,
}

/// Why a binding was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidBinding {
    /// It has no usable name.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// Its name leaves no room for the hour in the names of its reports.
    #[error(
        "metadata.name has {0} characters; choose a name of at most 242, as the names of the reports add the hour"
    )]
    NameTooLong(usize),
    /// It names no product.
    #[error("spec.productRef.name: {0}; name a MarketplaceProduct of this namespace")]
    Product(NameRefused),
    /// The buyer is named in no way, or in two.
    #[error(
        "spec.buyer needs either accountId and licenseArn, or customerIdentifier alone; copy what ResolveCustomer answered"
    )]
    BuyerIdentity,
    /// A field of the buyer is not usable.
    #[error("spec.buyer.{field}: {problem}; copy what ResolveCustomer answered")]
    Buyer {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: NameRefused,
    },
    /// A namespace of the workload is not one.
    #[error("spec.workload.namespaces: {0}; correct it")]
    Namespace(NameRefused),
    /// The tags are not those that AWS takes.
    #[error("spec.tags: {0}; correct them")]
    Tags(InvalidTags),
    /// The access is not usable.
    #[error(transparent)]
    Access(#[from] InvalidAccess),
    /// An entitlement is not usable.
    #[error("spec.entitlements[{index}].name: {problem}; copy the name from the license")]
    Entitlement {
        /// Which one.
        index: usize,
        /// What is wrong with it.
        problem: InvalidName,
    },
    /// An entitlement of nothing.
    #[error("spec.entitlements[{0}].quantity is 0; ask for 1 or more, or leave it out")]
    NoQuantity(DimensionName),
    /// Two entitlements of one name.
    #[error("spec.entitlements has `{0}` twice; name it once")]
    DuplicateEntitlement(DimensionName),
}

impl InvalidBinding {
    /// The reason that conditions, events and metrics show.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Key(problem) => problem.reason(),
            Self::NameTooLong(_) => "NameTooLong",
            Self::Product(_) => "InvalidProductRef",
            Self::BuyerIdentity | Self::Buyer { .. } => "InvalidBuyer",
            Self::Namespace(_) => "InvalidWorkload",
            Self::Tags(_) => "InvalidTags",
            Self::Access(problem) => problem.reason(),
            Self::Entitlement { .. } | Self::NoQuantity(_) | Self::DuplicateEntitlement(_) => {
                "InvalidEntitlement"
            }
        }
    }
}

impl CheckedBinding {
    /// The product of a binding that cannot be used, and as much of it as it takes to seal what was measured while it could
    /// be; `None` if its product cannot be told.
    pub fn measured_before(object: &LicenseBinding) -> Option<(ObjectKey, Binding)> {
        let key = key_of(&object.metadata).ok()?;
        let product: ObjectName = object.spec.product_ref.name.parse().ok()?;
        let binding = Binding {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            workload: Workload { namespaces: vec![key.namespace.clone()], selector: Selector::default() },
            tags: TagSet::new(object.spec.tags.clone()).unwrap_or_default(),
            key: key.clone(),
        };
        Some((ObjectKey::new(&key.namespace, product.as_str()), binding))
    }
}

impl TryFrom<&LicenseBinding> for CheckedBinding {
    type Error = InvalidBinding;

    fn try_from(object: &LicenseBinding) -> Result<Self, Self::Error> {
        let spec = &object.spec;
        let key = key_of(&object.metadata)?;
        if key.name.len() > MAX_NAME {
            return Err(InvalidBinding::NameTooLong(key.name.len()));
        }
        let product: ObjectName = spec.product_ref.name.parse().map_err(InvalidBinding::Product)?;
        Ok(Self {
            product: ObjectKey::new(&key.namespace, product.as_str()),
            buyer: spec.buyer.as_ref().map(CheckedBuyer::try_from).transpose()?,
            access: spec.access.as_ref().map(Access::try_from).transpose()?,
            entitlements: entitlements(&spec.entitlements)?,
            suspended: spec.suspended,
            binding: Binding {
                // Files for `simulate` have no UID; there, nothing is deleted and made anew under the same name.
                uid: object.metadata.uid.clone().unwrap_or_default(),
                workload: workload(spec.workload.as_ref(), &key.namespace)?,
                tags: TagSet::new(spec.tags.clone()).map_err(InvalidBinding::Tags)?,
                key,
            },
        })
    }
}

impl TryFrom<&Buyer> for CheckedBuyer {
    type Error = InvalidBinding;

    fn try_from(buyer: &Buyer) -> Result<Self, Self::Error> {
        let refused = |field| move |problem| InvalidBinding::Buyer { field, problem };
        match (&buyer.account_id, &buyer.license_arn, &buyer.customer_identifier) {
            (Some(account_id), Some(license_arn), None) => Ok(Self::License {
                account_id: account_id.parse().map_err(refused("accountId"))?,
                license_arn: license_arn.parse().map_err(refused("licenseArn"))?,
            }),
            (None, None, Some(customer)) => {
                Ok(Self::Customer(customer.parse().map_err(refused("customerIdentifier"))?))
            }
            _ => Err(InvalidBinding::BuyerIdentity),
        }
    }
}

fn workload(spec: Option<&WorkloadSpec>, own: &str) -> Result<Workload, InvalidBinding> {
    let named = spec.map(|spec| spec.namespaces.clone()).unwrap_or_default();
    for name in &named {
        name.parse::<Namespace>().map_err(InvalidBinding::Namespace)?;
    }
    Ok(Workload {
        namespaces: if named.is_empty() { vec![own.to_owned()] } else { named },
        selector: spec.and_then(|spec| spec.selector.as_ref()).map(Selector::from).unwrap_or_default(),
    })
}

fn entitlements(specs: &[EntitlementRequest]) -> Result<Vec<WantedEntitlement>, InvalidBinding> {
    let mut names = BTreeSet::new();
    specs
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let name: DimensionName =
                spec.name.parse().map_err(|problem| InvalidBinding::Entitlement { index, problem })?;
            if !names.insert(name.clone()) {
                return Err(InvalidBinding::DuplicateEntitlement(name));
            }
            if spec.quantity == Some(0) {
                return Err(InvalidBinding::NoQuantity(name));
            }
            Ok(WantedEntitlement { name, quantity: spec.quantity })
        })
        .collect()
}
