//! What requests cost on a node where many secrets, accounts and policies are stored, beside one with few. All of it is made through the
//! API, because goldfin believes no row that it has not written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Uri};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::Options;
use crate::case::{Case, Question, Questions, secret};
use crate::curve::{self, Asked, Stage};
use crate::database::Database;
use crate::figures::{count, median};
use crate::issuer::Issuer;
use crate::line::{Ask, Door};
use crate::process;
use crate::provision::{POLICY, Provisioner, provision};
use crate::run::{door, megabytes};
use crate::service::Service;
use crate::side::{Party, Side};
use crate::trouble::Trouble;
use crate::watch::now;

const CASES: [Asked; 4] = [(Case::ReadSecret, 64), (Case::ReadStored, 64), (Case::LookupSelf, 64), (Case::Login, 16)];

/// What the node with few has.
const FEW: usize = 1000;
const FEW_POLICIES: usize = 20;

/// Callers with accounts of their own, spread over all accounts.
const CALLERS: usize = 256;

/// Different secrets that are asked for, spread over all.
const READ: usize = 20_000;

/// Connections over which things are made.
const MAKERS: usize = 32;

/// Starts whose time is taken.
const STARTS: usize = 3;

/// A node, what it has, and what makes logins to it.
struct Node {
    service: Service,
    issuer: Issuer,
    questions: Questions,
    policies: usize,
    stored: usize,
}

/// With a thousand secrets and accounts, then with ten thousand and so on. All policies are there from the beginning.
pub async fn measure(options: &Options) -> Result<Vec<Stage>, Trouble> {
    let mut grown = Node::start(options, "stored", usize::try_from(options.policies)?).await?;
    let mut little = Node::start(options, "few-stored", FEW_POLICIES).await?;
    little.grow(FEW).await?;
    let mut other = little.party(Side::Few).await?;
    let mut curve = Vec::new();
    let most = usize::try_from(options.stored)?;
    let mut wanted = FEW;
    loop {
        let took = grown.grow(wanted).await?;
        let restarts = grown.restart(options)?;
        let idle = process::resident(grown.service.process_id())?;
        let mut party = grown.party(Side::Goldfin).await?;
        let points = curve::points(options, &mut party, &mut other, &CASES).await?;
        let more = vec![
            ("resident MB, after a start", megabytes(idle)),
            ("resident MB, after the load", megabytes(process::resident(grown.service.process_id())?)),
            ("seconds of a restart", restarts),
            ("seconds of making the accounts", took.0.as_secs_f64()),
            ("seconds of making the secrets", took.1.as_secs_f64()),
        ];
        curve.push(Stage { present: count(grown.stored), points, more });
        if wanted >= most {
            break;
        }
        wanted = (wanted * 10).min(most);
    }
    grown.service.stop()?;
    little.service.stop()?;
    Ok(curve)
}

fn account(number: usize) -> String {
    format!("account-{number:07}")
}

fn stored(number: usize) -> String {
    format!("secret/data/stored/{:03}/of-{number:07}", number % 1000)
}

fn policy(number: usize) -> String {
    format!(
        r#"@id("read") permit (principal in Group::"team-{number}", action == Action::"read_secret", resource in Folder::"secret/stored");"#
    )
}

impl Node {
    async fn start(options: &Options, folder: &str, policies: usize) -> Result<Self, Trouble> {
        let (service, _) = Service::start(&options.goldfin, &options.folder.join(folder))?;
        Database::open_seasoned(&service).await?;
        let (door, root) = (door(&service)?, service.variable("VAULT_TOKEN")?.to_owned());
        let questions = provision(&door, &root).await?;
        let mut provisioner = Provisioner::new(&door, &root).await?;
        let mut all: Map<String, Value> = (0..policies).map(|number| (format!("team-{number}"), json!(policy(number)))).collect();
        all.insert("bench".to_owned(), json!(POLICY));
        provisioner.post("sys/policies/load", &json!({ "policies": all })).await?;
        let issuer = Issuer::new()?;
        provisioner.post("sys/auth/jwt", &json!({ "type": "jwt" })).await?;
        provisioner.post("auth/jwt/config", &issuer.method()).await?;
        provisioner.post("auth/jwt/role/bench", &Issuer::role()).await?;
        Ok(Self { service, issuer, questions, policies, stored: 0 })
    }

    /// Makes accounts and secrets until there are so many of each; gives how long the accounts took, and the secrets.
    async fn grow(&mut self, wanted: usize) -> Result<(Duration, Duration), Trouble> {
        let (door, root) = (door(&self.service)?, self.service.variable("VAULT_TOKEN")?);
        let (from, policies) = (self.stored, self.policies);
        let accounts = make(&door, root, from, wanted, move |number| {
            let name = account(number);
            let groups = [format!("team-{}", number % policies)];
            (format!("sys/accounts/{name}"), json!({ "groups": groups, "aliases": [format!("jwt/{name}")] }))
        });
        let accounts = accounts.await?;
        let body = |number| json!({ "data": { "password": secret(number), "username": "synthetic" } });
        let secrets = make(&door, root, from, wanted, move |number| (stored(number), body(number))).await?;
        self.stored = wanted;
        Ok((accounts, secrets))
    }

    /// Stops and starts the node some times; gives the median of the starts, in seconds.
    fn restart(&mut self, options: &Options) -> Result<f64, Trouble> {
        let folder = self.service.folder().to_owned();
        let mut took = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            self.service.halt()?;
            let (service, seconds) = Service::start(&options.goldfin, &folder)?;
            self.service = service;
            took.push(seconds.as_secs_f64());
        }
        Ok(median(took))
    }

    /// Logs callers in, and has their questions ready.
    async fn party(&self, side: Side) -> Result<Party, Trouble> {
        let door = door(&self.service)?;
        let mut provisioner = Provisioner::new(&door, self.service.variable("VAULT_TOKEN")?).await?;
        let (mut tokens, mut logins) = (Vec::with_capacity(CALLERS), Vec::with_capacity(CALLERS));
        for number in spread(CALLERS, self.stored) {
            let body = json!({ "role": "bench", "jwt": self.issuer.jwt(&account(number))? });
            let answer: Value = serde_json::from_slice(&provisioner.post("auth/jwt/login", &body).await?)?;
            let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
            tokens.push(HeaderValue::from_str(token.ok_or_else(|| Trouble::new("a login gave no auth token"))?)?);
            let ask = Ask {
                method: Method::POST,
                path: Uri::from_static("/v1/auth/jwt/login"),
                body: Bytes::from(serde_json::to_vec(&body)?),
                token: None,
                purpose: None,
            };
            logins.push(Question::of(ask, vec!["\"client_token\":\"".to_owned()]));
        }
        let get = |path: &str, token: &HeaderValue| -> Result<Ask, Trouble> {
            Ok(Ask { method: Method::GET, path: path.parse::<Uri>()?, body: Bytes::new(), token: Some(token.clone()), purpose: None })
        };
        let reads = spread(READ.min(self.stored), self.stored).zip(tokens.iter().cycle()).map(|(number, token)| {
            Ok(Question::of(get(&format!("/v1/{}", stored(number)), token)?, vec![format!("\"password\":\"{}\"", secret(number))]))
        });
        let lookups =
            tokens.iter().map(|token| Ok(Question::of(get("/v1/auth/token/lookup-self", token)?, vec!["\"accessor\":\"".to_owned()])));
        let mut questions = self.questions.clone();
        questions.add(Case::ReadStored, reads.collect::<Result<_, Trouble>>()?);
        questions.add(Case::LookupSelf, lookups.collect::<Result<_, Trouble>>()?);
        questions.add(Case::Login, logins);
        Ok(Party::new(side, door, questions, self.service.processes()?))
    }
}

/// So many of all, from the first on, at equal distances.
fn spread(wanted: usize, all: usize) -> impl Iterator<Item = usize> {
    (0..wanted).map(move |at| at * all / wanted)
}

/// Writes one thing after the other over some connections.
async fn make(
    door: &Door,
    token: &str,
    from: usize,
    to: usize,
    thing: impl Fn(usize) -> (String, Value) + Send + Sync + 'static,
) -> Result<Duration, Trouble> {
    let (next, thing) = (Arc::new(AtomicUsize::new(from)), Arc::new(thing));
    let began = now();
    let mut makers = JoinSet::new();
    for _ in 0..MAKERS {
        let mut provisioner = Provisioner::new(door, token).await?;
        let (next, thing) = (Arc::clone(&next), Arc::clone(&thing));
        makers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= to {
                    return Ok::<(), Trouble>(());
                }
                let (path, body) = thing(number);
                provisioner.post(&path, &body).await?;
            }
        });
    }
    while let Some(made) = makers.join_next().await {
        made??;
    }
    Ok(now().duration_since(began))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_spread_over_all() {
        assert_eq!(spread(4, 100).collect::<Vec<_>>(), [0, 25, 50, 75]);
        assert_eq!(spread(3, 3).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_jwt_has_three_parts() {
        let jwt = Issuer::new().and_then(|issuer| issuer.jwt("synthetic")).unwrap_or_else(|trouble| trouble.0);
        assert_eq!(jwt.split('.').count(), 3, "{jwt}");
    }
}
