//! CRDs into an API server, on every version alike.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Resource as _, ResourceExt as _};

use crate::control_plane::until;
use crate::{Failure, Result};

/// Server-side apply would be shorter, but an old server refuses it for fields that it does not know (CEL rules);
/// created or replaced, it drops them.
pub(crate) async fn apply(client: &Client, folder: &Path) -> Result {
    let mut wanted = Vec::new();
    let read =
        |error| Failure::from(error).while_doing(format!("cannot read the CRDs in {}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            wanted.extend(
                parse(&std::fs::read_to_string(&path)?)
                    .map_err(|failure| failure.while_doing(path.display()))?,
            );
        }
    }
    if wanted.is_empty() {
        return Err(Failure::new(format!("{} holds no CRD", folder.display())));
    }
    for crd in &wanted {
        let name = crd.name_any();
        write(client, crd)
            .await
            .map_err(|failure| failure.while_doing(format!("the CRD {name} is refused")))?;
    }
    for crd in &wanted {
        served(client, &crd.name_any()).await?;
    }
    Ok(())
}

/// Not as the typed kind, which would drop what our Kubernetes client does not know.
fn parse(yaml: &str) -> Result<Vec<DynamicObject>> {
    use serde::Deserialize as _;
    let mut crds = Vec::new();
    for document in serde_yaml::Deserializer::from_str(yaml) {
        let value = serde_json::Value::deserialize(document)?;
        if !value.is_null() {
            crds.push(serde_json::from_value(value)?);
        }
    }
    Ok(crds)
}

async fn write(client: &Client, crd: &DynamicObject) -> Result {
    let kind = ApiResource::erase::<CustomResourceDefinition>(&());
    let api = Api::<DynamicObject>::all_with(client.clone(), &kind);
    match api.create(&PostParams::default(), crd).await {
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => {}
        created => return created.map(drop).map_err(Failure::from),
    }
    // The server's controllers write the status in between.
    until(format!("the CRD {} is replaced", crd.name_any()), async || {
        let mut crd = crd.clone();
        crd.meta_mut().resource_version = api.get(&crd.name_any()).await?.resource_version();
        match api.replace(&crd.name_any(), &PostParams::default(), &crd).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 409 => {
                Err(Failure::new(refusal.message.clone()))
            }
            replaced => Ok(replaced.map(drop).map_err(Failure::from)),
        }
    })
    .await?
}

/// Established is not enough: for a moment after it the list endpoint still says 404.
async fn served(client: &Client, name: &str) -> Result {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let crd = until(format!("the CRD {name} is established"), async || {
        let crd = api.get(name).await?;
        let conditions =
            crd.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let established = conditions.iter().any(|one| one.type_ == "Established" && one.status == "True");
        if established { Ok(crd) } else { Err(Failure::new(format!("{conditions:?}"))) }
    })
    .await?;
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let kind = GroupVersionKind::gvk(&crd.spec.group, &version.name, &crd.spec.names.kind);
        let kind = ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural);
        let list = Api::<DynamicObject>::all_with(client.clone(), &kind);
        until(format!("{name} {} is served", version.name), async || {
            list.list(&ListParams::default().limit(1)).await?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}
