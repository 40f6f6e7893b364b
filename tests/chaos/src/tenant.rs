//! The products of a run: the one that faults aim at, and in some runs a neighbour in the same processes.

use tollkeeper_core::identity::{ObjectKey, ProductCode};

/// Who is metered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) enum Tenant {
    /// The product that the faults of effects hit.
    #[default]
    First,
    /// It suffers only what happens to processes, servers and clocks.
    Neighbour,
}

impl Tenant {
    pub(crate) const BOTH: [Self; 2] = [Self::First, Self::Neighbour];

    /// Whose a namespace is, of a product or of a binding.
    pub(crate) fn of(namespace: &str) -> Self {
        let is_neighbour =
            |tenant: Self| tenant.key().namespace == namespace || tenant.namespaces().contains(&namespace);
        if is_neighbour(Self::Neighbour) { Self::Neighbour } else { Self::First }
    }

    /// Whose a product code is.
    pub(crate) fn of_code(code: &ProductCode) -> Self {
        if *code == Self::Neighbour.code() { Self::Neighbour } else { Self::First }
    }

    /// The product.
    pub(crate) fn key(self) -> ObjectKey {
        match self {
            Self::First => ObjectKey::new("vecdb", "vecdb"),
            Self::Neighbour => ObjectKey::new("graphdb", "graphdb"),
        }
    }

    /// What AWS knows the product by.
    #[allow(clippy::expect_used, reason = "constants")]
    pub(crate) fn code(self) -> ProductCode {
        let code = match self {
            Self::First => "4pz5x3sgbjnq7t3hb1kqe3v0w",
            Self::Neighbour => "7hd2m9xkq4wz8c1rv6ytb5n3s",
        };
        code.parse().expect("a product code")
    }

    /// The namespaces of its bindings, which have the same names.
    pub(crate) fn namespaces(self) -> &'static [&'static str] {
        match self {
            Self::First => &["blue", "green"],
            Self::Neighbour => &["red"],
        }
    }
}
