//! What can go wrong with a call.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// What happens to a call that a rule picked. Written as its name, or as `{name: argument}`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum Effect {
    /// `acceptThenDrop`: the call is done, and the connection closes without a reply.
    AcceptThenDrop,
    /// `error500Before`: HTTP 500 instead of doing the call.
    Error500Before,
    /// `error500After`: the call is done, and the reply is HTTP 500.
    Error500After,
    /// `throttle`, `throttle: 20`, `throttle: {seconds: 60}`: this call and those after it that the rule selects are throttled.
    Throttle(Burst),
    /// `delay: 45`: the call is done, and the reply comes so many seconds of the simulator's clock later.
    Delay(Duration),
    /// `reset`: the connection is reset (TCP RST) instead of a reply. The call is not done, unless the rule says `commit: true`.
    Reset,
    /// `html502`: a proxy's error page. The call is not done, unless the rule says `commit: true`.
    Html502,
    /// `truncatedJson`: the call is done, and the body breaks off in the middle of the JSON.
    TruncatedJson,
    /// `error: {code: …, status: 400, message: …}`: any error. The call is not done, unless the rule says `commit: true`.
    Error(ScriptedError),
}

/// How long a throttle lasts from the call that sets it off.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Burst {
    /// So many calls, that one included.
    Calls(u32),
    /// So long on the simulator's clock.
    For(Duration),
}

/// An error of the script's own choice.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedError {
    /// The error name.
    pub code: String,
    /// The HTTP status, 400 to 599.
    #[serde(default = "bad_request")]
    pub status: u16,
    /// What it says.
    #[serde(default = "injected")]
    pub message: String,
}

fn bad_request() -> u16 {
    400
}

fn injected() -> String {
    "Injected by the fault script.".to_owned()
}

impl Effect {
    /// The name in the script.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AcceptThenDrop => "acceptThenDrop",
            Self::Error500Before => "error500Before",
            Self::Error500After => "error500After",
            Self::Throttle(_) => "throttle",
            Self::Delay(_) => "delay",
            Self::Reset => "reset",
            Self::Html502 => "html502",
            Self::TruncatedJson => "truncatedJson",
            Self::Error(_) => "error",
        }
    }

    /// Whether the call is done where the rule does not say.
    pub(crate) fn commits(&self) -> bool {
        matches!(self, Self::AcceptThenDrop | Self::Error500After | Self::Delay(_) | Self::TruncatedJson)
    }

    /// Whether a rule may say `commit` itself: the names of the others say it already.
    pub(crate) fn leaves_commit_open(&self) -> bool {
        matches!(self, Self::Reset | Self::Html502 | Self::TruncatedJson | Self::Error(_))
    }
}

impl TryFrom<Value> for Effect {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let (name, argument) = match value {
            Value::String(name) => (name, Value::Null),
            Value::Object(members) if members.len() == 1 => {
                members.into_iter().next().ok_or("an effect needs a name")?
            }
            _ => return Err("an effect is a name, or one name with its argument".to_owned()),
        };
        let plain =
            |effect| if argument.is_null() { Ok(effect) } else { Err(format!("`{name}` takes no argument")) };
        match name.as_str() {
            "acceptThenDrop" => plain(Self::AcceptThenDrop),
            "error500Before" => plain(Self::Error500Before),
            "error500After" => plain(Self::Error500After),
            "reset" => plain(Self::Reset),
            "html502" => plain(Self::Html502),
            "truncatedJson" => plain(Self::TruncatedJson),
            "throttle" => burst(&argument).map(Self::Throttle),
            "delay" => duration(&argument).map(Self::Delay),
            "error" => error(argument).map(Self::Error),
            _ => Err(format!(
                "`{name}` is none of the effects acceptThenDrop, error500Before, error500After, throttle, delay, reset, \
                 html502, truncatedJson, error"
            )),
        }
    }
}

fn burst(argument: &Value) -> Result<Burst, String> {
    let member = |name| argument.as_object().filter(|members| members.len() == 1)?.get(name);
    if argument.is_null() {
        return Ok(Burst::Calls(1));
    }
    if let Some(seconds) = member("seconds") {
        return duration(seconds).map(Burst::For);
    }
    let calls = member("calls").unwrap_or(argument).as_u64().and_then(|calls| u32::try_from(calls).ok());
    match calls {
        Some(calls) if calls > 0 => Ok(Burst::Calls(calls)),
        _ => Err("`throttle` takes a number of calls, `{calls: n}` or `{seconds: n}`".to_owned()),
    }
}

/// A year: longer than any run, and far from where adding it to a moment could overflow.
const LONGEST_SECONDS: f64 = 31_622_400.0;

/// A number of seconds.
fn duration(argument: &Value) -> Result<Duration, String> {
    match argument.as_f64() {
        Some(seconds) if (0.0..=LONGEST_SECONDS).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("`{argument}` is not a number of seconds, from 0 to a year")),
    }
}

fn error(argument: Value) -> Result<ScriptedError, String> {
    let error: ScriptedError = serde_json::from_value(argument)
        .map_err(|error| format!("`error` takes {{code, status, message}}: {error}"))?;
    if (400..=599).contains(&error.status) {
        Ok(error)
    } else {
        Err(format!("the status {} of `error` is not 400 to 599", error.status))
    }
}
