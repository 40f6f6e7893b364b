//! Bindings against a real API server, with no more rights than the reconciler needs.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::{
    ByteString, NamespaceResourceScope,
    api::{
        core::v1::{Secret, ServiceAccount},
        events::v1::Event,
        rbac::v1::{Role, RoleBinding},
    },
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tollkeeper_api::{LicenseBinding, UsageReport};
use tollkeeper_controller::{
    binding::{self, House, PROVISIONED_ANNOTATION},
    events::Events,
    roster::Roster,
    watch::{Scope, Watched},
};
use tollkeeper_core::{
    clock::Clock,
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Created, Ledger},
    product::Mode,
    settlement::{RecordState, Settlement},
};
use tollkeeper_kit::{ControlPlane, Failure, Namespace, Result, wait_until};
use tollkeeper_ledger::{conformance, kubernetes::KubernetesLedger};

/// A repair takes half a minute.
const PATIENCE: Duration = Duration::from_secs(75);

const ROLE: &str = "arn:aws:iam::123456789012:role/vecdb";

struct RealClock;

#[async_trait]
impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "the server's time is real")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the server's time is real")]
    async fn sleep_until(&self, moment: Timestamp) {
        let wait = moment.duration_since(self.now());
        tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
    }
}

/// A namespace whose bindings are kept.
struct Scene {
    namespace: Namespace,
    roster: Arc<Roster>,
    ledger: Arc<KubernetesLedger>,
    stop: CancellationToken,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> Result<K> {
    Ok(serde_json::from_value(value)?)
}

/// A client that may do what the reconciler needs, and nothing else.
async fn operator(namespace: &Namespace) -> Result<Client> {
    let name = namespace.name();
    namespace.service_account("operator", &[]).await?;
    let role: Role = object(json!({"metadata": {"name": "operator"}, "rules": [
        {"apiGroups": ["tollkeeper.dev"], "resources": ["licensebindings"], "verbs": ["list", "watch", "patch"]},
        {"apiGroups": ["tollkeeper.dev"], "resources": ["licensebindings/status"], "verbs": ["patch"]},
        {"apiGroups": ["tollkeeper.dev"], "resources": ["marketplaceproducts"], "verbs": ["list", "watch"]},
        {"apiGroups": ["tollkeeper.dev"], "resources": ["usagereports"],
            "verbs": ["create", "get", "list", "patch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts", "secrets"],
            "verbs": ["get", "create", "patch", "delete"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ]}))?;
    namespace.api().create(&PostParams::default(), &role).await?;
    let grant: RoleBinding = object(json!({
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": name}],
    }))?;
    namespace.api().create(&PostParams::default(), &grant).await?;
    namespace.control_plane().client_as(name, "operator").await
}

async fn scene(prefix: &str) -> Result<Scene> {
    let namespace = ControlPlane::shared().await?.namespace(prefix).await?;
    let client = operator(&namespace).await?;
    let (clock, roster, stop) = (Arc::new(RealClock), Arc::<Roster>::default(), CancellationToken::new());
    let names = vec![namespace.name().to_owned()];
    let scope = tollkeeper_ledger::kubernetes::Scope::Namespaces(names.clone());
    let ledger = Arc::new(KubernetesLedger::new(client.clone(), scope, clock.clone()));
    let house = House {
        client: client.clone(),
        clock,
        roster: roster.clone(),
        ledger: ledger.clone(),
        events: Events::new(client.clone(), Some("test".to_owned())),
        bindings: binding::watched(),
        products: Watched::new(|_| ()),
    };
    let stopping = stop.clone();
    tokio::spawn(async move {
        let scope = Scope::Namespaces(names);
        tokio::join!(
            house.bindings.run(&client, &scope, &stopping),
            house.products.run(&client, &scope, &stopping),
            binding::run(&house, &stopping),
        );
    });
    Ok(Scene { namespace, roster, ledger, stop })
}

impl Scene {
    fn api<K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        self.namespace.api()
    }

    async fn bind(&self, name: &str, access: Value) -> Result<LicenseBinding> {
        let binding = object(json!({
            "apiVersion": "tollkeeper.dev/v1alpha1", "kind": "LicenseBinding", "metadata": {"name": name},
            "spec": {"productRef": {"name": "vecdb"}, "access": access},
        }))?;
        Ok(self.api().create(&PostParams::default(), &binding).await?)
    }

    async fn until(&self, binding: &str, aspect: &str, status: &str, reason: &str) -> Result<LicenseBinding> {
        let api = self.api::<LicenseBinding>();
        let description = format!("{aspect} of {binding} is {status} because of {reason}");
        wait_until(description, PATIENCE, async || {
            let found = api.get(binding).await.map_err(|error| error.to_string())?;
            let conditions = found.status.clone().unwrap_or_default().conditions;
            let one = conditions.iter().find(|condition| condition.type_ == aspect);
            match one {
                Some(one) if one.status == status && one.reason == reason => Ok(found),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    async fn until_gone<K>(&self, name: &str) -> Result
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api = self.api::<K>();
        wait_until(format!("{name} is gone"), PATIENCE, async || match api.get_metadata_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    async fn patch<K>(&self, name: &str, patch: Value) -> Result<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        Ok(self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?)
    }
}

fn irsa(account: &str) -> Value {
    json!({"irsa": {"roleArn": ROLE, "serviceAccountName": account}})
}

#[tokio::test]
async fn a_service_account_is_provisioned_repaired_and_taken_away() -> Result {
    let scene = scene("irsa").await?;
    let binding = scene.bind("prod", irsa("vecdb")).await?;
    let kept = scene.until("prod", "AccessProvisioned", "True", "Provisioned").await?;
    assert_eq!(kept.finalizers(), [tollkeeper_api::SETTLE_FINALIZER]);
    scene.until("prod", "Ready", "False", "ProductNotFound").await?;
    let accounts = scene.api::<ServiceAccount>();
    let account = accounts.get("vecdb").await?;
    assert_eq!(account.annotations()["eks.amazonaws.com/role-arn"], ROLE);
    assert_eq!(account.labels()[tollkeeper_api::MANAGED_BY_LABEL], "tollkeeper");
    let owner = &account.owner_references()[0];
    assert_eq!((Some(&owner.uid), owner.controller), (binding.metadata.uid.as_ref(), Some(true)));

    let edit = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "edited"}}});
    scene.patch::<ServiceAccount>("vecdb", edit).await?;
    wait_until("the edit is undone", PATIENCE, async || match accounts.get("vecdb").await {
        Ok(account) if account.annotations()["eks.amazonaws.com/role-arn"] == ROLE => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    accounts.delete("vecdb", &DeleteParams::default()).await?;
    wait_until("it is made anew", PATIENCE, async || accounts.get("vecdb").await).await?;

    scene.patch::<LicenseBinding>("prod", json!({"spec": {"access": irsa("other")}})).await?;
    scene.until_gone::<ServiceAccount>("vecdb").await?;
    accounts.get("other").await?;
    wait_until("the old name is forgotten", PATIENCE, async || {
        let binding = scene.api::<LicenseBinding>().get("prod").await.map_err(|error| error.to_string())?;
        let recorded = binding.annotations().get(PROVISIONED_ANNOTATION).cloned();
        if recorded.as_deref() == Some("ServiceAccount/other") {
            Ok(())
        } else {
            Err(format!("{recorded:?}"))
        }
    })
    .await?;

    scene.patch::<LicenseBinding>("prod", json!({"spec": {"suspended": true}})).await?;
    scene.until_gone::<ServiceAccount>("other").await?;
    scene.until("prod", "AccessProvisioned", "False", "Suspended").await?;

    scene.patch::<LicenseBinding>("prod", json!({"spec": {"suspended": false}})).await?;
    wait_until("it is back", PATIENCE, async || accounts.get("other").await).await?;
    scene.api::<LicenseBinding>().delete("prod", &DeleteParams::default()).await?;
    scene.until_gone::<LicenseBinding>("prod").await?;
    scene.until_gone::<ServiceAccount>("other").await?;
    Ok(())
}

#[tokio::test]
async fn a_license_token_is_provisioned_and_told_without_showing_it() -> Result {
    let scene = scene("token").await?;
    let access =
        json!({"licenseToken": {"roleArn": ROLE, "tokenSecretRef": {"name": "bought", "key": "token"}}});
    scene.bind("prod", access).await?;
    scene.until("prod", "AccessProvisioned", "False", "TokenSecretNotFound").await?;
    let bought = json!({"metadata": {"name": "bought"}, "stringData": {"token": "\"s3cr3t\"\n"}});
    scene.api::<Secret>().create(&PostParams::default(), &object(bought)?).await?;
    scene.until("prod", "AccessProvisioned", "True", "Provisioned").await?;
    let secret = scene.api::<Secret>().get("aws-marketplace-license-config").await?;
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let data = secret.data.unwrap_or_default();
    assert_eq!(data.len(), 2);
    assert_eq!(data["license_token"], ByteString(b"s3cr3t".to_vec()));
    assert_eq!(data["iam_role"], ByteString(ROLE.into()));
    let binding = serde_json::to_string(&scene.api::<LicenseBinding>().get("prod").await?)?;
    assert!(!binding.contains("s3cr3t"));
    Ok(())
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone_and_told_as_an_event() -> Result {
    let scene = scene("taken").await?;
    scene.namespace.service_account("vecdb", &[("mine", "yes")]).await?;
    let before = scene.api::<ServiceAccount>().get("vecdb").await?;
    scene.bind("prod", irsa("vecdb")).await?;
    scene.until("prod", "AccessProvisioned", "False", "NameTaken").await?;
    let event = wait_until("an event tells it", PATIENCE, async || {
        let events =
            scene.api::<Event>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let told = events.items.into_iter().find(|event| event.reason.as_deref() == Some("NameTaken"));
        told.ok_or("no event").map_err(str::to_owned)
    })
    .await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    scene.api::<LicenseBinding>().delete("prod", &DeleteParams::default()).await?;
    scene.until_gone::<LicenseBinding>("prod").await?;
    assert_eq!(scene.api::<ServiceAccount>().get("vecdb").await?, before);
    Ok(())
}

#[tokio::test]
async fn an_object_of_tollkeeper_without_an_owner_is_adopted() -> Result {
    let scene = scene("adopted").await?;
    scene.namespace.service_account("vecdb", &[]).await?;
    let label = json!({"metadata": {"labels": {(tollkeeper_api::MANAGED_BY_LABEL): "tollkeeper"}}});
    scene.patch::<ServiceAccount>("vecdb", label).await?;
    let binding = scene.bind("prod", irsa("vecdb")).await?;
    scene.until("prod", "AccessProvisioned", "True", "Provisioned").await?;
    let account = scene.api::<ServiceAccount>().get("vecdb").await?;
    assert_eq!(Some(&account.owner_references()[0].uid), binding.metadata.uid.as_ref());
    Ok(())
}

#[tokio::test]
async fn a_steady_binding_is_not_written() -> Result {
    let scene = scene("steady").await?;
    let product = ObjectKey::new(scene.namespace.name(), "vecdb");
    scene.roster.update(&product, |progress| progress.is_metered = false);
    scene.bind("prod", irsa("vecdb")).await?;
    scene.until("prod", "Settled", "True", "Settled").await?;
    let versions = async || -> Result<_> {
        let binding = scene.api::<LicenseBinding>().get("prod").await?;
        let account = scene.api::<ServiceAccount>().get("vecdb").await?;
        Ok((binding.resource_version(), account.resource_version()))
    };
    let before = versions().await?;
    let mut changes = scene.roster.changes();
    for turn in [true, false, true] {
        // Wakes the binding, and says nothing that it shows.
        scene.roster.update(&product, |progress| progress.is_metered = turn);
        changes.recv().await?;
    }
    // A marker that is reconciled after the wakes: once it is ready, they have been looked at.
    scene.bind("marker", irsa("marker")).await?;
    scene.until("marker", "AccessProvisioned", "True", "Provisioned").await?;
    assert_eq!(versions().await?, before);
    Ok(())
}

#[tokio::test]
async fn a_deleted_binding_waits_for_its_reports() -> Result {
    let scene = scene("deleted").await?;
    scene.bind("prod", irsa("vecdb")).await?;
    scene.until("prod", "AccessProvisioned", "True", "Provisioned").await?;
    let hour = BillingHour::of(RealClock.now()).previous();
    let report = conformance::report("vecdb", hour, 5);
    let sealed = Settlement::of(&report, Mode::Live);
    let name = scene.namespace.name().to_owned();
    let Created::New(entry) = scene.ledger.create_if_absent(&name, &report, &sealed).await? else {
        return Err(Failure::new("the report was there before"));
    };
    scene.api::<LicenseBinding>().delete("prod", &DeleteParams::default()).await?;
    let waiting = scene.until("prod", "Settled", "False", "ReportsUnsettled").await?;
    assert!(waiting.annotations().contains_key(binding::DELETION_ANNOTATION));
    scene.api::<ServiceAccount>().get("vecdb").await?;

    let mut settled = entry.settlement.clone();
    settled.records.iter_mut().for_each(|record| record.state = RecordState::Accepted);
    scene.ledger.compare_and_swap(&entry, &settled).await?;
    let product = ObjectKey::new(name, "vecdb");
    scene.roster.update(&product, |progress| progress.last_settled = Some(hour));
    scene.until_gone::<LicenseBinding>("prod").await?;
    scene.until_gone::<ServiceAccount>("vecdb").await?;
    scene.api::<UsageReport>().get(&report.name()).await?;
    Ok(())
}

#[tokio::test]
async fn without_the_operator_what_was_provisioned_goes_with_its_owner() -> Result {
    let scene = scene("owned").await?;
    scene.namespace.control_plane().needs_controllers()?;
    scene.bind("prod", irsa("vecdb")).await?;
    scene.until("prod", "AccessProvisioned", "True", "Provisioned").await?;
    scene.stop.cancel();
    scene.patch::<LicenseBinding>("prod", json!({"metadata": {"finalizers": null}})).await?;
    scene.api::<LicenseBinding>().delete("prod", &DeleteParams::background()).await?;
    scene.until_gone::<ServiceAccount>("vecdb").await
}
