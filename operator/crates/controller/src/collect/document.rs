//! The source `http`: a JSON document.

use reqwest::header::ACCEPT;
use serde::de::IgnoredAny;
use tollkeeper_core::input::InputData;

use super::{http, limits::Limits};

/// Reads the document. Its text is handed on as it is, so that numbers keep every digit; the content type does
/// not matter.
pub(super) async fn read(clients: &http::Clients, url: &str, limits: &Limits) -> Result<InputData, String> {
    let url = http::address(url)?;
    let place = http::place(&url);
    let text = async {
        let request = clients.get(url).header(ACCEPT, "application/json, */*;q=0.1");
        let answer = http::succeeded(http::send(request).await?)?;
        let text = http::text(answer, limits.input_bytes).await?;
        // The reason would quote the document; where it is wrong is enough.
        serde_json::from_str::<IgnoredAny>(&text).map_err(|error| {
            format!("its answer is not JSON (line {}, column {})", error.line(), error.column())
        })?;
        Ok::<_, String>(text)
    };
    let text = text.await.map_err(|reason| format!("{place} cannot be read: {reason}"))?;
    Ok(InputData::Json(text.trim().into()))
}
