//! AWS as far as the adapter sees it: one port on loopback that speaks just enough HTTP, answers by script, and keeps what it heard.
#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tollkeeper_core::metering::{Allocation, MeterUsage};
use tollkeeper_marketplace::environment::AwsEnvironment;

/// What happens to a connection once a whole request has come.
#[derive(Clone)]
pub enum Answer {
    /// A complete response: status line and headers beyond the length, then the body.
    Respond(u16, Vec<(&'static str, String)>, String),
    /// These bytes, then the end of the connection.
    Bytes(String),
    /// Nothing, for ever.
    Silence,
    /// The connection ends at once.
    HangUp,
}

/// AWS's JSON 1.1.
pub fn json(status: u16, body: &str) -> Answer {
    Answer::Respond(
        status,
        vec![("content-type", "application/x-amz-json-1.1".into()), ("x-amzn-requestid", "r-1".into())],
        body.into(),
    )
}

pub fn accepted() -> Answer {
    json(200, r#"{"MeteringRecordId":"rec-1"}"#)
}

/// What was heard: the head as it came, the body as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    pub head: String,
    pub body: String,
}

impl Heard {
    pub fn is_sts(&self) -> bool {
        self.body.contains("Action=AssumeRoleWithWebIdentity")
    }
}

pub struct Fake {
    pub url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// For metering calls; the last one is repeated.
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sts: Arc<Mutex<Answer>>,
}

/// Credentials that hold for `seconds` from now on.
pub fn credentials(seconds: i64) -> Answer {
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ");
    let body = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
         <Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>\
         <SessionToken>{SESSION_TOKEN}</SessionToken><Expiration>{expires}</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    Answer::Respond(200, vec![("content-type", "text/xml".into())], body)
}

pub const SECRET_KEY: &str = "wJalrXUtnFEMI-secret";
pub const SESSION_TOKEN: &str = "session-token-of-the-role";

impl Fake {
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            heard: Arc::default(),
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            sts: Arc::new(Mutex::new(credentials(3_600))),
        };
        let (heard, answers, sts) = (fake.heard.clone(), fake.answers.clone(), fake.sts.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, heard.clone(), answers.clone(), sts.clone()));
            }
        });
        fake
    }

    pub fn set_sts(&self, answer: Answer) {
        *self.sts.lock().unwrap() = answer;
    }

    pub fn calls(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().iter().filter(|heard| !heard.is_sts()).cloned().collect()
    }

    pub fn exchanges(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().iter().filter(|heard| heard.is_sts()).cloned().collect()
    }

    /// A pod's environment under IRSA, with every service here.
    pub fn irsa(&self, token_file: &Path) -> AwsEnvironment {
        AwsEnvironment {
            web_identity_token_file: Some(token_file.into()),
            role_arn: Some("arn:aws:iam::123456789012:role/meter".into()),
            region: Some("eu-west-1".into()),
            endpoint_url: Some(self.url.clone()),
            metadata_disabled: true,
            ..AwsEnvironment::default()
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    sts: Arc<Mutex<Answer>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        heard.lock().unwrap().push(request.clone());
        let answer = if request.is_sts() {
            sts.lock().unwrap().clone()
        } else {
            let mut answers = answers.lock().unwrap();
            match answers.len() {
                0 => Answer::Silence,
                1 => answers[0].clone(),
                _ => answers.pop_front().unwrap(),
            }
        };
        match answer {
            Answer::Respond(status, headers, body) => {
                let mut text = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    text += &format!("{name}: {value}\r\n");
                }
                if stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.is_err() {
                    return;
                }
            }
            Answer::Bytes(text) => {
                stream.write_all(text.as_bytes()).await.ok();
                return;
            }
            Answer::Silence => std::future::pending().await,
            Answer::HangUp => return,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(Heard { head: head.into(), body: body.into() });
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

pub fn usage() -> MeterUsage {
    MeterUsage {
        product_code: "pc".parse().unwrap(),
        dimension: "gb_hours".parse().unwrap(),
        timestamp: "2026-11-21T14:00:00Z".parse().unwrap(),
        quantity: 812,
        allocations: Vec::new(),
        client_token: "token-of-the-slot".parse().unwrap(),
    }
}

pub fn part(quantity: u32, tags: &[(&str, &str)]) -> Allocation {
    let tags = tags.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    Allocation { quantity, tags: tollkeeper_core::tags::TagSet::new(tags).unwrap() }
}

/// A token file; the directory goes with the guard.
pub fn token_file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}
