//! From what people write to what the domain knows.
//!
//! Everything that the schema and the CEL rules demand is checked again here: API servers before 1.25 ignore CEL, and
//! `tollkeeper simulate` reads files that no API server has seen. Each error names the field and says what to do, and
//! its `reason()` is what conditions, events and metrics show.

mod access;
mod binding;
mod key;
mod meter;
mod names;
mod product;

pub use access::{Access, InvalidAccess, LicenseToken, TokenOrigin};
pub use binding::{CheckedBinding, CheckedBuyer, InvalidBinding, WantedEntitlement};
pub use key::InvalidKey;
pub(crate) use key::key_of;
pub use meter::{InvalidMeter, Metered, PluginOrigin, PluginSource};
pub use names::{
    AccountId, CustomerIdentifier, LicenseArn, LicenseUnit, NameRefused, Namespace, ObjectName, ProductId,
    RoleArn,
};
pub use product::{CheckedDimension, CheckedProduct, InvalidProduct, License, PublicKey};
