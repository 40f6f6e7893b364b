//! Pieces of schema that several kinds share, and how a derived definition is made ready for every API server.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A SHA-256 digest as it is written everywhere.
pub(crate) const DIGEST: &str = "^sha256:[0-9a-f]{64}$";

/// The start of an hour in UTC.
pub(crate) const HOUR: &str = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):00:00Z$";

/// An exact amount, always with six decimal places.
pub(crate) const QUANTITY: &str = "^[0-9]{1,30}\\.[0-9]{6}$";

/// The name of a namespaced object that another field refers to (RFC 1123 subdomain).
pub(crate) const OBJECT_NAME: &str = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";

/// The name of a namespace (RFC 1123 label).
pub(crate) const NAMESPACE: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// An IAM role.
pub(crate) const ROLE_ARN: &str = "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[a-zA-Z0-9+=,.@_/-]{1,576}$";

/// A license of AWS License Manager.
pub(crate) const LICENSE_ARN: &str =
    "^arn:aws[a-z-]*:license-manager:[a-z0-9-]*:[0-9]{12}:license:[a-zA-Z0-9-]{1,128}$";

/// The name of a dimension, as it was given to AWS Marketplace.
pub(crate) const DIMENSION: &str = "^[a-zA-Z][a-zA-Z0-9_-]*$";

/// One of a few words.
pub(crate) fn one_of(words: &[&str]) -> Schema {
    json_schema!({ "type": "string", "enum": words })
}

/// Any JSON object, kept as it is.
pub(crate) fn free_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A moment, RFC 3339.
pub(crate) fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// Vendor-metered tags. Every bound is one of AWS.
pub(crate) fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 5,
        "additionalProperties": {
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "pattern": "^[A-Za-z0-9 +=._:/@-]*$",
        },
    })
}

/// Conditions as every Kubernetes tool reads them: a list whose key is the type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "description": "What the condition is about, such as Ready.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "description": "Whether it holds.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The metadata.generation of the object that this was found for.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string",
                    "format": "date-time",
                },
                "reason": {
                    "description": "Why, in one word that programs can rely on.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "Why, for people: what happened and what to do about it.",
                    "type": "string",
                    "maxLength": 32768,
                },
            },
        },
    })
}

/// Formats that API servers know; any other is a warning at every apply.
const KNOWN_FORMATS: [&str; 4] = ["date-time", "int32", "int64", "double"];

/// Makes a derived definition fit for API servers from 1.20 on.
pub(crate) fn finished(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            finish(schema);
        }
    }
    definition
}

fn finish(schema: &mut JSONSchemaProps) {
    // An optional field is left out, never null: a rule's `has()` then means what it says.
    schema.nullable = None;
    schema.title = None;
    schema.format = schema.format.take().and_then(|format| match format.as_str() {
        known if KNOWN_FORMATS.contains(&known) => Some(format),
        // Rust's unsigned integers, which keep their bounds.
        "uint32" | "uint64" | "uint16" => Some("int64".to_owned()),
        _ => None,
    });
    schema.description = schema.description.take().map(|text| {
        text.split("\n\n")
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("\n\n")
    });
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(finish);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => finish(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(finish),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        finish(values);
    }
}
