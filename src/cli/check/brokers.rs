//! What the brokers say: whether they answer, what is missing, what an acknowledgement survives.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, json};
use tokio::runtime;
use tokio::time::timeout;
use vodbridge_core::{Answer, Cause, Durability, Fault, Survives, Topic, Unavailable};

use super::finding::{Findings, Severity};
use crate::app;
use crate::config::{Config, Connector, Name};
use crate::health;
use crate::registry::{self, Built};
use crate::route::Routes;
use crate::telemetry::chain::Chain;

/// How long one connector may take for everything it is asked.
const LOOK_WITHIN: Duration = Duration::from_secs(60);

/// Stands for a topic where the same is said of several.
const ANY: &str = "<topic>";

/// How many topics are named where the same is said of more.
const NAMED: usize = 3;

/// One thing that is true of one topic or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    severity: Severity,
    how: String,
    advice: Option<String>,
    durability: Option<Durability>,
}

/// Asks every broker at once.
pub(super) fn look(config: &Config, create: bool, findings: &mut Findings) {
    let routes = Routes::new(registry::routes(config));
    let topics = app::topics(config, &routes);
    let brokers = config.connectors.iter().zip(topics);
    let brokers: Vec<_> =
        brokers.filter(|((_, c), _)| !matches!(c, Connector::Journal(_))).collect();
    if brokers.is_empty() {
        return;
    }
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return findings.add(Severity::Critical, "brokers", why),
    };
    let asked =
        brokers.iter().map(|((name, connector), topics)| one(name, connector, topics, create));
    for found in runtime.block_on(join_all(asked)) {
        findings.append(found);
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn one(name: &Name, connector: &Connector, topics: &[Topic], create: bool) -> Findings {
    let what = format!("connector {name}");
    let mut findings = Findings::default();
    let built = match registry::broker(name, connector) {
        Ok(built) => built,
        Err(why) => {
            findings.add(Severity::Critical, &what, Chain(&why));
            return findings;
        }
    };
    match timeout(LOOK_WITHIN, ask(&built, topics, create)).await {
        Ok(Ok(said)) => {
            let answers = format!("answers; {} topics are routed to it", topics.len());
            findings.add(Severity::Good, &what, answers);
            for (topics, said) in grouped(topics, said) {
                let what = format!("{what}, {}", named(&topics));
                let mut details = Map::new();
                details.insert("connector".to_owned(), json!(name.as_str()));
                let topics: Vec<_> = topics.iter().map(|topic| topic.as_str()).collect();
                details.insert("topics".to_owned(), json!(topics));
                if let Some(durability) = &said.durability {
                    details.insert("survives".to_owned(), health::survives(durability));
                }
                findings.advise(said.severity, &what, said.how, said.advice, details);
            }
        }
        Ok(Err(why)) => {
            let how = Chain(&why).to_string();
            findings.advise(Severity::Critical, &what, how, why.advice.map(Into::into), Map::new());
        }
        Err(_) => {
            let how = format!("no answer within {}", humantime::format_duration(LOOK_WITHIN));
            findings.add(Severity::Critical, &what, how);
        }
    }
    built.connector.close().await;
    findings
}

/// What there is to say of each topic, in their order.
async fn ask(built: &Built, topics: &[Topic], create: bool) -> Result<Vec<Said>, Unavailable> {
    let missing = |why: Unavailable| {
        let severity = match why.cause {
            Cause::Pending => Severity::Warning,
            Cause::Outage | Cause::Topology => Severity::Critical,
        };
        let how = Chain(&why).to_string();
        Said { severity, how, advice: why.advice.map(Into::into), durability: None }
    };
    let made = if create { Some(built.connector.provide(topics).await?) } else { None };
    let mut made = made.into_iter().flatten();
    let read = built.connector.check(topics).await?;
    let say = |(topic, answer): (&Topic, Result<Durability, Unavailable>)| {
        // Why it could not be made says more than that it is missing.
        let unmade = made.next().and_then(Result::err);
        match answer {
            Err(why) => missing(unmade.unwrap_or(why)),
            Ok(durability) => {
                let durability = built.demand.assume(durability);
                let said = match built.demand.judge(topic, &durability) {
                    Err(why) => missing(why),
                    Ok(()) => {
                        let is_weak = durability.process.survives == Survives::No;
                        let severity = if is_weak { Severity::Warning } else { Severity::Good };
                        let (how, advice) = survives(&durability);
                        Said { severity, how, advice, durability: None }
                    }
                };
                Said { durability: Some(durability), ..said }
            }
        }
    };
    Ok(topics.iter().zip(read).map(say).collect())
}

/// The four answers in one line, each with who said so; and what would turn a no into a yes.
pub(super) fn survives(durability: &Durability) -> (String, Option<String>) {
    let one = |(fault, answer): (Fault, &Answer)| {
        format!("{} {} ({})", fault.name(), answer.survives.name(), answer.provenance.name())
    };
    let how = durability.answers().map(one).join(", ");
    let mut remedies: Vec<(Vec<&str>, &str)> = Vec::new();
    for (fault, answer) in durability.answers() {
        let Some(remedy) = answer.remedy.as_deref() else { continue };
        match remedies.iter_mut().find(|(_, known)| *known == remedy) {
            Some((faults, _)) => faults.push(fault.name()),
            None => remedies.push((vec![fault.name()], remedy)),
        }
    }
    let remedies: Vec<_> = remedies
        .into_iter()
        .map(|(faults, remedy)| format!("for {}: {remedy}", faults.join(" and ")))
        .collect();
    let remedies = (!remedies.is_empty()).then(|| remedies.join("; "));
    (format!("an acknowledgement survives: {how}"), remedies)
}

/// What is the same for several topics is said once, in the order of the first of each.
fn grouped(topics: &[Topic], said: Vec<Said>) -> Vec<(Vec<&Topic>, Said)> {
    let mut groups: Vec<(Vec<&Topic>, Said, Said)> = Vec::new();
    for (topic, said) in topics.iter().zip(said) {
        let any = |text: &str| text.replace(topic.as_str(), ANY);
        let key =
            Said { how: any(&said.how), advice: said.advice.as_deref().map(any), ..said.clone() };
        match groups.iter_mut().find(|(_, known, _)| *known == key) {
            Some((topics, ..)) => topics.push(topic),
            None => groups.push((vec![topic], key, said)),
        }
    }
    let said = |(topics, key, said): (Vec<_>, _, _)| {
        if topics.len() == 1 { (topics, said) } else { (topics, key) }
    };
    groups.into_iter().map(said).collect()
}

fn named(topics: &[&Topic]) -> String {
    let some: Vec<_> = topics.iter().take(NAMED).map(|t| t.as_str()).collect();
    match topics.len() {
        n if n <= NAMED => some.join(", "),
        n => format!("{} and {} more topics", some.join(", "), n - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use vodbridge_core::Provenance;

    use super::*;

    #[test]
    fn what_is_the_same_for_several_topics_is_said_once() {
        let topics: Vec<_> =
            (0..6).map(|n| Topic::new(format!("vod.{n}")).expect("a topic")).collect();
        let said = |severity, how: &str, advice: Option<&str>| Said {
            severity,
            how: how.to_owned(),
            advice: advice.map(str::to_owned),
            durability: None,
        };
        let each = topics.iter().enumerate().map(|(n, topic)| match n {
            2 => said(Severity::Good, "well", None),
            _ => said(
                Severity::Critical,
                &format!("{topic} is missing"),
                Some(&format!("make {topic}")),
            ),
        });
        let groups = grouped(&topics, each.collect());
        assert_eq!(named(&groups[0].0), "vod.0, vod.1, vod.3 and 2 more topics");
        let missing = said(Severity::Critical, "<topic> is missing", Some("make <topic>"));
        assert_eq!(groups[0].1, missing);
        assert_eq!((named(&groups[1].0).as_str(), groups[1].1.how.as_str()), ("vod.2", "well"));
        assert_eq!(groups.len(), 2);
    }

    #[test]
    fn one_setting_that_helps_against_two_faults_is_said_once() {
        let no = |remedy: &'static str| Answer::no(Provenance::Broker, remedy);
        let durability = Durability {
            process: Answer::yes(Provenance::Assumed),
            machine: no("replicas"),
            node: no("replicas"),
            all: no("flush"),
        };
        let (how, advice) = survives(&durability);
        assert_eq!(
            how,
            "an acknowledgement survives: process yes (assumed), machine no (told by the broker), \
             node no (told by the broker), all no (told by the broker)"
        );
        assert_eq!(advice.as_deref(), Some("for machine and node: replicas; for all: flush"));
    }
}
