//! From one registry to another that does not see it, by way of a file.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{COMPONENT, Shop, key};
use tollkeeper_kit::Door;
use tollkeeper_registry::{Archive, Layout};

#[tokio::test]
async fn an_artifact_keeps_its_digests_and_signatures_on_the_way_to_another_registry() {
    let vendor = Shop::open(Door::default()).await;
    let buyer = Shop::open(Door { tls: true, users: true }).await;
    let pushed = vendor.push("vecdb/meter:1.4.0", COMPONENT).await;
    let from = vendor.reference("vecdb/meter:1.4.0");
    let keys = [(Layout::Tag, key()), (Layout::Referrer, key()), (Layout::Referrer, key())];
    for (layout, (signing, _)) in &keys {
        vendor.registries.sign(&from, &vendor.keyring, signing, &[*layout]).await.unwrap();
    }
    let found = vendor.registries.find(&from, &vendor.keyring).await.unwrap();
    let mut file = Vec::new();
    found.archive(&|_| {}).await.unwrap().write(&mut file).unwrap();
    drop(vendor);

    let archive = Archive::read(file.as_slice(), buyer.registries.largest_archive()).unwrap();
    assert_eq!(archive.component().unwrap(), COMPONENT);
    let to = buyer.reference("mirror/meter:stable");
    for _ in 0..2 {
        assert_eq!(buyer.registries.import(&to, &buyer.keyring, &archive).await.unwrap(), pushed);
    }
    let found = buyer.registries.find(&to, &buyer.keyring).await.unwrap();
    assert_eq!(found.digest(), &pushed.manifest);
    assert_eq!(found.component(&|_| {}).await.unwrap(), COMPONENT);
    for (layout, (_, public)) in &keys {
        assert_eq!(found.verify(public).await.unwrap().layout, *layout);
    }
    let counts = found.signatures().await.unwrap();
    assert_eq!(counts, [(Layout::Tag, 1), (Layout::Referrer, 2)], "an import repeated adds nothing");
}
