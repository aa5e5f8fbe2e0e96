//! What audited requests and questions to the ledger cost while the ledger grows.
//!
//! A chain of ten million real entries would take hours. So the ledger gets a second stream, as of another node, whose entries are copies of
//! real ones under other numbers, times, requests and persons. The measured node goes on with its own stream, which is chained as ever;
//! nothing verifies this database.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Uri};
use serde_json::json;

use crate::Options;
use crate::case::{Case, Question, encoded_tokens};
use crate::curve::{self, Asked, Stage};
use crate::database::Database;
use crate::growth::real;
use crate::line::Ask;
use crate::load::Bounds;
use crate::provision::{Provisioner, provision};
use crate::run::door;
use crate::service::Service;
use crate::side::{Party, Side};
use crate::trouble::Trouble;
use crate::watch::now;

/// What is measured at each stage. Who asks the ledger is a person or two.
const CASES: [Asked; 5] =
    [(Case::ReadSecret, 64), (Case::Encode, 64), (Case::Disclosures, 4), (Case::NewestEntries, 4), (Case::EntriesOf, 4)];

/// How often values of the person were decoded, whose disclosures are asked for.
const DISCLOSURES: usize = 20;

/// A node with the person and whoever asks the ledger.
struct Node {
    service: Service,
    party: Party,
    database: Database,
}

/// As it is, then with 100 thousand entries, 1 million and so on.
pub async fn measure(options: &Options) -> Result<Vec<Stage>, Trouble> {
    let mut grown = Node::start(options, "entries", Side::Goldfin).await?;
    let mut little = Node::start(options, "few-entries", Side::Few).await?;
    let mut curve = Vec::new();
    let most = i64::from(options.entries);
    let mut wanted = 0;
    loop {
        let began = now();
        grown.database.fill_ledger(wanted, most).await?;
        let filled = now().duration_since(began);
        let present = grown.database.entries().await?;
        let size = grown.database.ledger_size().await?;
        let points = curve::points(options, &mut grown.party, &mut little.party, &CASES).await?;
        let mut more = Vec::new();
        // Before, it is the size of empty partitions.
        if wanted > 0 {
            more.push(("bytes per entry, with indexes", real(size)? / real(present)?));
            more.push(("seconds of the fill", filled.as_secs_f64()));
        }
        curve.push(Stage { present: real(present)?, points, more });
        if wanted >= most {
            break;
        }
        wanted = (wanted * 10).max(100_000).min(most);
    }
    grown.service.stop()?;
    little.service.stop()?;
    Ok(curve)
}

impl Node {
    async fn start(options: &Options, folder: &str, side: Side) -> Result<Self, Trouble> {
        let (service, _) = Service::start(&options.goldfin, &options.folder.join(folder))?;
        let door = door(&service)?;
        let root = service.variable("VAULT_TOKEN")?.to_owned();
        let mut questions = provision(&door, &root).await?;
        let mut provisioner = Provisioner::new(&door, &root).await?;
        let encoded = json!({ "batch_input": [{ "value": "900-00-0000", "subject": "person-17" }] });
        let tokens = encoded_tokens(&provisioner.post("transform/encode/bench", &encoded).await?)?;
        for _ in 0..DISCLOSURES {
            provisioner.reveal("transform/decode/bench", &json!({ "value": tokens.first() })).await?;
        }
        let mut database = Database::open_seasoned(&service).await?;
        let account = database.newest_account().await?;
        let token = HeaderValue::from_str(&root)?;
        let ask = |path: &str, holds: Vec<String>| -> Result<Vec<Question>, Trouble> {
            let path = path.parse::<Uri>()?;
            Ok(vec![Question::of(Ask { method: Method::GET, path, body: Bytes::new(), token: Some(token.clone()), purpose: None }, holds)])
        };
        let (entry, leaf) = ("\"request_id\":".to_owned(), "\"leaf\":".to_owned());
        questions.add(Case::Disclosures, ask("/v1/transform/subjects/person-17/disclosures?limit=100", vec![entry.clone(); DISCLOSURES])?);
        questions.add(Case::NewestEntries, ask("/v1/sys/ledger/entries?limit=100", vec![leaf.clone(); 100])?);
        let path = format!("/v1/sys/ledger/entries?limit=100&account={account}");
        questions.add(Case::EntriesOf, ask(&path, vec![leaf.clone(); 100])?);
        let mut party = Party::new(side, door, questions, service.processes()?);
        // Real entries of each kind, for the copies.
        let bounds = Bounds { requests: 64, ..Bounds::lasting(Duration::from_secs(5)) };
        for case in [Case::ReadSecret, Case::Encode] {
            party.round(case, 4, bounds).await?;
        }
        Ok(Self { service, party, database })
    }
}
