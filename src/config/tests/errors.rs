use std::fmt::Write;

use proptest::prelude::*;

use crate::config::*;

/// `expected` without the file's name, which is always `yaml`.
#[track_caller]
pub(super) fn check(yaml: &str, expected: &[&str]) {
    let errors = Config::from_yaml(yaml).err().map(|errors| errors.to_string());
    let errors = errors.unwrap_or_default();
    let lines: Vec<_> = errors.lines().map(|line| line.trim_start_matches("yaml:")).collect();
    assert_eq!(lines, expected, "\n{yaml}");
}

#[test]
fn all_errors_are_reported_at_once_with_their_places() {
    check(
        "\
http:
  lisen: 127.0.0.1:1
  idle_timeout: 5
applications:
  movies:
    sub_app_id: 0
    callback: { body_max: lots, path: movies }
  Movies: { callback: {} }
connectors:
  a: { type: kafkaa }
  b: { type: journal, keep: newst, max_age: 0s }
routes:
  - to: [a, b, a, c]
    topic: vod.{type}
  - [b]
  - { to: [b], topic: [x], drop: maybe, key: fil }
grace: 25s
grace: 26s
limits:
  connections: 1e3
",
        &[
            "2:3: http.lisen: unknown key; did you mean \"listen\"?",
            "3:17: http.idle_timeout: found \"5\", expected a duration such as 4s, 250ms or 10m",
            "6:17: applications.movies.sub_app_id: found 0, expected a whole number above zero",
            "7:27: applications.movies.callback.body_max: found \"lots\", expected a size above \
             zero such as 16MiB, 64KiB or 4096 (bytes)",
            "7:39: applications.movies.callback.path: found \"movies\", expected a path that begins \
             with '/'",
            "8:3: applications.Movies: \"Movies\" is no name: expected a-z, 0-9, '_' and '-', begun \
             by a letter or digit, at most 64 bytes",
            "10:14: connectors.a.type: found \"kafkaa\", expected one of \"kafka\", \"rabbitmq\", \
             \"nats\", \"journal\"; did you mean \"kafka\"?",
            "11:29: connectors.b.keep: found \"newst\", expected one of \"all\", \"newest\"; did \
             you mean \"newest\"?",
            "11:45: connectors.b.max_age: found 0s, expected more than 0s and at most 10years",
            "13:16: routes.0.to.2: \"a\" is named twice",
            "13:19: routes.0.to.3: no connector is named \"c\"",
            "14:12: routes.0.topic: found \"vod.{type}\": unknown placeholder {type}, expected one \
             of {event_type}, {application}, {sub_app_id}",
            "15:5: routes.1: found a list, expected a mapping",
            "16:16: routes.2.topic: found a list, expected a text",
            "16:34: routes.2.drop: found \"maybe\", expected true or false",
            "16:46: routes.2.key: found \"fil\", expected one of \"file\", \"task\", \
             \"application\", \"none\"; did you mean \"file\"?",
            "18:1: grace: the key is there twice, first in line 17",
            "20:16: limits.connections: found \"1e3\", expected a whole number above zero",
        ],
    );
}

#[test]
fn what_is_no_yaml_is_an_error_with_its_place() {
    for (yaml, expected) in [
        ("a: [", "1:4: unclosed bracket '['"),
        ("a: b: c", "1:5: mapping values are not allowed in this context"),
        ("\"", "1:1: unclosed quote"),
        ("- 1", "1:1: expected a mapping of keys to values"),
        ("just", "1:1: expected a mapping of keys to values"),
        ("a: 1\n---\nb: 2", "2:1: expected one document, found a second"),
        ("grace: 5s\n<<: { a: b }", "2:1: YAML merge keys are not allowed by configured policy"),
        ("? [a]\n: b", "1:3: expected string scalar"),
    ] {
        check(yaml, &[expected]);
    }
}

#[test]
fn a_text_that_would_take_too_much_is_refused() {
    let deep = "[".repeat(100) + &"]".repeat(100);
    let large = " ".repeat((1 << 20) + 1);
    let many = "[".to_owned() + &"a,".repeat(60_000) + "a]";
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let alias = format!("*a{}, ", n - 1).repeat(10);
        writeln!(laughs, "a{n}: &a{n} [{alias}]").unwrap();
    }
    for text in [deep, large, many, laughs] {
        let errors = Config::from_yaml(&text).unwrap_err().to_string();
        assert!(errors.contains("too large") || errors.contains("larger than"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn a_key_without_a_value_is_an_error() {
    // A template that came out empty must not pass for "no token".
    check(
        "applications:\n  a:\n    callback:\n      token:\n  b: ~\n",
        &[
            "4:12: applications.a.callback.token: has no value; write one ({} for all defaults) or \
             remove the key",
            "5:6: applications.b: has no value; write one ({} for all defaults) or remove the key",
        ],
    );
}

#[test]
fn a_list_does_not_pass_for_a_mapping_nor_a_mapping_for_a_list() {
    check("limits: []", &["1:1: limits: found a list, expected a mapping"]);
    check("routes: {}", &["1:1: routes: found a mapping, expected a list"]);
    check("grace: {}", &["1:1: grace: found a mapping, expected a text"]);
    check("routes: [{ to: journal }]", &["1:16: routes.0.to: found \"journal\", expected a list"]);
}

#[test]
fn what_was_pruned_draws_no_further_errors() {
    check(
        "routes: [{ to: 1 }, { too: [journal] }]",
        &[
            "1:16: routes.0.to: found \"1\", expected a list",
            "1:23: routes.1.too: unknown key; did you mean \"to\"?",
        ],
    );
    check(
        "connectors: { x: { type: y } }\nroutes: [{ to: [x, 5, [x], x] }]",
        &[
            "1:26: connectors.x.type: found \"y\", expected one of \"kafka\", \"rabbitmq\", \"nats\", \
             \"journal\"",
            "2:20: routes.0.to.1: no connector is named \"5\"",
            "2:23: routes.0.to.2: found a list, expected a text",
            "2:28: routes.0.to.3: \"x\" is named twice",
        ],
    );
}

#[test]
fn applications_are_checked() {
    for (application, expected) in [
        (
            "{}",
            "1:17: applications.a: nothing brings in this application's events; callback: {} takes callbacks, pull: {} pulls",
        ),
        (
            "{ callback: { path: /a?b } }",
            "1:40: applications.a.callback.path: found \"/a?b\", expected a path without a query or fragment",
        ),
        (
            "{ callback: { path: /a/../b } }",
            "1:40: applications.a.callback.path: found \"/a/../b\", expected a path without \".\" and \"..\"",
        ),
        (
            "{ callback: { path: /a%20 } }",
            "1:40: applications.a.callback.path: found \"/a%20\", expected a path of characters that a URL holds without percent-encoding",
        ),
        (
            "{ callback: { path: /vod/b } }",
            "1:57: applications.b.callback.path: the path \"/vod/b\" is taken by the application a",
        ),
        (
            "{ callback: { answer_within: 0s } }",
            "1:49: applications.a.callback.answer_within: found 0s, expected more than 0s and at most 1m",
        ),
        (
            "{ callback: { answer_within: 61s } }",
            "1:49: applications.a.callback.answer_within: found 1m 1s, expected more than 0s and at most 1m",
        ),
        (
            "{ callback: { spool: behind } }",
            "1:41: applications.a.callback.spool: found \"behind\", expected \"ahead\" or \"off\"",
        ),
        (
            "{ callback: { body_max: 2MiB }, limits: { in_flight_bytes: 1MiB } }",
            "1:44: applications.a.callback.body_max: found 2MiB, expected no more than applications.a.limits.in_flight_bytes (1MiB)",
        ),
        (
            "{ callback: { token: [] } }",
            "1:34: applications.a.callback.token: the list is empty; without a secret leave the key out",
        ),
        ("{ callback: { token: '' } }", "1:41: applications.a.callback.token: the secret is empty"),
        (
            "{ callback: { token: { env: NONE } } }",
            "1:34: applications.a.callback.token: the environment variable NONE is not set",
        ),
        (
            "{ callback: { token: { fil: x } } }",
            "1:34: applications.a.callback.token: unknown key \"fil\"; did you mean \"file\"?",
        ),
        (
            "{ callback: { token: { file: x, env: y } } }",
            "1:34: applications.a.callback.token: expected { file: PATH }, { env: NAME } or a text",
        ),
        (
            "{ callback: { token: [a, { file: /nowhere }] } }",
            "1:45: applications.a.callback.token.1: the file /nowhere cannot be read: No such file or directory (os error 2)",
        ),
        (
            "{ callback: { sign_key: a-b } }",
            "1:44: applications.a.callback.sign_key: a sign key is made of letters and digits, at most 32",
        ),
        (
            "{ callback: {}, limits: { in_flight: 0 } }",
            "1:57: applications.a.limits.in_flight: found 0, expected a whole number above zero",
        ),
        (
            "{ callback: {}, limits: { in_flight_bytes: 0 } }",
            "1:63: applications.a.limits.in_flight_bytes: found \"0\", expected a size above zero such as 16MiB, 64KiB or 4096 (bytes)",
        ),
    ] {
        check(
            &format!("applications: {{ a: {application}, b: {{ callback: {{}} }} }}"),
            &[expected],
        );
    }
}

#[test]
fn a_secret_is_in_no_error() {
    for callback in
        ["{ sign_key: s3cret-1 }", "{ token: '{s3cret-1' }", "{ token: [s3cret-1, ''] }"]
    {
        let yaml = format!("applications: {{ a: {{ callback: {callback} }} }}");
        let errors = Config::from_yaml(&yaml).unwrap_err();
        assert!(!format!("{errors} {errors:?}").contains("s3cret"), "{errors}");
    }
}

#[test]
fn routes_are_checked() {
    for (routes, expected) in [
        (
            "[]",
            "1:1: routes: found 0 routes, expected 1 to 256; without the key everything goes to every connector",
        ),
        ("[{}]", "1:10: routes.0: expected at least one connector in \"to\", or drop: true"),
        (
            "[{ drop: true, to: [journal] }]",
            "1:24: routes.0.to: a route with drop: true publishes nothing",
        ),
        (
            "[{ drop: true, topic: x }]",
            "1:31: routes.0.topic: a route with drop: true publishes nothing",
        ),
        (
            "[{ to: [jurnal] }]",
            "1:17: routes.0.to.0: no connector is named \"jurnal\"; did you mean \"journal\"?",
        ),
        (
            "[{ to: [journal], also: [journal] }]",
            "1:34: routes.0.also.0: \"journal\" is named twice",
        ),
        (
            "[{ to: [journal], topic: vod. }]",
            "1:34: routes.0.topic: found \"vod.\": topic \"vod.\" has an empty part",
        ),
        (
            "[{ to: [journal], topic: '{sub_app_id}' }]",
            "1:34: routes.0.topic: {sub_app_id} stands for nothing: the application default has none",
        ),
        (
            "[{ to: [journal], name: a }, { to: [journal], name: a }]",
            "1:61: routes.1.name: the name a is taken by another route",
        ),
        (
            "[{ to: [journal], match: { attributes: { vodstate: [a] } } }]",
            "1:50: routes.0.match.attributes.vodstate: no event has this attribute; did you mean \"vodstatus\"?",
        ),
        (
            "[{ to: [journal], match: { attributes: { vodstatus: [] } } }]",
            "1:50: routes.0.match.attributes.vodstatus: the list is empty: nothing would match",
        ),
        (
            "[{ to: [journal], match: { types: [] } }]",
            "1:36: routes.0.match.types: unknown key, expected one of \"applications\", \"events\", \"attributes\"",
        ),
    ] {
        check(&format!("routes: {routes}"), &[expected]);
    }
}

#[test]
fn a_placeholder_is_judged_by_the_applications_that_the_route_takes() {
    let yaml = "
applications: { a: { sub_app_id: 1, callback: {} }, b: { callback: {} } }
routes:
  - { to: [journal], topic: 'vod.{sub_app_id}', match: { applications: [a*] } }
  - { to: [journal] }
";
    check(yaml, &[]);
    let long = "x".repeat(64);
    let yaml = format!(
        "applications: {{ {long}: {{ callback: {{}} }} }}\n\
         routes: [{{ to: [journal], topic: '{}.{{application}}.{{event_type}}' }}]",
        "y".repeat(130)
    );
    let expected = format!(
        "2:34: routes.0.topic: for the application {long}: topic of 260 bytes; the longest that \
         every broker takes is 249"
    );
    check(&yaml, &[&expected]);
}

#[test]
fn everything_else_is_checked() {
    for (yaml, expected) in [
        (
            "http: { listen: 127.0.0.1 }",
            "1:17: http.listen: found \"127.0.0.1\", expected an address and port such as 127.0.0.1:8080",
        ),
        (
            "admin: { listen: 0.0.0.0:8080 }",
            "1:18: admin.listen: found 0.0.0.0:8080, expected another port than http.listen's (127.0.0.1:8080)",
        ),
        (
            "http: { tls: { cert_file: /nowhere } }",
            "1:9: http.tls: the key \"key_file\" is missing",
        ),
        (
            "http: { body_timeout: 0s }",
            "1:23: http.body_timeout: found 0s, expected more than 0s and at most 1h",
        ),
        (
            "limits: { in_flight_bytes: 1MiB }",
            "1:1: applications.default.callback.body_max: found 16MiB, expected no more than limits.in_flight_bytes (1MiB)",
        ),
        ("connectors: {}", "1:1: connectors: expected at least one connector"),
        ("applications: {}", "1:1: applications: expected at least one application"),
        ("connectors: { a: {} }", "1:15: connectors.a: the key \"type\" is missing"),
        (
            "connectors: { a: { type: journal, publish_timeout: 25s } }",
            "1:52: connectors.a.publish_timeout: found 25s, expected more than 0s and less than 25s",
        ),
        (
            "connectors: { a: { type: journal, brokers: [] } }",
            "1:35: connectors.a.brokers: unknown key, expected one of \"max_age\", \"keep\", \"publish_timeout\", \"require\", \"assume\"",
        ),
        ("dead_letter: { to: x }", "1:20: dead_letter.to: no connector is named \"x\""),
        (
            "dead_letter: { topic: 'a b' }",
            "1:23: dead_letter.topic: topic \"a b\" has ' '; a topic is made of letters, digits, '-', '_' and '.'",
        ),
        (
            "applications: { a: { callback: { body_max: 1MiB } } }\njournal: { size_max: 15MiB }",
            "2:22: journal.size_max: found 15MiB, expected at least 16MiB",
        ),
        (
            "applications: { a: { callback: { body_max: 1B } } }\njournal: { wal_max: 64KiB }",
            "2:21: journal.wal_max: found 64KiB, expected at least 1MiB",
        ),
        (
            "applications: { a: { callback: { body_max: 8MiB } } }\njournal: { size_max: 16MiB }",
            "1:44: applications.a.callback.body_max: found 8MiB, expected no more than half of journal.size_max and of journal.wal_max (8128KiB)",
        ),
        (
            "journal: { history: { events: 10000001 } }",
            "1:31: journal.history.events: found 10000001, expected at most 10000000",
        ),
        (
            "journal: { history: { event: 1 } }",
            "1:23: journal.history.event: unknown key; did you mean \"events\"?",
        ),
        (
            "connectors: { a: { type: journal }, b: { type: journal } }",
            "1:37: connectors.b: there is one journal, and it is the connector a already",
        ),
        (
            "log: { level: 'a=b=c' }",
            "1:15: log.level: found \"a=b=c\": error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
        ),
        (
            "duplicates: { entries_max: 0 }",
            "1:28: duplicates.entries_max: found 0, expected a whole number above zero",
        ),
        (
            "duplicates: { window: 0s }",
            "1:23: duplicates.window: found 0s, expected more than 0s and at most 1day",
        ),
        (
            "cloudevents: { type_prefix: com..x }",
            "1:29: cloudevents.type_prefix: found \"com..x\", expected a reverse-DNS name such as com.example.vod, at most 100 bytes",
        ),
        (
            "cloudevents: { data: all }",
            "1:22: cloudevents.data: found \"all\", expected one of \"payload\", \"content\"",
        ),
        ("drain_delay: 25s", "1:14: drain_delay: found 25s, expected less than grace (25s)"),
        (
            "log: { level: warning }",
            "1:15: log.level: found \"warning\", expected error, warn, info, debug, trace or off, or a filter such as info,vodbridge::route=debug",
        ),
        (
            "log: { level: 'vodbridge::route=debug,trce' }",
            "1:15: log.level: found \"trce\", expected error, warn, info, debug, trace or off, or a filter such as info,vodbridge::route=debug; did you mean \"trace\"?",
        ),
        (
            "log: { format: jsn }",
            "1:16: log.format: found \"jsn\", expected one of \"auto\", \"pretty\", \"json\"; did you mean \"json\"?",
        ),
    ] {
        check(yaml, &[expected]);
    }
    let many: Vec<_> = (0..65).map(|n| format!("c{n}: {{ type: journal }}")).collect();
    check(
        &format!("connectors: {{ {} }}", many.join(", ")),
        &[
            "1:1: connectors: found 65 connectors, expected at most 64",
            "1:38: connectors.c1: there is one journal, and it is the connector c0 already",
        ],
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let errors = Config::load(Some("/nowhere.yaml".as_ref()), std::iter::empty(), &[]).unwrap_err();
    let expected = "/nowhere.yaml: cannot be read: No such file or directory (os error 2)";
    assert_eq!(errors.to_string(), expected);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        Config::from_yaml(&text).ok();
    }

    /// A valid text with one piece exchanged comes much farther than a random one.
    #[test]
    fn no_damage_makes_it_panic(
        at in 0usize..1000, len in 0usize..40, piece in "([a-z:,*&!{}\\[\\]\"' \n-]|[0-9]){0,12}",
    ) {
        let mut text = include_str!("../../../deploy/examples/callbacks.yaml").to_owned();
        let from = text.floor_char_boundary(at * text.len() / 1000);
        let to = text.floor_char_boundary((from + len).min(text.len()));
        text.replace_range(from..to, &piece);
        let errors = Config::from_yaml(&text);
        // Its secrets are not there.
        prop_assert!(errors.is_err_and(|errors| !errors.problems().is_empty()) );
    }
}

#[test]
fn pulling_is_checked() {
    for (pull, expected) in [
        (
            "{ endpoint: vod.tencentcloudapi.com }",
            "pull.endpoint: found \"vod.tencentcloudapi.com\", expected an address such as https://vod.tencentcloudapi.com",
        ),
        (
            "{ endpoint: 'https://h/path' }",
            "pull.endpoint: found \"https://h/path\", expected an address such as https://vod.tencentcloudapi.com",
        ),
        (
            "{ proxy: 'user:hunter2@proxy' }",
            "pull.proxy: expected an address such as http://proxy:3128",
        ),
        ("{ workers_max: 65 }", "pull.workers_max: found 65, expected at most 64"),
        (
            "{ margin: 30s }",
            "pull.margin: found 30s, expected more than 0s and less than handle_life (30s)",
        ),
        (
            "{ credentials: { from: static, secret_key: k } }",
            "pull.credentials: from: static needs secret_id",
        ),
        (
            "{ credentials: { from: static, secret_id: i } }",
            "pull.credentials: from: static needs secret_key",
        ),
        (
            "{ credentials: { from: environment, secret_key: k } }",
            "pull.credentials.secret_key: expected only with from: static",
        ),
        (
            "{ credentials: { profile: other } }",
            "pull.credentials.profile: expected only with from: profile",
        ),
        (
            "{ credentials: { from: static, secret_id: i, secret_key: { env: NOT_SET } } }",
            "pull.credentials.secret_key: the environment variable NOT_SET is not set",
        ),
        (
            "{ credentials: { role_arn: r, role_duration: 13h } }",
            "pull.credentials.role_duration: found 13h, expected more than 0s and at most 12h",
        ),
    ] {
        let yaml = format!("applications: {{ a: {{ pull: {pull} }} }}");
        let errors = Config::from_yaml(&yaml).unwrap_err().to_string();
        assert!(errors.contains(expected) && !errors.contains("hunter2"), "{yaml}\n{errors}");
    }
}

#[test]
fn an_attempt_ends_before_the_handle_does() {
    let yaml = "applications: { a: { pull: { handle_life: 12s, margin: 2s } } }\n\
                connectors: { j: { type: journal, publish_timeout: 10s } }";
    let errors = Config::from_yaml(yaml).unwrap_err().to_string();
    let expected = "connectors.j.publish_timeout: found 10s, expected less than handle_life without \
                    margin (10s) of applications.a.pull";
    assert!(errors.contains(expected), "{errors}");
    assert!(Config::from_yaml(&yaml.replace("10s }", "9s }")).is_ok());
}
