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
fn every_example_loads_without_a_warning() {
    let secrets = tempfile::tempdir().unwrap();
    for name in [
        "kafka-ca.crt",
        "kafka-password",
        "rabbitmq-ca.crt",
        "client.crt",
        "client.key",
        "rabbitmq-monitoring",
        "nats-ca.crt",
        "vodbridge.creds",
        "ckafka",
        "tdmq",
    ] {
        fs::write(secrets.path().join(name), "x\n").unwrap();
    }
    let variables = ["MOVIES_TOKEN", "RABBITMQ_PASSWORD"].map(|v| (v.to_owned(), "x".to_owned()));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/examples");
    let mut loaded = 0;
    for file in fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if name == "callbacks.yaml" {
            continue; // with its own secrets, above
        }
        let yaml = deploy(&format!("examples/{name}"))
            .replace("/run/secrets", secrets.path().to_str().unwrap());
        let file = secrets.path().join(&name);
        fs::write(&file, yaml).unwrap();
        let config = Config::load(Some(&file), variables.clone().into_iter(), &[]);
        let config = config.unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(config.warnings, [], "{name}");
        loaded += 1;
    }
    assert!(loaded >= 10, "{loaded}");
}

#[test]
fn the_compose_file_is_yaml_and_its_configuration_loads() {
    let compose: Value = serde_saphyr::from_str(&deploy("compose.yaml")).unwrap();
    let services = compose["services"].as_object().unwrap();
    let names: Vec<_> = services.keys().map(String::as_str).collect();
    assert_eq!(names, ["kafka", "nats", "rabbitmq", "vodbridge"]);
    let mounted = compose["services"]["vodbridge"]["volumes"][0].as_str().unwrap();
    let config = mounted.split(':').next().unwrap();
    let config = Config::from_yaml(&deploy(config)).unwrap_or_else(|errors| panic!("{errors}"));
    for connector in config.connectors.keys() {
        assert!(services.contains_key(connector.as_str()), "{connector:?}");
    }
    // What the environment sets must be keys.
    let environment = compose["services"]["vodbridge"]["environment"].as_object().unwrap();
    let variables = environment.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()));
    Config::load(None, variables, &[]).unwrap();
}

#[test]
fn one_yaml_of_under_ten_lines_bridges_to_each_broker() {
    for broker in ["kafka", "rabbitmq", "nats"] {
        let yaml = deploy(&format!("examples/{broker}.yaml"));
        assert!(yaml.lines().count() < 10, "{broker}");
    }
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
        "partitions",
        "replication_factor",
        "sasl",
        "user",
        "password",
        "token_url",
        "client_id",
        "client_secret",
        "scope",
        "ca_file",
        "management_url",
        "management_user",
        "management_password",
        "length_max",
        "max_bytes",
        "nkey_seed",
        "credentials_file",
        "monitoring_url",
        "pull",
        "region",
        "proxy",
        "secret_id",
        "secret_key",
        "profile",
        "profile_file",
        "role_arn",
        "role_session_name",
        "role_duration",
        "sts_endpoint",
        "metadata_endpoint",
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
        match key.as_str() {
            // A key of the configuration may be called `properties`, too.
            "properties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    visit(name, property);
                    each_property(property, visit);
                }
            }
            "default" => {}
            _ => each_property(value, visit),
        }
    }
    schema.as_array().into_iter().flatten().for_each(|value| each_property(value, visit));
}
