//! What alerts and dashboard use, read from their files.

use std::collections::BTreeSet;
use std::fs;
use std::iter::Peekable;
use std::path::PathBuf;

use serde_json::Value;

/// Labels that Prometheus gives to what it scrapes, and histograms to their buckets.
const OF_OTHERS: [&str; 7] = ["instance", "job", "namespace", "pod", "container", "endpoint", "le"];

/// A metric as a query names it, with the labels that it selects by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) metric: String,
    /// Label, operator, value.
    pub(super) matchers: Vec<(String, String, String)>,
}

/// One query, and what is written beside its result.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// Where it stands: for whoever reads that something is missing.
    pub(super) text: String,
    pub(super) selectors: Vec<Selector>,
    /// Labels that it groups or matches by, or that its texts show; without those of others.
    pub(super) labels: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn chart(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/helm/vodbridge/files").join(file)
}

/// Every query of the rules.
pub(super) fn by_alerts() -> Vec<Query> {
    let text = fs::read_to_string(chart("alerts.yaml")).unwrap();
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let query = |rule: &Value| {
        let mut query = Query::read(rule["expr"].as_str().unwrap());
        for annotation in rule["annotations"].as_object().into_iter().flat_map(|all| all.values()) {
            query.shows(annotation.as_str().unwrap(), "$labels.");
        }
        query
    };
    rules.map(query).collect()
}

/// Every query of the dashboard's panels and variables.
pub(super) fn by_dashboard() -> Vec<Query> {
    let text = fs::read_to_string(chart("dashboard.json")).unwrap();
    let mut queries = Vec::new();
    collect(&serde_json::from_str(&text).unwrap(), &mut queries);
    queries
}

fn collect(value: &Value, into: &mut Vec<Query>) {
    match value {
        Value::Object(object) => {
            if let Some(expr) = object.get("expr") {
                let mut query = Query::read(expr.as_str().unwrap());
                let legend = object.get("legendFormat").and_then(Value::as_str);
                query.shows(legend.unwrap_or_default(), "");
                into.push(query);
            }
            if let Some(Value::String(text)) = object.get("definition") {
                // label_values(metric, label)
                let (metric, label) =
                    text.strip_prefix("label_values(").unwrap().split_once(", ").unwrap();
                let mut query = Query::read(metric);
                query.uses(label.trim_end_matches(')'));
                into.push(query);
            }
            object.values().for_each(|value| collect(value, into));
        }
        Value::Array(array) => array.iter().for_each(|value| collect(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

// === impl Query ===

impl Query {
    fn read(expr: &str) -> Self {
        let mut query = Self { text: expr.to_owned(), ..Self::default() };
        let mut tokens = tokens(expr).into_iter().peekable();
        while let Some(token) = tokens.next() {
            let Token::Word(word) = token else { continue };
            match word.as_str() {
                "by" | "without" | "on" | "ignoring" | "group_left" | "group_right" => {
                    for label in list(&mut tokens) {
                        query.uses(&label);
                    }
                }
                // What is recorded has a colon; `up` is Prometheus' own.
                metric if metric.starts_with("vodbridge_") || metric.starts_with("process_") => {
                    let matchers = matchers(&mut tokens);
                    for (label, ..) in &matchers {
                        query.uses(label);
                    }
                    query.selectors.push(Selector { metric: word, matchers });
                }
                _ => {}
            }
        }
        query
    }

    /// Takes in the `{{ label }}` of a text.
    fn shows(&mut self, text: &str, prefix: &str) {
        for shown in text.split("{{").skip(1) {
            let inside = shown.split("}}").next().unwrap().trim();
            if let Some(label) = inside.strip_prefix(prefix)
                && !label.starts_with('$')
            {
                self.uses(label);
            }
        }
    }

    fn uses(&mut self, label: &str) {
        if !OF_OTHERS.contains(&label) {
            self.labels.insert(label.to_owned());
        }
    }
}

/// `(a, b)`, if that is next.
fn list(tokens: &mut Peekable<impl Iterator<Item = Token>>) -> Vec<String> {
    let mut labels = Vec::new();
    if tokens.next_if_eq(&Token::Sign('(')).is_some() {
        for token in tokens.by_ref() {
            match token {
                Token::Word(label) => labels.push(label),
                Token::Sign(')') => break,
                Token::Sign(_) | Token::Text(_) => {}
            }
        }
    }
    labels
}

/// `{label="value", ...}`, if that is next.
fn matchers(tokens: &mut Peekable<impl Iterator<Item = Token>>) -> Vec<(String, String, String)> {
    let mut matchers = Vec::new();
    if tokens.next_if_eq(&Token::Sign('{')).is_some() {
        let (mut label, mut operator) = (String::new(), String::new());
        for token in tokens.by_ref() {
            match token {
                Token::Word(word) => (label, operator) = (word, String::new()),
                Token::Text(value) => matchers.push((label.clone(), operator.clone(), value)),
                Token::Sign('}') => break,
                Token::Sign(',') => {}
                Token::Sign(sign) => operator.push(sign),
            }
        }
    }
    matchers
}

fn tokens(expr: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expr.chars().peekable();
    let is_of_word = |c: &char| c.is_ascii_alphanumeric() || "_:$".contains(*c);
    while let Some(c) = rest.next() {
        if c == '"' {
            let mut text = String::new();
            while let Some(c) = rest.next().filter(|c| *c != '"') {
                text.push(if c == '\\' { rest.next().unwrap() } else { c });
            }
            tokens.push(Token::Text(text));
        } else if is_of_word(&c) {
            let mut word = String::from(c);
            while let Some(c) = rest.next_if(is_of_word) {
                word.push(c);
            }
            tokens.push(Token::Word(word));
        } else if !c.is_whitespace() {
            tokens.push(Token::Sign(c));
        }
    }
    tokens
}

#[test]
fn queries_are_read_as_prometheus_reads_them() {
    let query = Query::read(
        r#"sum by (le, code) (rate(vodbridge_x_bucket{code!="a, b}",mode="pull"}[5m]))
           / on (share) up{job=~"x"} and vodbridge:recorded > 1e3 * process_y"#,
    );
    let matcher = |label: &str, operator: &str, value: &str| {
        (label.to_owned(), operator.to_owned(), value.to_owned())
    };
    let x = Selector {
        metric: "vodbridge_x_bucket".to_owned(),
        matchers: vec![matcher("code", "!=", "a, b}"), matcher("mode", "=", "pull")],
    };
    let y = Selector { metric: "process_y".to_owned(), matchers: vec![] };
    assert_eq!(query.selectors, [x, y]);
    assert_eq!(query.labels.into_iter().collect::<Vec<_>>(), ["code", "mode", "share"]);
}

#[test]
fn alerts_and_dashboard_are_read_to_their_ends() {
    let alerts = by_alerts();
    let all = fs::read_to_string(chart("alerts.yaml")).unwrap();
    assert_eq!(alerts.len(), all.matches("expr: |").count());
    assert!(alerts.iter().any(|query| query.labels.contains("used_by")), "from an annotation");
    let dashboard = by_dashboard();
    assert!(dashboard.len() > 30, "{}", dashboard.len());
    assert!(dashboard.iter().all(|query| !query.selectors.is_empty()), "{dashboard:#?}");
}
