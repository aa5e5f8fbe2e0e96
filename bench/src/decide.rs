//! How long a decision takes, with few policies stored and with many; in this process, without a server.

use std::hint::black_box;

use goldfin::model::action::Action;
use goldfin::model::clock::Timestamp;
use goldfin::model::operation::{Circumstances, Resource, ResourceKind};
use goldfin::policy::asked::Asked;
use goldfin::policy::compile::Compiled;
use goldfin::policy::rules::Rules;
use goldfin::policy::source::PolicySource;

use crate::figures::{count, median};
use crate::trouble::Trouble;
use crate::watch::now;

const NOW: Timestamp = Timestamp::from_unix_micros(1_800_000_000_000_000);
const DECISIONS: usize = 2000;
const ROUNDS: usize = 7;

/// Microseconds of one decision.
#[derive(Debug, Clone, Copy)]
pub struct Decisions {
    pub few: f64,
    pub many: f64,
}

impl Decisions {
    /// 20 and 2,000 stored policies, of which one permits.
    pub fn measure() -> Result<Self, Trouble> {
        let (few, many) = (rules(20)?, rules(2000)?);
        let (mut with_few, mut with_many) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            with_few.push(time(&few)?);
            with_many.push(time(&many)?);
        }
        Ok(Self { few: median(with_few), many: median(with_many) })
    }
}

fn rules(policies: usize) -> Result<Rules, Trouble> {
    let sources: Vec<PolicySource> =
        (0..policies).map(|number| PolicySource { name: format!("team-{number}"), text: policy(number) }).collect();
    Ok(Rules::new(Compiled::new(&sources).map_err(|error| Trouble(format!("{error:?}")))?))
}

fn policy(number: usize) -> String {
    format!(
        r#"permit (principal in Group::"team-{number}", action == Action::"decode", resource in Mount::"transform-{}")
           when {{ resource has class && ["name", "phone"].contains(resource.class) && context has purpose && context.purpose == "claims" }};"#,
        number % 10
    )
}

fn time(rules: &Rules) -> Result<f64, Trouble> {
    let groups = ["team-7".to_owned(), "staff".to_owned()];
    let asked = Asked::account("synthetic", &groups).from_peer([127, 0, 0, 1].into());
    let resource = Resource::within(ResourceKind::Transformation, "transform-7", "t").with_class(Some("name".to_owned()));
    let circumstances = Circumstances { purpose: Some("claims".to_owned()), batch_size: 1, grants: Vec::new() };
    let began = now();
    for _ in 0..DECISIONS {
        let decision = black_box(rules.decide(black_box(&asked), Action::Decode, &resource, &circumstances, NOW));
        if !decision.allowed {
            return Err(Trouble::new("the decision of the benchmark is wrong"));
        }
    }
    Ok(now().duration_since(began).as_secs_f64() * 1e6 / count(DECISIONS))
}
