//! Puts into a new goldfin what the cases need: a mount, a transformation, a policy and a caller who has exactly those rights, secrets,
//! and tokens to turn back.

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Uri};
use serde_json::{Value, json};

use crate::case::{Questions, batch_values, encoded_tokens, hot_path, secret, value};
use crate::line::{Ask, Door, Line};
use crate::trouble::Trouble;

/// Secrets that are read over and over.
const HOT: usize = 64;

/// Tokens that are turned back one by one.
const TOKENS: usize = 4000;

const BATCHES: usize = 16;

/// What the caller of the benchmark may do, as a service's policy would say it.
pub const POLICY: &str = r#"
@id("secrets")
permit (principal in Group::"bench", action in [Action::"read_secret", Action::"write_secret"], resource in Folder::"secret/bench");

@id("encode")
permit (principal in Group::"bench", action == Action::"encode", resource in Mount::"transform");

@id("decode")
permit (principal in Group::"bench", action == Action::"decode", resource in Mount::"transform")
when { resource has class && ["name", "phone"].contains(resource.class) && context has purpose && ["claims", "support"].contains(context.purpose) };
"#;

/// Whoever provisions.
pub struct Provisioner {
    line: Line,
    token: HeaderValue,
}

/// Sets everything up as root and gives the questions of a caller of its own.
pub async fn provision(door: &Door, root: &str) -> Result<Questions, Trouble> {
    let mut provisioner = Provisioner::new(door, root).await?;
    provisioner.post("sys/mounts/transform", &json!({ "type": "transform" })).await?;
    let settings = json!({ "class": "name", "allowed_roles": "*", "purposes": ["claims", "support"] });
    provisioner.post("transform/transformations/tokenization/bench", &settings).await?;
    provisioner.post("transform/role/bench", &json!({ "transformations": ["bench"] })).await?;
    provisioner.post("sys/policies/acl/bench", &json!({ "policy": POLICY })).await?;
    let made = provisioner.post("auth/token/create", &json!({ "policies": ["bench"], "ttl": "48h", "no_parent": true })).await?;
    let made: Value = serde_json::from_slice(&made)?;
    let token = made.pointer("/auth/client_token").and_then(Value::as_str).ok_or_else(|| Trouble::new("no auth token was made"))?;
    provisioner.token = HeaderValue::from_str(token)?;
    provisioner.questions(token).await
}

/// The same for the naive service, which has one caller and no policies.
pub async fn provision_naive(door: &Door, token: &str) -> Result<Questions, Trouble> {
    let mut provisioner = Provisioner::new(door, token).await?;
    provisioner.questions(token).await
}

/// Encodes values of nine characters, a thousand a request.
pub async fn encode_short(door: &Door, root: &str, batches: usize) -> Result<(), Trouble> {
    let mut provisioner = Provisioner::new(door, root).await?;
    for batch in 0..batches {
        provisioner.encode((0..1000).map(|at| format!("{:09}", 900_000_000 + batch * 1000 + at))).await?;
    }
    Ok(())
}

/// Whether a service is there.
pub fn health(token: HeaderValue) -> Result<Ask, Trouble> {
    Ok(Ask { method: Method::GET, path: Uri::from_static("/v1/sys/health"), body: Bytes::new(), token: Some(token), purpose: None })
}

impl Provisioner {
    pub async fn new(door: &Door, token: &str) -> Result<Self, Trouble> {
        Ok(Self { line: door.connect().await?, token: HeaderValue::from_str(token)? })
    }

    async fn questions(&mut self, token: &str) -> Result<Questions, Trouble> {
        for number in 0..HOT {
            let path = hot_path(number);
            let body = json!({ "data": { "password": secret(number), "username": "synthetic" } });
            self.post(path.trim_start_matches("/v1/"), &body).await?;
        }
        let mut tokens = Vec::with_capacity(TOKENS);
        for first in (0..TOKENS).step_by(1000) {
            tokens.extend(self.encode((first..first + 1000).map(value)).await?);
        }
        let mut batches = Vec::with_capacity(BATCHES);
        for batch in 0..BATCHES {
            batches.push(self.encode(batch_values(batch)).await?);
        }
        Questions::new(token, HOT, &tokens, &batches)
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Bytes, Trouble> {
        self.ask(path, body, None).await
    }

    /// As a caller who says what for.
    pub async fn reveal(&mut self, path: &str, body: &Value) -> Result<Bytes, Trouble> {
        self.ask(path, body, Some(HeaderValue::from_static("claims"))).await
    }

    async fn ask(&mut self, path: &str, body: &Value, purpose: Option<HeaderValue>) -> Result<Bytes, Trouble> {
        let ask = Ask {
            method: Method::POST,
            path: format!("/v1/{path}").parse::<Uri>()?,
            body: Bytes::from(serde_json::to_vec(body)?),
            token: Some(self.token.clone()),
            purpose,
        };
        let (status, answer) = self.line.ask(&ask).await?;
        if status.is_success() { Ok(answer) } else { Err(Trouble(format!("{path}: {status} {}", String::from_utf8_lossy(&answer)))) }
    }

    async fn encode(&mut self, values: impl Iterator<Item = String>) -> Result<Vec<String>, Trouble> {
        let input: Vec<Value> = values.map(|value| json!({ "value": value })).collect();
        encoded_tokens(&self.post("transform/encode/bench", &json!({ "batch_input": input })).await?)
    }
}
