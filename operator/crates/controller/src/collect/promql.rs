//! The source `promql`: an instant query to a Prometheus server or to what speaks its HTTP API.

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::Url;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tollkeeper_core::{
    input::{InputData, Sample, SampleGroup},
    workload::Labels,
};

use super::{exposition, http, limits::Limits, sample::number, trouble};

/// An answer of the HTTP API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    data: Option<QueryResult>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryResult {
    result_type: String,
    result: Box<RawValue>,
}

#[derive(Deserialize)]
struct Series {
    metric: Labels,
    value: Option<Point>,
}

/// A time and a value; the value is text because JSON knows no `NaN`.
type Point = (IgnoredAny, String);

/// Asks for the value of a query at the moment of the tick. Also returns what the server warns of, such as a
/// part of the data that it could not reach.
pub(super) async fn read(
    clients: &http::Clients,
    (name, url, query): (&str, &str, &str),
    at: Timestamp,
    limits: &Limits,
) -> Result<(InputData, Option<String>), String> {
    let base = http::address(url)?;
    let place = http::place(&base);
    let answer = async {
        let response = http::send(clients.get(endpoint(base, query, at))).await?;
        let (status, is_success) = (http::status(&response), response.status().is_success());
        // Prometheus explains a refused query in the body of a 4xx.
        let text = http::text(response, limits.input_bytes).await?;
        match serde_json::from_str::<Answer>(&text) {
            Ok(answer) if answer.status == "error" => {
                Err(format!("it refused the query: {}: {}", answer.error_type, trouble::short(&answer.error)))
            }
            Ok(answer) if is_success => Ok(answer),
            _ if !is_success => Err(status),
            _ => Err("its answer is not that of a Prometheus server".to_owned()),
        }
    };
    let in_place = |reason: String| format!("Prometheus at {place} cannot be queried: {reason}");
    let answer = answer.await.map_err(in_place)?;
    let warning = (!answer.warnings.is_empty())
        .then(|| format!("Prometheus at {place} warns: {}", trouble::short(&answer.warnings.join("; "))));
    let data = answer.data.ok_or_else(|| "its answer holds no result".to_owned());
    let data = data.and_then(|result| contents(name, &result)).map_err(in_place)?;
    Ok((data, warning))
}

/// `/api/v1/query` below the base address, which may have a path and a query of its own.
fn endpoint(mut base: Url, query: &str, at: Timestamp) -> Url {
    let path = format!("{}/api/v1/query", base.path().trim_end_matches('/'));
    base.set_path(&path);
    let time = format!("{}.{:03}", at.as_second(), at.as_millisecond().rem_euclid(1000));
    base.query_pairs_mut().append_pair("query", query).append_pair("time", &time);
    base
}

fn contents(name: &str, result: &QueryResult) -> Result<InputData, String> {
    let malformed = || "its result is malformed".to_owned();
    match result.result_type.as_str() {
        "scalar" => {
            let point: Point = serde_json::from_str(result.result.get()).map_err(|_| malformed())?;
            Ok(InputData::Scalar(value(&point)?))
        }
        "vector" => {
            let series: Vec<Series> = serde_json::from_str(result.result.get()).map_err(|_| malformed())?;
            let mut samples =
                series.into_iter().map(|series| series.sample(name)).collect::<Result<Vec<_>, _>>()?;
            exposition::sort(&mut samples);
            Ok(InputData::Samples(vec![Arc::new(SampleGroup { origin: None, samples })]))
        }
        other => Err(format!(
            "the query yields a {other}, and an instant query for an input has to yield a scalar or a vector"
        )),
    }
}

fn value(point: &Point) -> Result<f64, String> {
    number(&point.1).ok_or_else(|| "its result holds a value that is no number".to_owned())
}

impl Series {
    /// A sample named as its metric or, where the query left no name, as the input.
    fn sample(mut self, input: &str) -> Result<Sample, String> {
        let point = self.value.ok_or("the query yields native histograms; use histogram functions in it")?;
        let name = self.metric.remove("__name__").unwrap_or_else(|| input.to_owned());
        Ok(Sample { name, labels: self.metric, value: value(&point)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(result_type: &str, result: &str) -> Result<InputData, String> {
        let result = RawValue::from_string(result.into()).unwrap();
        contents("stored", &QueryResult { result_type: result_type.into(), result })
    }

    #[test]
    fn the_endpoint_keeps_the_path_and_query_of_the_base_address() {
        let at = "2026-11-21T14:00:00.25Z".parse().unwrap();
        let url = endpoint(Url::parse("http://p:9090/tenant/?a=b").unwrap(), "sum(x) > 1", at);
        assert_eq!(
            url.as_str(),
            "http://p:9090/tenant/api/v1/query?a=b&query=sum%28x%29+%3E+1&time=1795269600.250"
        );
    }

    #[test]
    fn scalars_may_be_infinite_or_not_a_number() {
        assert_eq!(result("scalar", r#"[1.5, "2.25"]"#).unwrap(), InputData::Scalar(2.25));
        assert_eq!(result("scalar", r#"[1, "-Inf"]"#).unwrap(), InputData::Scalar(f64::NEG_INFINITY));
        let Ok(InputData::Scalar(value)) = result("scalar", r#"[1, "NaN"]"#) else { panic!("no scalar") };
        assert!(value.is_nan());
    }

    #[test]
    fn a_series_without_a_name_is_named_as_its_input() {
        let vector =
            r#"[{"metric":{"__name__":"up","b":"2"},"value":[1,"1"]},{"metric":{},"value":[1,"+Inf"]}]"#;
        let Ok(InputData::Samples(groups)) = result("vector", vector) else { panic!("no samples") };
        let samples: Vec<_> =
            groups[0].samples.iter().map(|s| (s.name.as_str(), s.labels.len(), s.value)).collect();
        assert_eq!(samples, [("stored", 0, f64::INFINITY), ("up", 1, 1.0)]);
        assert_eq!(groups[0].origin, None);
    }

    #[test]
    fn other_results_are_refused_in_words() {
        assert!(result("matrix", "[]").unwrap_err().contains("yields a matrix"));
        assert!(result("string", r#"[1,"x"]"#).unwrap_err().contains("yields a string"));
        assert!(
            result("vector", r#"[{"metric":{},"histogram":[1,{}]}]"#)
                .unwrap_err()
                .contains("native histograms")
        );
        assert!(result("vector", r#"[{"metric":{},"value":[1,"x"]}]"#).unwrap_err().contains("no number"));
        assert!(result("vector", "7").unwrap_err().contains("malformed"));
    }
}
