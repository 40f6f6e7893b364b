//! Statements as `UsageStatement` objects.

use async_trait::async_trait;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tollkeeper_core::{
    identity::ObjectKey,
    ledger::LedgerError,
    proof,
    statement::{Shelf, Statement, Statements, StoredStatement},
};

use super::{
    FIELD_MANAGER, MANAGED_BY_LABEL, Object, PRODUCT_LABEL, Scope, call, code, document, is_of, list,
    only_version, read, resource, unavailable,
};

/// The statements in the API server.
pub struct KubernetesStatements {
    client: Client,
    scope: Scope,
}

impl KubernetesStatements {
    /// Statements of the products of these namespaces.
    pub fn new(client: Client, scope: Scope) -> Self {
        Self { client, scope }
    }

    /// All statements as the API server holds them, damaged ones included.
    pub async fn documents(&self, product: Option<&str>) -> Result<Vec<Value>, LedgerError> {
        let mut documents = Vec::new();
        for object in self.list().await? {
            if product.is_none_or(|product| is_of(&object, product)) {
                documents.push(document(object)?);
            }
        }
        Ok(documents)
    }

    async fn list(&self) -> Result<Vec<Object>, LedgerError> {
        let mut objects = Vec::new();
        for api in self.scope.apis(&self.client, &resource("UsageStatement", "usagestatements")) {
            objects.extend(list(&api, "").await?);
        }
        Ok(objects)
    }

    fn api(&self, namespace: &str) -> Api<Object> {
        Api::namespaced_with(self.client.clone(), namespace, &resource("UsageStatement", "usagestatements"))
    }
}

/// An object as a statement. One whose hash is not that of its content is never built upon.
fn stored(object: &Object) -> Result<StoredStatement, LedgerError> {
    read(object, proof::statement)
}

#[async_trait]
impl Statements for KubernetesStatements {
    async fn all(&self) -> Result<Shelf, LedgerError> {
        let resource = resource("UsageStatement", "usagestatements");
        let listing = self.scope.look(&self.client, &resource, "").await?;
        let mut shelf = Shelf { unread: listing.unread, ..Shelf::default() };
        for object in &listing.objects {
            match stored(object) {
                Ok(statement) => shelf.statements.push(statement),
                // Its name is taken, so nothing is written in its place, and nothing of its month is pruned.
                Err(error) => tracing::error!(reason = error.reason(), %error, "a statement is left alone"),
            }
        }
        shelf.statements.sort_by_key(|stored| (stored.product(), stored.statement.body.month));
        Ok(shelf)
    }

    async fn create(&self, namespace: &str, statement: &Statement) -> Result<StoredStatement, LedgerError> {
        let key = ObjectKey::new(namespace, statement.name());
        let object: Object = serde_json::from_value(json!({
            "apiVersion": "tollkeeper.dev/v1alpha1",
            "kind": "UsageStatement",
            "metadata": {
                "name": key.name,
                "namespace": namespace,
                "labels": {
                    PRODUCT_LABEL: statement.body.product_ref.name,
                    MANAGED_BY_LABEL: "tollkeeper",
                },
            },
            "spec": statement,
        }))
        .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match call(self.api(namespace).create(&params, &object)).await? {
            Ok(created) => stored(&created),
            Err(error) if code(&error) == Some(409) => Err(LedgerError::Stale(key)),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn replace(
        &self,
        old: &StoredStatement,
        statement: &Statement,
    ) -> Result<StoredStatement, LedgerError> {
        let key = old.key();
        // A merge patch leaves members alone that it does not name: what is not there any more is named as null.
        let mut spec = serde_json::to_value(statement).unwrap_or_default();
        if statement.body.open.is_empty()
            && let Some(members) = spec.as_object_mut()
        {
            members.insert("open".to_owned(), Value::Null);
        }
        let patch = json!({"metadata": {"resourceVersion": old.version}, "spec": spec});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match call(self.api(&old.namespace).patch(&key.name, &params, &Patch::Merge(&patch))).await? {
            Ok(patched) => stored(&patched),
            Err(error) if code(&error) == Some(409) => Err(LedgerError::Stale(key)),
            Err(error) if code(&error) == Some(404) => Err(LedgerError::Gone(key)),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn remove(&self, old: &StoredStatement) -> Result<(), LedgerError> {
        let key = old.key();
        match call(self.api(&old.namespace).delete(&key.name, &only_version(&old.version))).await? {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some(404) => Ok(()),
            Err(error) if code(&error) == Some(409) => Err(LedgerError::Stale(key)),
            Err(error) => Err(unavailable(error)),
        }
    }
}
