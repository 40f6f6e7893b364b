//! The kinds of `tollkeeper.dev/v1alpha1`, and their conversion into what the domain knows.
//!
//! A field here is public: what `kubectl explain` says is its doc comment, and every rule about it is a bound of the
//! schema or a CEL rule. [`convert`] checks all of them again, because API servers before 1.25 ignore CEL.

// The derive of CEL rules copies each struct into a function body, `pub` and all.
#![allow(unreachable_pub)]
// Two printer columns of one type look to the lint like an attribute said twice.
#![allow(clippy::duplicated_attributes)]

pub mod access;
pub mod binding;
pub mod convert;
pub mod crds;
pub mod dimension;
pub mod manifest;
pub mod meter;
pub mod product;
pub mod report;
mod schema;
pub mod shared;
pub mod statement;

pub use binding::{EvidenceSource, LicenseBinding, LicenseBindingSpec, LicenseBindingStatus};
pub use crds::{crds, crds_yaml};
pub use product::{MarketplaceProduct, MarketplaceProductSpec, MarketplaceProductStatus};
pub use report::{UsageReport, UsageReportSpec, UsageReportStatus};
pub use statement::{UsageStatement, UsageStatementSpec};

/// API group of every kind.
pub const GROUP: &str = "tollkeeper.dev";

/// Version of every kind.
pub const VERSION: &str = "v1alpha1";

/// Field manager of every write of Tollkeeper.
pub const FIELD_MANAGER: &str = "tollkeeper";

/// Label of a report: the name of its product.
pub const PRODUCT_LABEL: &str = "tollkeeper.dev/product";

/// Label of a report: its phase, so that unsettled reports are found without reading all.
pub const PHASE_LABEL: &str = "tollkeeper.dev/phase";

/// Finalizer of a binding: its last usage is settled or declared before the binding goes.
pub const SETTLE_FINALIZER: &str = "tollkeeper.dev/settle";

/// Label of provisioned objects, with the value [`FIELD_MANAGER`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
