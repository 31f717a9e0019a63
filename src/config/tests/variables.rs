use std::path::Path;
use std::{fs, iter};

use crate::config::*;

fn load(yaml: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vodbridge.yaml");
    fs::write(&file, yaml).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Config::load(Some(&file), variables, &["NewFileUpload", "FileDeleted"])
        .map_err(|errors| errors.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn config(yaml: &str, variables: &[(&str, &str)]) -> Config {
    load(yaml, variables).unwrap().config
}

#[test]
fn without_a_file_the_defaults_run() {
    let Loaded { config, warnings } = Config::load(None, iter::empty(), &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    let callback = config.applications["default"].callback.as_ref().unwrap();
    assert_eq!(callback.path, "/vod/default");
    assert!(callback.token.is_none());
    assert_eq!(config.routes[0].to, [Name::new("journal").unwrap()]);
    assert_eq!(config.dead_letter.to, None);
    assert_eq!(config.journal.path, Path::new("./vodbridge-data"));
}

#[test]
fn an_empty_file_is_the_defaults() {
    let defaults = format!("{:?}", Config::from_yaml("{}").unwrap());
    for empty in ["", "\n", "# nothing\n", "---\n", "null"] {
        assert_eq!(format!("{:?}", Config::from_yaml(empty).unwrap()), defaults, "{empty:?}");
    }
}

#[test]
fn a_variable_overrides_one_key_of_the_file() {
    let yaml = "
http: { listen: '127.0.0.1:1', idle_timeout: 5s }
applications:
  my-app: { sub_app_id: 7, callback: {} }
";
    let config = config(
        yaml,
        &[
            ("VODBRIDGE__HTTP__LISTEN", "127.0.0.1:2"),
            ("VODBRIDGE__APPLICATIONS__MY-APP__SUB_APP_ID", "1500012345"),
            ("VODBRIDGE__APPLICATIONS__MY-APP__CALLBACK__BODY_MAX", "64KiB"),
            ("VODBRIDGE__APPLICATIONS__OTHER__CALLBACK", "{}"),
            ("VODBRIDGE__Limits__Connections", "12"),
            ("VODBRIDGE__ROUTES", "[{ match: { events: [New*] }, to: [journal], drop: false }]"),
            ("VODBRIDGE__DEAD_LETTER__TOPIC", "dead"),
        ],
    );
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:2");
    assert_eq!(config.http.idle_timeout, Duration::from_secs(5));
    let app = &config.applications["my-app"];
    assert_eq!(app.sub_app_id.map(|id| id.get()), Some(1_500_012_345));
    assert_eq!(app.callback.as_ref().unwrap().body_max.bytes(), 64 << 10);
    assert!(config.applications.contains_key("other"));
    assert_eq!(config.limits.connections.get(), 12);
    assert_eq!(config.routes[0].when.events, [Pattern::new("New*")]);
    assert_eq!(config.dead_letter.topic.as_str(), "dead");
}

#[test]
fn a_value_that_begins_with_a_brace_can_be_a_text() {
    let template = "{application}.{event_type}";
    for (text, is_text) in [("{event_type}", true), (template, true), ("{ a: b }", false)] {
        let loaded = load("", &[("VODBRIDGE__DEAD_LETTER__TOPIC", text)]).unwrap_err();
        assert_eq!(loaded.contains("'{'"), is_text, "{loaded}");
    }
}

#[test]
fn other_variables_of_the_prefix_are_ignored() {
    // Kubernetes injects these for a service named vodbridge.
    config(
        "",
        &[("VODBRIDGE_PORT", "tcp://10.0.0.1:8080"), ("VODBRIDGE_SERVICE_HOST", "10.0.0.1")],
    );
}

#[test]
fn what_is_wrong_with_a_variable_names_it() {
    for (variables, expected) in [
        (&[("VODBRIDGE__X", "1")][..], "VODBRIDGE__X: x: unknown key, expected one of"),
        (
            &[("VODBRIDGE__HTTP__LISTN", "127.0.0.1:2")],
            "VODBRIDGE__HTTP__LISTN: http.listn: unknown key; did you mean \"listen\"?",
        ),
        (
            &[("VODBRIDGE__GRACE", "soon")],
            "VODBRIDGE__GRACE: grace: found \"soon\", expected a duration such as 4s, 250ms or 10m",
        ),
        (
            &[("VODBRIDGE__ROUTES__0__DROP", "true")],
            "VODBRIDGE__ROUTES__0__DROP: routes: found a mapping, expected a list; a variable sets \
             a list whole, like [a, b]",
        ),
        (
            &[("VODBRIDGE__ROUTES", "[{ to: [x] }]")],
            "VODBRIDGE__ROUTES: routes.0.to.0: no connector is named \"x\"",
        ),
        (
            &[("VODBRIDGE__HTTP", "x"), ("VODBRIDGE__HTTP__LISTEN", "127.0.0.1:2")],
            "VODBRIDGE__HTTP: http: found \"x\", expected a mapping\n\
             VODBRIDGE__HTTP__LISTEN: http.listen: another variable has set what this one is a \
             part of",
        ),
        (
            &[("VODBRIDGE__GRACE", "20s"), ("VODBRIDGE__Grace", "30s")],
            "VODBRIDGE__Grace: grace: another variable has set this, or a part of it",
        ),
        (
            &[("VODBRIDGE__APPLICATIONS__DEFAULT__CALLBACK__TOKEN", "{ file: /x")],
            "VODBRIDGE__APPLICATIONS__DEFAULT__CALLBACK__TOKEN: \
             applications.default.callback.token: a secret written as plain text may not begin \
             with '{' or '[', expected { file: PATH }, { env: NAME } or a text",
        ),
    ] {
        let errors = load("", variables).unwrap_err();
        assert!(errors.starts_with(expected), "{variables:?}\n{errors}");
    }
}

#[test]
fn a_variable_takes_the_blame_from_the_file_it_overrides() {
    let errors = load("grace: 20s\n", &[("VODBRIDGE__GRACE", "0s")]).unwrap_err();
    assert!(errors.starts_with("VODBRIDGE__GRACE: grace: found 0s"), "{errors}");
    let errors = load("grace: 0s\n", &[("VODBRIDGE__LOG__LEVEL", "info")]).unwrap_err();
    assert!(errors.starts_with("vodbridge.yaml:1:8: grace: found 0s"), "{errors}");
}

#[test]
fn secrets_are_read_as_they_are() {
    for (yaml, secrets) in [
        ("0123", &["0123"][..]),
        ("1e3", &["1e3"]),
        ("true", &["true"]),
        ("off", &["off"]),
        ("0x10", &["0x10"]),
        (".nan", &[".nan"]),
        ("1_000", &["1_000"]),
        (
            "99999999999999999999999999999999999999999999",
            &["99999999999999999999999999999999999999999999"],
        ),
        ("'~'", &["~"]),
        ("[0123, b, { env: TOKEN }]", &["0123", "b", "00"]),
        ("{ env: TOKEN }", &["00"]),
    ] {
        let key = "applications: { default: { callback: { token: ";
        let config = config(&format!("{key}{yaml} }} }} }}"), &[("TOKEN", "00\n")]);
        let callback = config.applications["default"].callback.as_ref().unwrap();
        assert_eq!(callback.token.as_ref().unwrap().current()[..], *secrets, "{yaml}");
    }
    let by_variable = config("", &[("VODBRIDGE__APPLICATIONS__DEFAULT__CALLBACK__TOKEN", "0123")]);
    let callback = by_variable.applications["default"].callback.as_ref().unwrap();
    assert_eq!(callback.token.as_ref().unwrap().current()[..], ["0123"]);
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let yaml = "
routes:
  - match: { events: [NewFileUplod, 'v2.*', '*Deleted'], applications: [defalt] }
    to: [journal]
  - to: [journal]
  - to: [journal]
";
    let warnings = load(yaml, &[]).unwrap().warnings;
    let warnings: Vec<_> = warnings.iter().map(|w| format!("{}: {}", w.path, w.message)).collect();
    assert_eq!(
        warnings,
        [
            "routes.0.match.events.0: \"NewFileUplod\" matches no known event type; did you mean \
             \"NewFileUpload\"?",
            "routes.0.match.applications.0: \"defalt\" matches no application; did you mean \
             \"default\"?",
            "routes.2: never taken: route-2 takes every event",
        ]
    );
}
