//! Single requests while one request of ten thousand values is served: what it does to their latency.

use std::time::Duration;

use hyper::StatusCode;
use tokio::time::sleep;

use crate::case::{Case, LARGE, encoded_tokens};
use crate::curve::Asked;
use crate::figures::{median, percentile};
use crate::line::{Ask, Line};
use crate::load::{Bounds, Round};
use crate::report::{Figure, Target};
use crate::side::Party;
use crate::trouble::Trouble;

const CONNECTIONS: usize = 16;

/// Rounds of single requests alone and rounds with one large request in them, in turn.
pub async fn beside(party: &mut Party, rounds: usize, time: Duration) -> Result<Vec<Target>, Trouble> {
    let bounds = Bounds::lasting(time);
    let mut line = party.connect().await?;
    let encode = party.questions().large_encode()?;
    let (_, answer) = line.ask(&encode).await?;
    let decode = party.questions().large_decode(&encoded_tokens(&answer)?)?;
    let mut targets = Vec::new();
    for (case, large) in [(Case::Encode, encode), (Case::Decode, decode)] {
        let (mut ratios, mut alone, mut beside, mut took) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let quiet = percentile(&party.round(case, CONNECTIONS, bounds).await?.latencies, 0.99);
            let (round, served) = with_large(party, (case, CONNECTIONS), bounds, (&mut line, &large)).await?;
            let busy = percentile(&round.latencies, 0.99);
            ratios.push(busy / quiet);
            alone.push(quiet);
            beside.push(busy);
            took.push(served.as_secs_f64() * 1e3);
        }
        let name = case.name();
        let what =
            format!("{name} p99 {:.0} us beside one of {LARGE} ({:.0} ms) / alone {:.0} us", median(beside), median(took), median(alone));
        targets.push(Target::at_most("R16", what, Figure::median_of(ratios), 1.5, 1.2));
    }
    Ok(targets)
}

/// A round of single requests with one large request in it; gives how long that took.
pub async fn with_large(
    party: &mut Party,
    (case, connections): Asked,
    bounds: Bounds,
    (line, large): (&mut Line, &Ask),
) -> Result<(Round, Duration), Trouble> {
    let served = async {
        sleep(bounds.time / 4).await;
        ask_large(line, large).await
    };
    let (round, served) = tokio::join!(party.round(case, connections, bounds), served);
    Ok((round?, served?))
}

async fn ask_large(line: &mut Line, large: &Ask) -> Result<Duration, Trouble> {
    let sent = crate::watch::now();
    let (status, body) = line.ask(large).await?;
    let took = crate::watch::now().duration_since(sent);
    // Not read to the end: this thread measures the others' latency.
    if status == StatusCode::OK && body.len() > LARGE * 20 { Ok(took) } else { Err(Trouble(format!("a large request: {status}"))) }
}
