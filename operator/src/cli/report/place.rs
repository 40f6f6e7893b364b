//! Where a verb looks: a namespace or all of them, in the cluster or in a file.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use clap::Args;
use kube::Client;
use tollkeeper_core::{
    identity::ObjectKey,
    proof::{Export, InvalidExport, Material},
};
use tollkeeper_ledger::kubernetes::{KubernetesLedger, KubernetesStatements, Scope};

use crate::{
    cli::{Failure, cluster},
    clock,
};

/// A ledger of a hundred products for a year is a fifth of this.
const MAX_FILE: u64 = 1 << 30;

/// Which namespaces to read.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Namespace to read; by default the one of the current context.
    #[arg(long, short, env = "TOLLKEEPER_NAMESPACE")]
    namespace: Option<String>,
    /// Read all namespaces.
    #[arg(long, short = 'A', env = "TOLLKEEPER_ALL_NAMESPACES", conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,
}

/// The cluster, as far as a verb reads it.
pub(super) struct Cluster {
    pub(super) client: Client,
    /// `None` for all.
    pub(super) namespace: Option<String>,
}

impl Place {
    /// Connects to the cluster.
    pub(super) async fn cluster(&self) -> Result<Cluster, Failure> {
        let (client, own) = cluster::client().await?;
        let namespace = (!self.all_namespaces).then(|| self.namespace.clone().unwrap_or(own));
        Ok(Cluster { client, namespace })
    }

    /// A product's name, with its namespace where there may be several.
    pub(super) fn product_name(&self, product: &ObjectKey) -> String {
        if self.all_namespaces { product.to_string() } else { product.name.clone() }
    }
}

impl Cluster {
    /// In words.
    pub(super) fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("the namespace {namespace}"),
            None => "the cluster".to_owned(),
        }
    }

    fn scope(&self) -> Scope {
        match &self.namespace {
            Some(namespace) => Scope::Namespaces(vec![namespace.clone()]),
            None => Scope::Cluster,
        }
    }

    /// The ledger.
    pub(super) fn ledger(&self) -> KubernetesLedger {
        KubernetesLedger::new(self.client.clone(), self.scope(), clock::of_process(None))
    }

    /// All that the ledger says, oldest first, damaged or not.
    pub(super) async fn material(&self, product: Option<&str>) -> Result<Material, Failure> {
        let statements = KubernetesStatements::new(self.client.clone(), self.scope());
        let mut material = Material {
            reports: self.ledger().documents(product).await.map_err(Failure::new)?,
            statements: statements.documents(product).await.map_err(Failure::new)?,
        };
        material.sort();
        Ok(material)
    }
}

/// Reads a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let named = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(named)?)
    };
    let read = input.take(MAX_FILE).read_to_string(&mut text).map_err(named)?;
    if u64::try_from(read).unwrap_or(u64::MAX) >= MAX_FILE {
        return Err(Failure::new(format!("{} has more than {MAX_FILE} bytes", path.display())));
    }
    Ok(text)
}

/// An export, or what `kubectl get usage,usagestatements -o json` prints.
pub(super) enum Document {
    Export(Export),
    Objects(Material),
}

impl Document {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = read(path)?;
        match Export::parse(&text) {
            Ok(export) => Ok(Self::Export(export)),
            Err(InvalidExport::Format) => {
                let objects = serde_json::from_str(&text).ok().and_then(Material::of_objects);
                let refused = || Failure::new(format!("{}: {}", path.display(), InvalidExport::Format));
                objects.map(Self::Objects).ok_or_else(refused)
            }
            Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))),
        }
    }

    pub(super) fn material(&self) -> &Material {
        match self {
            Self::Export(export) => &export.material,
            Self::Objects(material) => material,
        }
    }
}
