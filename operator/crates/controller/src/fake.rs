//! An API server for tests that keeps objects in memory: versions, merge patches, preconditions, finalizers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// Answers a request instead of the store, if it wants to.
type Fault = Box<dyn FnMut(&Method, &str) -> Option<u16> + Send>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    requests: Vec<String>,
    fault: Option<Fault>,
}

/// The server.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
}

impl Fake {
    /// A server without objects, and a client of it.
    pub(crate) fn start() -> (Self, Client) {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let fake = Self::default();
        let server = fake.clone();
        tokio::spawn(async move {
            while let Some((request, respond)) = handle.next_request().await {
                respond.send_response(server.answer(request).await);
            }
        });
        (fake, Client::new(service, "default"))
    }

    /// Puts an object, as another client would.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state().store(path, object);
    }

    /// Changes an object, as another client would.
    pub(crate) fn change(&self, path: &str, patch: Value) {
        let mut state = self.state();
        let mut object = state.objects.get(path).cloned().unwrap();
        merge(&mut object, &patch);
        state.store(path, object);
    }

    /// Takes an object away, as another client would.
    pub(crate) fn remove(&self, path: &str) -> Option<Value> {
        self.state().objects.remove(path)
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Fails the requests that `fault` names a status code for.
    pub(crate) fn set_fault(&self, fault: impl FnMut(&Method, &str) -> Option<u16> + Send + 'static) {
        self.state().fault = Some(Box::new(fault));
    }

    /// The requests that would change something, since the last call of this.
    pub(crate) fn writes(&self) -> Vec<String> {
        let requests = std::mem::take(&mut self.state().requests);
        requests.into_iter().filter(|request| !request.starts_with("GET ")).collect()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let mut state = self.state();
        state.requests.push(format!("{} {path}", parts.method));
        let fault = state.fault.as_mut().and_then(|fault| fault(&parts.method, &path));
        let answer = match fault {
            Some(code) => Err(code),
            None => state.handle(&parts.method, &path, body),
        };
        let (code, value) = match answer {
            Ok(value) => (200, value),
            Err(code) => (code, failure(code)),
        };
        Response::builder().status(code).body(Body::from(value.to_string().into_bytes())).unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn handle(&mut self, method: &Method, path: &str, body: Value) -> Result<Value, u16> {
        if *method == Method::POST {
            let name = body["metadata"]["name"].as_str().ok_or(422_u16)?;
            let path = format!("{path}/{name}");
            if self.objects.contains_key(&path) {
                return Err(409);
            }
            return Ok(self.store(&path, body));
        }
        let (path, part) = match path.strip_suffix("/status") {
            Some(path) => (path, Some("status")),
            None => (path, None),
        };
        let stored = self.objects.get(path).cloned().ok_or(404_u16)?;
        let wanted = [&body["metadata"]["resourceVersion"], &body["preconditions"]["resourceVersion"]];
        if wanted
            .into_iter()
            .any(|wanted| !wanted.is_null() && *wanted != stored["metadata"]["resourceVersion"])
        {
            return Err(409);
        }
        let mut object = stored.clone();
        match *method {
            Method::PUT => object = body,
            Method::PATCH => {
                let mut patch = body;
                match part {
                    Some(part) => patch = json!({ part: patch[part] }),
                    None => drop(patch.as_object_mut().map(|patch| patch.remove("status"))),
                }
                merge(&mut object, &patch);
            }
            Method::DELETE if has_finalizers(&object) => {
                object["metadata"]["deletionTimestamp"] = json!("2026-11-21T14:00:00Z");
            }
            Method::DELETE => return self.objects.remove(path).ok_or(404),
            _ => return Ok(stored),
        }
        if object["metadata"]["deletionTimestamp"].is_string() && !has_finalizers(&object) {
            self.objects.remove(path);
            return Ok(object);
        }
        if object == stored {
            return Ok(stored);
        }
        Ok(self.store(path, object))
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", self.version));
        }
        self.objects.insert(path.to_owned(), object.clone());
        object
    }
}

fn failure(code: u16) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        503 => "ServiceUnavailable",
        _ => "Invalid",
    };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": format!("the fake answers {code}")})
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}
