use super::*;

/// What the variables say, and the warnings as they are printed.
fn read_all(variables: &[(&str, &str)]) -> (Option<Traces>, Vec<String>) {
    let variables =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut warnings = Vec::new();
    let traces = read(&variables, &mut warnings);
    (traces, warnings.iter().map(ToString::to_string).collect())
}

/// The same, where nothing is doubtful.
fn read_well(variables: &[(&str, &str)]) -> Option<Traces> {
    let (traces, warnings) = read_all(variables);
    assert_eq!(warnings, [""; 0]);
    traces
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

#[test]
fn without_an_endpoint_or_an_exporter_there_is_no_tracing() {
    for variables in [
        &[][..],
        &[("OTEL_SERVICE_NAME", "bridge"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
        &[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://collector:4318")],
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
        &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        assert!(read_well(variables).is_none(), "{variables:?}");
    }
}

#[test]
fn the_endpoint_of_all_signals_gets_a_path_and_the_one_of_traces_is_taken_as_it_is() {
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/a?b=c");
    for (variables, expected) in [
        (&[ENDPOINT][..], "http://collector:4318/v1/traces"),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x/base/")], "http://x/base/v1/traces"),
        (&[ENDPOINT, traces], "https://traces.example/a?b=c"),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], "http://localhost:4318/v1/traces"),
    ] {
        assert_eq!(read_well(variables).unwrap().endpoint, expected, "{variables:?}");
    }
}

#[test]
fn what_is_not_supported_is_said_and_switches_tracing_off() {
    for (variable, expected) in [
        (
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            "OTEL_EXPORTER_OTLP_PROTOCOL: found \"grpc\", and only http/protobuf is supported, \
             which collectors take on port 4318: no traces",
        ),
        (
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            "OTEL_TRACES_EXPORTER: found \"zipkin\", expected otlp or none: no traces",
        ),
    ] {
        let (traces, warnings) = read_all(&[ENDPOINT, variable]);
        assert!(traces.is_none());
        assert_eq!(warnings, [expected]);
    }
}

#[test]
fn an_endpoint_that_is_none_is_not_repeated() {
    for endpoint in ["collector:4318", "http://me:hunter2@collector", "ftp://hunter2", "hunter2"] {
        let (traces, warnings) = read_all(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
        assert!(traces.is_none(), "{endpoint}");
        assert!(warnings[0].contains("OTEL_EXPORTER_OTLP_ENDPOINT: expected http://"));
        assert!(!warnings[0].contains("hunter2"), "{warnings:?}");
    }
}

#[test]
fn headers_are_decoded_and_in_no_debug_output() {
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter%32, x-tenant = a%20b");
    let traces = read_well(&[ENDPOINT, headers]).unwrap();
    assert_eq!(traces.headers["api-key"], "hunter2");
    assert_eq!(traces.headers["x-tenant"], "a b");
    let debug = format!("{traces:?} {:?}", traces.headers);
    assert!(!debug.contains("hunter2"), "{debug}");
    let (traces, warnings) = read_all(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")]);
    assert!(traces.unwrap().headers.is_empty());
    assert!(!warnings[0].contains("hunter2"), "{warnings:?}");
}

#[test]
fn the_service_has_a_name_whoever_gives_it() {
    let attributes =
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=b%2Cc");
    let named = |variables: &[_]| {
        let resource = read_well(variables).unwrap().resource;
        resource.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(named(&[ENDPOINT]), ["service.name=vodbridge"]);
    assert_eq!(
        named(&[ENDPOINT, attributes]),
        ["service.name=a", "deployment.environment.name=b,c"]
    );
    assert_eq!(
        named(&[ENDPOINT, attributes, ("OTEL_SERVICE_NAME", "bridge")]),
        ["deployment.environment.name=b,c", "service.name=bridge"]
    );
}

#[test]
fn samplers_have_their_usual_names() {
    for (name, argument, ratio, parent_based) in [
        ("", "", 1.0, true),
        ("always_on", "", 1.0, false),
        ("always_off", "", 0.0, false),
        ("traceidratio", "0.25", 0.25, false),
        ("parentbased_always_on", "", 1.0, true),
        ("parentbased_always_off", "", 0.0, true),
        ("parentbased_traceidratio", "0.01", 0.01, true),
    ] {
        let variables =
            [ENDPOINT, ("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        let sampler = read_well(&variables).unwrap().sampler;
        assert_eq!(sampler, Sampler { ratio, parent_based }, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_said_and_the_default_holds() {
    let (traces, warnings) = read_all(&[
        ENDPOINT,
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "101"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ("OTEL_PROPAGATORS", "b3"),
    ]);
    let traces = traces.unwrap();
    assert_eq!((traces.queue_max, traces.batch_max), (100, 100));
    assert_eq!(traces.delay, Duration::from_secs(5));
    assert_eq!(warnings.len(), 7, "{warnings:#?}");
}
