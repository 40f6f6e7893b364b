//! The configuration that a product gives its meter (`config.schema.json`).

use serde::Deserialize;

/// For people and tools; `parse` checks the same rules.
pub const SCHEMA: &str = include_str!("../config.schema.json");

/// All that this meter can measure.
pub const DIMENSIONS: [Dimension; 3] = [Dimension::Instances, Dimension::CpuHours, Dimension::GbScanned];

/// A dimension of the product.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Running pods.
    Instances,
    /// CPU cores that they ask for.
    CpuHours,
    /// Gigabytes that they have scanned.
    GbScanned,
}

impl Dimension {
    /// As AWS Marketplace knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::CpuHours => "cpu_hours",
            Self::GbScanned => "gb_scanned",
        }
    }
}

/// What to measure and how.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// What to measure.
    pub dimensions: Vec<Dimension>,
    /// Whether pods are checked against the nodes.
    pub check_nodes: bool,
    /// Empty for no tags.
    pub namespace_tag: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { dimensions: DIMENSIONS.into(), check_nodes: true, namespace_tag: "Namespace".into() }
    }
}

impl Config {
    /// From JSON. A product without a configuration gets the defaults.
    pub fn parse(text: &str) -> Result<Self, String> {
        if matches!(text.trim(), "" | "null") {
            return Ok(Self::default());
        }
        if !text.trim_start().starts_with('{') {
            return Err("the configuration is not a JSON object".into());
        }
        let config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if config.dimensions.is_empty() {
            return Err("`dimensions` is empty: nothing would be measured".into());
        }
        for (index, dimension) in config.dimensions.iter().enumerate() {
            if config.dimensions.iter().skip(index + 1).any(|other| other == dimension) {
                return Err(format!("`dimensions` names `{}` twice", dimension.name()));
            }
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || " +-=._:/@".contains(c);
        if config.namespace_tag.len() > 100 || !config.namespace_tag.chars().all(fits) {
            return Err("`namespaceTag` is not at most 100 characters of [A-Za-z0-9 +-=._:/@]".into());
        }
        Ok(config)
    }

    /// Whether a dimension is measured.
    pub fn measures(&self, dimension: Dimension) -> bool {
        self.dimensions.contains(&dimension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_configuration_means_the_defaults() {
        for text in ["", "null", "{}", " {} "] {
            assert_eq!(Config::parse(text), Ok(Config::default()));
        }
    }

    #[test]
    fn a_wrong_configuration_is_explained() {
        for (text, named) in [
            (r#"{"dimension": ["instances"]}"#, "unknown field `dimension`, expected one of `dimensions`"),
            (r#"{"dimensions": ["seats"]}"#, "unknown variant `seats`"),
            (r#"{"dimensions": []}"#, "nothing would be measured"),
            (r#"{"dimensions": ["instances", "instances"]}"#, "`instances` twice"),
            (r#"{"checkNodes": "yes"}"#, "invalid type: string \"yes\", expected a boolean"),
            (r#"{"namespaceTag": "a,b"}"#, "`namespaceTag`"),
            ("[]", "not a JSON object"),
            ("{", "EOF"),
        ] {
            let why = Config::parse(text).unwrap_err();
            assert!(why.contains(named), "{text}: {why}");
        }
    }

    #[test]
    fn the_schema_says_what_the_code_does() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let names = DIMENSIONS.map(|dimension| serde_json::Value::from(dimension.name()));
        assert_eq!(schema["properties"]["dimensions"]["items"]["enum"], serde_json::json!(names));
        let defaults: serde_json::Map<_, _> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, property)| (key.clone(), property["default"].clone()))
            .collect();
        assert_eq!(Config::parse(&serde_json::Value::from(defaults).to_string()), Ok(Config::default()));
    }
}
