use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::config::*;

fn deploy(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_first_example_is_the_defaults() {
    let written = Config::from_yaml(&deploy("examples/first-event.yaml")).unwrap();
    let defaults = Config::from_yaml("").unwrap();
    assert_eq!(format!("{written:#?}"), format!("{defaults:#?}"));
}

#[test]
fn the_example_of_callbacks_loads() {
    let secrets = tempfile::tempdir().unwrap();
    for name in ["tls.crt", "tls.key", "movies-token", "movies-token-old", "movies-sign-key"] {
        fs::write(secrets.path().join(name), format!("{}\n", name.replace(['-', '.'], "")))
            .unwrap();
    }
    let yaml =
        deploy("examples/callbacks.yaml").replace("/run/secrets", secrets.path().to_str().unwrap());
    let file = secrets.path().join("vodbridge.yaml");
    fs::write(&file, yaml).unwrap();
    let variables = [("NEWS_TOKEN".to_owned(), "secret".to_owned())];
    let loaded = Config::load(Some(&file), variables.into_iter(), &["AigcTask"]).unwrap();
    assert_eq!(loaded.warnings, []);
    let movies = loaded.config.applications["movies"].callback.clone().unwrap();
    assert_eq!(movies.token.unwrap().current()[..], ["moviestoken", "moviestokenold"]);
    assert_eq!(movies.sign_key.unwrap().current()[..], ["moviessignkey"]);
    assert!(loaded.config.routes[0].drop);
    assert_eq!(loaded.config.routes[2].key, Some(Key::Task));
}

#[test]
fn the_published_schema_is_current() {
    let published: Value = serde_json::from_str(&deploy("vodbridge.schema.json")).unwrap();
    assert_eq!(
        published,
        schema(),
        "deploy/vodbridge.schema.json is stale: vodbridge schema > deploy/vodbridge.schema.json"
    );
}

#[test]
fn every_key_of_the_schema_has_a_description_and_a_default() {
    // Those whose default is to be absent, which their descriptions say.
    let absent = [
        "tls",
        "sub_app_id",
        "callback",
        "path",
        "token",
        "sign_key",
        "max_age",
        "name",
        "topic",
        "key",
        "routes",
    ];
    // Those that must be given.
    let required = ["cert_file", "key_file", "type", "file", "env"];
    let mut keys = 0;
    each_property(&schema(), &mut |name, property| {
        keys += 1;
        assert!(required.contains(&name) || property["description"].is_string(), "{name}");
        let has_default = !property["default"].is_null();
        let may_lack = absent.contains(&name) || required.contains(&name);
        assert!(has_default || may_lack, "{name} has no default");
    });
    assert!(keys > 40, "{keys}");
}

#[test]
fn the_defaults_of_the_schema_are_those_that_run() {
    let schema = schema();
    let mut written = serde_json::Map::new();
    for (key, property) in schema["properties"].as_object().unwrap() {
        if let Some(default) = property.get("default") {
            written.insert(key.clone(), default.clone());
        }
    }
    let written = Value::Object(written).to_string();
    let written = Config::from_yaml(&written).unwrap();
    assert_eq!(format!("{written:#?}"), format!("{:#?}", Config::from_yaml("").unwrap()));
}

fn each_property(schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    for (key, value) in schema.as_object().into_iter().flatten() {
        if key == "properties" {
            let properties = value.as_object().into_iter().flatten();
            properties.for_each(|(name, property)| visit(name, property));
        }
        if key != "default" {
            each_property(value, visit);
        }
    }
    schema.as_array().into_iter().flatten().for_each(|value| each_property(value, visit));
}
