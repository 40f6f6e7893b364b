//! Manifest files that people hand to `simulate` and to a plugin's bench: they say what YAML says, what can be read is read again
//! as it was, and what cannot be read is refused in one sentence with its line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Deserialize as _;
use serde_yaml::Value;
use tollkeeper_api::{convert::ObjectName, manifest::Objects};
use tollkeeper_fuzz::assert_refusal;

fuzz_target!(|text: &str| {
    match read(text) {
        Ok(objects) => {
            has_names(&objects);
            says_what_yaml_says(text, &objects);
            reads_again(&objects);
        }
        Err(refusal) => assert_refusal(&refusal, "m.yaml", text),
    }
});

fn read(text: &str) -> Result<Objects, String> {
    let mut objects = Objects::default();
    objects.add("m.yaml", text).map(|()| objects).map_err(|refusal| refusal.to_string())
}

fn has_names(objects: &Objects) {
    let (products, bindings) = (objects.products.keys(), objects.bindings.keys());
    for key in products.chain(bindings).chain(objects.config_maps.keys()) {
        assert!([&key.name, &key.namespace].iter().all(|name| name.parse::<ObjectName>().is_ok()), "{key}");
    }
}

/// No document is lost or made up, wherever its markers stand.
fn says_what_yaml_says(text: &str, objects: &Objects) {
    let documents: Result<Vec<Value>, _> =
        serde_yaml::Deserializer::from_str(text).map(Value::deserialize).collect();
    // Values are read more strictly than the fields that are known.
    let Ok(mut documents) = documents else { return };
    documents.retain(|document| !document.is_null());
    let count = objects.products.len() + objects.bindings.len() + objects.config_maps.len();
    assert_eq!(documents.len(), count);

    let written: Result<Vec<String>, _> = documents.iter().map(serde_yaml::to_string).collect();
    let Ok(written) = written else { return };
    let is_faithful = |(document, text): (&Value, &String)| {
        serde_yaml::from_str(text).is_ok_and(|again: Value| again == *document)
    };
    // What the library itself does not read again as it was is not ours.
    if documents.iter().zip(&written).all(is_faithful) {
        assert_eq!(read(&written.join("---\n")).as_ref(), Ok(objects));
    }
}

fn reads_again(objects: &Objects) {
    for (key, (checked, product)) in &objects.products {
        let text = serde_yaml::to_string(product).expect("a product is YAML");
        let again = read(&text).expect("what was written is read");
        assert_eq!(again.products.get(key), Some(&(checked.clone(), product.clone())));
    }
    for (key, map) in &objects.config_maps {
        let text = serde_yaml::to_string(map).expect("a ConfigMap is YAML");
        let again = read(&text).expect("what was written is read");
        assert_eq!(again.config_maps.get(key), Some(map));
    }
}
