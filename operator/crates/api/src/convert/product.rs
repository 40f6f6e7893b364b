//! A product, checked.

use std::{collections::BTreeSet, time::Duration};

use tollkeeper_core::{
    identity::{DimensionName, InvalidName, ObjectKey, ProductCode},
    product::{Dimension, InvalidSpan, Policy, Product, Span},
    quantity::Quantity,
};

use super::{
    key::{InvalidKey, key_of},
    meter,
    meter::{InvalidMeter, Metered},
    names::{LicenseUnit, NameRefused, ProductId},
};
use crate::{
    dimension::{DimensionSpec, LicenseKind, LicenseSpec},
    product::{Delivery, MarketplaceProduct, NotEntitledPolicy, Pricing},
};

/// Longest value of a label, which a product's name becomes.
const MAX_NAME: usize = 63;

/// Most dimensions of a product.
const MAX_DIMENSIONS: usize = 200;

/// AWS's older limit. Products above it need AWS's consent.
const USUAL_DIMENSIONS: usize = 24;

/// The least time that failing checks or metering are borne (container product policies of AWS Marketplace).
const MIN_TOLERANCE: Duration = Duration::from_secs(2 * 3600);

/// A product whose every field has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedProduct {
    /// Its object.
    pub key: ObjectKey,
    /// What AWS bills it by.
    pub code: ProductCode,
    /// Its product ID; there with [`Pricing::is_contract`].
    pub id: Option<ProductId>,
    /// How buyers get it.
    pub delivery: Delivery,
    /// How it is paid for.
    pub pricing: Pricing,
    /// What proves the answer of RegisterUsage; there with [`Pricing::Hourly`].
    pub public_key: Option<PublicKey>,
    /// Its dimensions, with what only licenses and previews need.
    pub dimensions: Vec<CheckedDimension>,
    /// There if its usage is measured.
    pub metered: Option<Metered>,
    /// What happens when a buyer is not entitled.
    pub not_entitled: NotEntitledPolicy,
    /// How long failures are borne before that.
    pub tolerance: Duration,
}

/// A dimension with what only licenses and previews need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedDimension {
    /// What the domain needs.
    pub dimension: Dimension,
    /// What License Manager needs.
    pub license: Option<License>,
    /// USD a unit, for previews.
    pub price: Option<Quantity>,
}

/// A dimension as License Manager knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct License {
    /// How it is licensed.
    pub kind: LicenseKind,
    /// In what unit; None for a tier.
    pub unit: LicenseUnit,
}

/// A public key of the seller portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its version.
    pub version: u32,
    /// SubjectPublicKeyInfo in PEM.
    pub pem: String,
}

/// Why a product was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidProduct {
    /// It has no usable name.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// Its name is no label.
    #[error(
        "metadata.name has {0} characters; choose a name of at most 63, as it becomes a label of the reports"
    )]
    NameTooLong(usize),
    /// The product code is not one.
    #[error("spec.productCode: {0}; copy it from the seller portal")]
    ProductCode(InvalidName),
    /// The product ID is missing.
    #[error(
        "spec.productId is missing; the pricing {0:?} needs it: copy the product ID from the seller portal"
    )]
    ProductIdMissing(Pricing),
    /// The product ID is not one.
    #[error("spec.productId: {0}; copy it from the seller portal")]
    ProductId(NameRefused),
    /// The public key is missing.
    #[error("spec.publicKey is missing; the pricing Hourly needs it: copy it from the seller portal")]
    PublicKeyMissing,
    /// The public key is not one.
    #[error(
        "spec.publicKey: the version is 0 or the pem is not a public key; copy both from the seller portal, the pem with its BEGIN and END lines"
    )]
    PublicKey,
    /// Too few or too many dimensions.
    #[error("spec.dimensions has {0} dimensions; name 1 to 200")]
    DimensionCount(usize),
    /// A dimension's name is not one.
    #[error("spec.dimensions[{index}].name: {problem}; copy the API name from the seller portal")]
    DimensionName {
        /// Which one.
        index: usize,
        /// What is wrong with it.
        problem: InvalidName,
    },
    /// Two dimensions of one name.
    #[error("spec.dimensions has two dimensions named `{0}`; give each its own name")]
    DuplicateDimension(DimensionName),
    /// Another field of a dimension is not usable.
    #[error("spec.dimensions[{name}].{field}: {problem}")]
    Dimension {
        /// The dimension.
        name: DimensionName,
        /// The field.
        field: &'static str,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The meter is missing though the pricing needs it.
    #[error("spec.meter is missing; the pricing {0:?} needs it: declare a plugin and its inputs")]
    MeterMissing(Pricing),
    /// The meter is missing though a license needs it.
    #[error(
        "spec.meter is missing; the license of dimension `{0}` needs it: declare a plugin and its inputs"
    )]
    MeterMissingForLicense(DimensionName),
    /// The meter is not usable.
    #[error(transparent)]
    Meter(#[from] InvalidMeter),
    /// The tolerance is not a duration.
    #[error("spec.policy.tolerance: {0}; write a duration such as 2h")]
    ToleranceText(InvalidSpan),
    /// The tolerance is too short.
    #[error("spec.policy.tolerance is {0:?}; choose 2h or more, as AWS asks for")]
    Tolerance(Duration),
}

impl InvalidProduct {
    /// The reason that conditions, events and metrics show.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Key(problem) => problem.reason(),
            Self::NameTooLong(_) => "NameTooLong",
            Self::ProductCode(_) => "InvalidProductCode",
            Self::ProductIdMissing(_) => "ProductIdMissing",
            Self::ProductId(_) => "InvalidProductId",
            Self::PublicKeyMissing => "PublicKeyMissing",
            Self::PublicKey => "InvalidPublicKey",
            Self::DimensionCount(_) | Self::DimensionName { .. } | Self::Dimension { .. } => {
                "InvalidDimension"
            }
            Self::DuplicateDimension(_) => "DuplicateDimension",
            Self::MeterMissing(_) | Self::MeterMissingForLicense(_) => "MeterMissing",
            Self::Meter(problem) => problem.reason(),
            Self::ToleranceText(_) | Self::Tolerance(_) => "InvalidTolerance",
        }
    }
}

impl CheckedProduct {
    /// How many dimensions there are, if that is more than AWS grants without asking.
    pub fn unusual_dimension_count(&self) -> Option<usize> {
        Some(self.dimensions.len()).filter(|count| *count > USUAL_DIMENSIONS)
    }
}

impl TryFrom<&MarketplaceProduct> for CheckedProduct {
    type Error = InvalidProduct;

    fn try_from(object: &MarketplaceProduct) -> Result<Self, Self::Error> {
        let spec = &object.spec;
        let key = key_of(&object.metadata)?;
        if key.name.len() > MAX_NAME {
            return Err(InvalidProduct::NameTooLong(key.name.len()));
        }
        let code: ProductCode = spec.product_code.parse().map_err(InvalidProduct::ProductCode)?;
        let id = spec.product_id.as_deref().map(str::parse).transpose().map_err(InvalidProduct::ProductId)?;
        if id.is_none() && spec.pricing.is_contract() {
            return Err(InvalidProduct::ProductIdMissing(spec.pricing));
        }
        let dimensions = dimensions(&spec.dimensions, spec.delivery)?;
        let tolerance = tolerance(&spec.policy.tolerance)?;
        let public_key = public_key(object)?;
        let meter = spec.meter.as_ref().map(meter::convert).transpose()?;
        if meter.is_none() {
            needs_no_meter(spec.pricing, &dimensions)?;
        }
        let metered = meter.map(|(meter, plugin)| Metered {
            product: Product {
                key: key.clone(),
                code: code.clone(),
                dimensions: dimensions.iter().map(|checked| checked.dimension.clone()).collect(),
                meter,
                policy: Policy { ambiguous: spec.policy.ambiguous, late: spec.policy.late },
                mode: spec.mode,
            },
            plugin,
        });
        Ok(Self {
            key,
            code,
            id,
            delivery: spec.delivery,
            pricing: spec.pricing,
            public_key,
            dimensions,
            metered,
            not_entitled: spec.policy.not_entitled,
            tolerance,
        })
    }
}

fn needs_no_meter(pricing: Pricing, dimensions: &[CheckedDimension]) -> Result<(), InvalidProduct> {
    if pricing.is_metered() {
        return Err(InvalidProduct::MeterMissing(pricing));
    }
    let measured = dimensions
        .iter()
        .find(|checked| checked.license.as_ref().is_some_and(|license| license.kind != LicenseKind::Tier));
    measured
        .map_or(Ok(()), |checked| Err(InvalidProduct::MeterMissingForLicense(checked.dimension.name.clone())))
}

fn public_key(object: &MarketplaceProduct) -> Result<Option<PublicKey>, InvalidProduct> {
    match &object.spec.public_key {
        None if object.spec.pricing == Pricing::Hourly => Err(InvalidProduct::PublicKeyMissing),
        None => Ok(None),
        Some(key) if key.version == 0 || !is_public_key(&key.pem) => Err(InvalidProduct::PublicKey),
        Some(key) => Ok(Some(PublicKey { version: key.version, pem: key.pem.clone() })),
    }
}

/// Whether a text looks like a public key in PEM; whether it is one is for those who verify with it.
pub(super) fn is_public_key(pem: &str) -> bool {
    pem.trim_start().starts_with("-----BEGIN PUBLIC KEY-----") && pem.len() <= 8192
}

fn tolerance(text: &str) -> Result<Duration, InvalidProduct> {
    let Span(tolerance) = text.parse().map_err(InvalidProduct::ToleranceText)?;
    if tolerance < MIN_TOLERANCE { Err(InvalidProduct::Tolerance(tolerance)) } else { Ok(tolerance) }
}

fn dimensions(specs: &[DimensionSpec], delivery: Delivery) -> Result<Vec<CheckedDimension>, InvalidProduct> {
    if specs.is_empty() || specs.len() > MAX_DIMENSIONS {
        return Err(InvalidProduct::DimensionCount(specs.len()));
    }
    let mut names = BTreeSet::new();
    specs
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let name: DimensionName =
                spec.name.parse().map_err(|problem| InvalidProduct::DimensionName { index, problem })?;
            if !names.insert(name.clone()) {
                return Err(InvalidProduct::DuplicateDimension(name));
            }
            dimension(spec, name, delivery)
        })
        .collect()
}

fn dimension(
    spec: &DimensionSpec,
    name: DimensionName,
    delivery: Delivery,
) -> Result<CheckedDimension, InvalidProduct> {
    let refused = |field, problem: String| InvalidProduct::Dimension { name: name.clone(), field, problem };
    let letters = spec.description.as_ref().map_or(0, |text| text.chars().count());
    if letters > 70 {
        return Err(refused("description", format!("{letters} characters; shorten it to 70 or less")));
    }
    let price = spec.price.as_deref().map(Quantity::from_reported).transpose();
    let price =
        price.map_err(|problem| refused("price", format!("{problem}; write USD such as \"0.025\"")))?;
    let license = spec.license.as_ref().map(license).transpose();
    let license = license.map_err(|problem| refused("license.unit", problem))?;
    Ok(CheckedDimension {
        license,
        price,
        dimension: Dimension {
            name,
            fold: spec.fold,
            rounding: spec.rounding,
            zero_records: spec.zero_records.unwrap_or(delivery == Delivery::SaaS),
        },
    })
}

fn license(spec: &LicenseSpec) -> Result<License, String> {
    let unit = match (&spec.unit, spec.kind) {
        (Some(unit), _) => unit.parse().map_err(|problem: NameRefused| format!("{problem}; choose one"))?,
        (None, LicenseKind::Tier) => LicenseUnit::none(),
        (None, kind) => {
            return Err(format!("missing; a {kind:?} license needs one, such as Count or Gigabytes"));
        }
    };
    Ok(License { kind: spec.kind, unit })
}
