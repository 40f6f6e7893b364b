//! `tollkeeper report verify`: proves that nobody has changed the ledger, from the cluster or from a file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tollkeeper_core::proof::{Material, Problem, Proof, changed_since, prove};

use super::{
    block_on,
    place::{Document, Place},
};
use crate::cli::{
    Failure, Output, print,
    render::{self, Align},
};

/// Prove the hash chain: any edit, deletion, reordering or rollback is found and named.
///
/// Ends with 1 if something is wrong. Without FILE the ledger in the cluster is verified; with it no cluster is needed.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A file of `report export`, or of `kubectl get usage,usagestatements -o json`; `-` for standard input.
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Only reports of this product.
    #[arg(long, env = "TOLLKEEPER_PRODUCT", value_name = "NAME")]
    product: Option<String>,
    /// An earlier export: what it has must still be there, or have been pruned.
    #[arg(long, env = "TOLLKEEPER_SINCE_EXPORT", value_name = "FILE")]
    since_export: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, short, env = "TOLLKEEPER_OUTPUT", default_value = "text")]
    output: Output,
}

impl Verify {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (mut material, mut problems, namespace) = self.material()?;
        if let Some(product) = &self.product {
            material.retain(None, Some(product));
        }
        let proof = prove(&material);
        problems.extend(proof.problems);
        if let Some(path) = &self.since_export {
            let earlier = Document::read(path)?;
            if let Document::Export(export) = &earlier
                && let Some(first) = export.problems().first()
            {
                return Err(Failure::new(format!("the earlier export cannot be trusted itself: {first}")));
            }
            let mut earlier = earlier.material().clone();
            earlier.sort();
            earlier.retain(namespace.as_deref(), self.product.as_deref());
            problems.extend(changed_since(&earlier, &material));
        }
        problems.dedup();
        self.report(&Proof { problems, ..proof })
    }

    /// What to prove, what is wrong with the file that it comes from, and the namespace that it is of if only one was read.
    fn material(&self) -> Result<(Material, Vec<Problem>, Option<String>), Failure> {
        match self.file.as_deref().map(Document::read).transpose()? {
            Some(Document::Export(export)) => {
                let problems = export.problems();
                Ok((export.material, problems, None))
            }
            Some(Document::Objects(mut material)) => {
                material.sort();
                Ok((material, vec![], None))
            }
            None => block_on(async {
                let cluster = self.place.cluster().await?;
                let material = cluster.material(self.product.as_deref()).await?;
                Ok((material, vec![], cluster.namespace))
            }),
        }
    }

    fn report(&self, proof: &Proof) -> Result<(), Failure> {
        match self.output {
            Output::Json => print::json(&json!({
                "intact": proof.problems.is_empty(),
                "chains": proof.chains,
                "problems": proof.problems,
            }))?,
            Output::Text => print::text(text(proof))?,
        }
        match proof.problems.as_slice() {
            [] => Ok(()),
            [one] => Err(Failure::new(one)),
            [first, rest @ ..] => {
                Err(Failure::new(format!("{} things are wrong; the first: {first}", rest.len() + 1)))
            }
        }
    }
}

fn text(proof: &Proof) -> String {
    let heads = [
        ("NAMESPACE", Align::Left),
        ("PRODUCT", Align::Left),
        ("REPORTS", Align::Right),
        ("STATEMENTS", Align::Right),
        ("FIRST", Align::Left),
        ("LAST", Align::Left),
        ("HASH", Align::Left),
    ];
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let rows = proof.chains.iter().map(|chain| {
        vec![
            chain.namespace.clone(),
            chain.product.clone(),
            chain.reports.to_string(),
            chain.statements.to_string(),
            or_dash(chain.first.as_deref()),
            or_dash(chain.last.as_deref()),
            or_dash(chain.hash.as_ref().map(|hash| hash.as_str())),
        ]
    });
    let table = match proof.chains.as_slice() {
        [] => String::new(),
        _ => render::table(&heads, &rows.collect::<Vec<_>>()) + "\n",
    };
    let verdict = match (proof.problems.as_slice(), proof.chains.as_slice()) {
        ([], []) => "There is nothing to verify.\n".to_owned(),
        ([], _) => "Intact: nothing was edited, deleted or reordered.\n".to_owned(),
        (problems, _) => problems.iter().map(|problem| format!("{problem}\n")).collect(),
    };
    table + &verdict
}
