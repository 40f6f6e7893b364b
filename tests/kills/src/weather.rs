//! The cluster's own misfortunes: its API server and its store die and come back.

use std::{pin::pin, time::Duration};

use fastrand::Rng;
use tollkeeper_kit::{ControlPlane, Part};

/// Takes the API server or etcd away, again and again until `end`; returns with both there, and how often they died.
pub async fn storm(plane: &ControlPlane, seed: u64, end: impl Future<Output = ()>) -> usize {
    let mut rng = Rng::with_seed(seed);
    let mut end = pin!(end);
    let mut deaths = 0;
    loop {
        tokio::select! {
            () = &mut end => return deaths,
            () = tokio::time::sleep(Duration::from_millis(rng.u64(6_000..18_000))) => {}
        }
        let part = if rng.bool() { Part::ApiServer } else { Part::Etcd };
        plane.stop(part).await.unwrap();
        deaths += 1;
        tokio::time::sleep(Duration::from_millis(rng.u64(0..2_000))).await;
        plane.start_again(part).await.unwrap();
    }
}
