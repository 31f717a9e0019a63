//! What no honest caller sends: each gets the answer of the table, and the process stays as it was.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::program::{Home, PATH, PATIENCE, Program, connect, raw, reply};

const TOKEN: &str = "/vod/default?token=s3cret";

/// Bodies that are no event, by name.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |n: usize| ["[".repeat(n), "]".repeat(n)].concat();
    let event = |payload: &str| format!(r#"{{"EventType":"X","XEvent":{payload}}}"#);
    vec![
        ("not JSON", b"hello".to_vec()),
        ("empty", Vec::new()),
        ("white space", b" \r\n\t ".to_vec()),
        ("an array", b"[{\"EventType\":\"X\"}]".to_vec()),
        ("a scalar", b"42".to_vec()),
        ("NaN", b"{\"EventType\":\"X\",\"XEvent\":{\"a\":NaN}}".to_vec()),
        (
            "truncated",
            b"{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"5".to_vec(),
        ),
        ("invalid UTF-8", b"{\"EventType\":\"X\",\"XEvent\":{\"a\":\"\xff\xfe\"}}".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{\"EventType\":\"X\",\"XEvent\":{\"a\":1}}".to_vec()),
        ("100,000 nested arrays", event(&nested(100_000)).into_bytes()),
        ("129 nested arrays", event(&format!("{{\"a\":{}}}", nested(129))).into_bytes()),
        (
            "duplicate keys",
            b"{\"EventType\":\"X\",\"EventType\":\"Y\",\"XEvent\":{\"a\":1}}".to_vec(),
        ),
        ("two payload members", b"{\"EventType\":\"X\",\"A\":{\"a\":1},\"B\":{\"b\":1}}".to_vec()),
        ("no payload", b"{\"EventType\":\"X\"}".to_vec()),
        ("trailing garbage", b"{\"EventType\":\"X\",\"XEvent\":{\"a\":1}} x".to_vec()),
    ]
}

fn protected() -> Home {
    Home::new("applications: { default: { callback: { token: s3cret } } }")
}

#[test]
fn what_is_no_event_is_refused_to_strangers_and_leaves_nothing() {
    let home = Home::new("");
    let program = home.start();
    for (name, body) in bodies() {
        let reply = program.post(PATH, &body);
        assert_eq!(reply.status, 400, "{name}: {}", reply.body);
        assert!(reply.body.starts_with(r#"{"error":""#), "{name}: {}", reply.body);
    }
    assert!(home.listed(&["events"]).is_empty());
    assert!(home.listed(&["dead-letters"]).is_empty());
    assert_eq!(program.metric("vodbridge_received_total", ""), 0.0);
    assert!(program.terminate().success());
}

#[test]
fn what_is_no_event_from_vod_itself_is_a_dead_letter_byte_for_byte() {
    let home = protected();
    let program = home.start();
    let bodies = bodies();
    for (name, body) in &bodies {
        let reply = program.post(TOKEN, body);
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
        assert!(reply.body.contains("rejected"), "{name}: {}", reply.body);
    }
    assert!(home.listed(&["events"]).is_empty());
    let letters = home.listed(&["dead-letters"]);
    assert_eq!(letters.len(), bodies.len());
    for (n, (letter, (name, body))) in letters.iter().zip(&bodies).enumerate() {
        assert_eq!(letter["type"], "com.tencentcloud.vod.Unrecognized", "{name}");
        assert!(letter["vodreason"].is_string() && letter["voddetail"].is_string(), "{name}");
        let seq = (n + 1).to_string();
        let message = home.vodbridge(&["dead-letters", "show", &seq, "--message"]).stdout;
        assert_eq!(message, *body, "{name}");
    }
    assert_eq!(program.unaccounted(), 0.0);
    assert!(program.terminate().success());
}

#[test]
fn inside_the_payload_nothing_is_judged_but_depth_and_size() {
    let home = Home::new("");
    let program = home.start();
    let digits = "9".repeat(1_000_000);
    for (name, payload) in [
        ("a number of a million digits", format!(r#"{{"TaskId":"a","n":{digits}}}"#)),
        ("duplicate keys", r#"{"TaskId":"b","TaskId":"c"}"#.to_owned()),
        ("lone surrogates", r#"{"TaskId":"\ud800","a":"\udfff"}"#.to_owned()),
        ("a FileId beyond 2^63", r#"{"TaskId":"d","FileId":18446744073709551617}"#.to_owned()),
    ] {
        let body = format!(r#"{{"EventType":"Brand.New/Type","NewEvent":{payload}}}"#);
        let reply = program.post(PATH, body.as_bytes());
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
    }
    for seq in ["1", "2", "3", "4"] {
        let shown = home.vodbridge(&["events", "show", seq]).stdout;
        assert!(String::from_utf8_lossy(&shown).contains("vod.Brand_New_Type\n"));
    }
    assert_eq!(program.metric("vodbridge_received_total", r#"event_type="other""#), 4.0);
}

#[test]
fn requests_that_are_none_of_ours_get_the_answers_of_the_table() {
    let program = protected().start();
    let event = br#"{"EventType":"X","XEvent":{"TaskId":"1"}}"#;
    for (method, path, headers, status) in [
        ("GET", TOKEN, &[][..], 405),
        ("PUT", TOKEN, &[], 405),
        ("POST", "/", &[], 404),
        ("POST", "/vod/default/", &[], 404),
        ("POST", "/vod/../vod/default", &[], 404),
        ("POST", "/vod/%2e%2e/etc/passwd", &[], 404),
        ("POST", "/vod/default", &[], 401),
        ("POST", "/vod/default?token=wrong", &[], 401),
        ("POST", "/vod/default?token=", &[], 401),
        ("POST", "/vod/default?token=s3cre", &[], 401),
        ("POST", "/vod/default", &[("Authorization", "Bearer wrong")], 401),
        ("POST", "/vod/default", &[("Authorization", "Bearer s3cret")], 200),
        ("POST", "/vod/default?a=b&token=s3cre%74", &[("Content-Type", "text/plain")], 200),
        ("POST", TOKEN, &[("Content-Encoding", "br")], 415),
        ("POST", TOKEN, &[("Content-Encoding", "gzip")], 400),
    ] {
        let reply = program.request(method, path, headers, event);
        assert_eq!(reply.status, status, "{method} {path} {headers:?}: {}", reply.body);
        assert!(!reply.body.contains("s3cret"));
    }
}

#[test]
fn a_signed_application_takes_only_what_is_signed_now() {
    let home = Home::new("applications: { default: { callback: { sign_key: Abc123XYZ789 } } }");
    let program = home.start();
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    let sign = |t: i64| vodbridge_vod::sign::compute("Abc123XYZ789", t);
    let body = |extra: &str| format!(r#"{{"EventType":"X","XEvent":{{"TaskId":"1"}}{extra}}}"#);
    let t = now + 600;
    let in_body = |sign: &str, t: i64| body(&format!(r#","Sign":"{sign}","T":{t}"#));
    for (name, query, body, status) in [
        ("not signed", String::new(), body(""), 401),
        ("in the body", String::new(), in_body(&sign(t), t), 200),
        ("in capitals", String::new(), in_body(&sign(t).to_uppercase(), t), 200),
        ("in the query", format!("?sign={}&t={t}", sign(t)), body(""), 200),
        ("past", String::new(), in_body(&sign(now - 1), now - 1), 401),
        ("too far ahead", String::new(), in_body(&sign(now + 3600), now + 3600), 401),
        ("of another time", String::new(), in_body(&sign(t), t + 1), 401),
        ("no hex", String::new(), in_body("zz", t), 401),
    ] {
        let reply = program.post(&format!("{PATH}{query}"), body.as_bytes());
        assert_eq!(reply.status, status, "{name}: {}", reply.body);
    }
    // Not JSON, but signed in the query: VOD's own.
    let reply = program.post(&format!("{PATH}?sign={}&t={t}", sign(t)), b"hello");
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(home.listed(&["dead-letters"]).len(), 1);
}

#[test]
fn bodies_over_the_limit_are_refused_whatever_they_say_of_their_length() {
    let program = Home::new("applications: { default: { callback: { body_max: 1MiB } } }").start();
    let large = vec![b' '; 20 * 1024 * 1024];
    assert_eq!(program.post(PATH, &large).status, 413);

    let mut chunked =
        format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in large.chunks(64 * 1024) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    // The answer may be lost with the connection when the sender does not stop.
    if let Some(reply) = raw(program.callbacks, &chunked) {
        assert_eq!(reply.status, 413);
    }

    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&large).unwrap();
    let gzip = [("Content-Encoding", "gzip")];
    assert_eq!(program.request("POST", PATH, &gzip, &bomb.finish().unwrap()).status, 413);

    let longer = format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{}}");
    let mut stream = connect(program.callbacks);
    stream.write_all(longer.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(reply(&mut stream).is_none_or(|r| r.status == 400), "a lying length is no event");
    assert_eq!(program.metric("vodbridge_received_total", ""), 0.0);
}

#[test]
fn a_gzip_body_is_the_event_that_it_inflates_to() {
    let home = Home::new("");
    let program = home.start();
    let mut body = GzEncoder::new(Vec::new(), Compression::default());
    body.write_all(br#"{"EventType":"X","XEvent":{"TaskId":"1"}}"#).unwrap();
    let gzip = [("Content-Encoding", "gzip")];
    let reply = program.request("POST", PATH, &gzip, &body.finish().unwrap());
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(home.vodbridge(&["events", "show", "1", "--data"]).stdout, br#"{"TaskId":"1"}"#);
}

#[test]
fn senders_that_do_not_go_on_are_let_go() {
    let yaml = "HTTP , header_timeout: 300ms, body_timeout: 300ms, idle_timeout: 600ms\n";
    let program = Home::new(yaml).start();
    for (name, bytes, status) in [
        ("no header", String::new(), None),
        ("half a header", format!("POST {PATH} HTTP/1.1\r\nHost: "), None),
        (
            "half a body",
            format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{"),
            Some(408),
        ),
    ] {
        let mut stream = connect(program.callbacks);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        assert_eq!(reply(&mut stream).map(|r| r.status), status, "{name}");
    }
    // Idle after a request: closed as well, and only then.
    let mut stream = connect(program.callbacks);
    let get = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n");
    for _ in 0..2 {
        stream.write_all(get.as_bytes()).unwrap();
        assert_eq!(reply(&mut stream).unwrap().status, 405);
    }
    let idle = tokio::time::Instant::now();
    assert!(reply(&mut stream).is_none());
    assert!(idle.elapsed() >= Duration::from_millis(500), "{:?}", idle.elapsed());
}

#[test]
fn hostility_costs_no_memory_that_stays() {
    let program = protected().start();
    let batter = |program: &Program| {
        for (_, body) in bodies() {
            for path in [PATH, TOKEN] {
                program.post(path, &body);
            }
        }
        program.post(TOKEN, &vec![b'x'; 15 * 1024 * 1024]);
    };
    // The allocator may keep one large body's room for the next, on each thread that had one.
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let kept_kib = threads * 16 * 1024;
    batter(&program);
    let before = program.memory_kib("VmRSS");
    for _ in 0..10 {
        batter(&program);
    }
    // It gives back by and by, while it is asked for more.
    let began = tokio::time::Instant::now();
    let mut after = program.memory_kib("VmRSS");
    while after >= before + kept_kib + 8 * 1024 {
        assert!(began.elapsed() < PATIENCE, "{before} KiB before, {after} KiB after");
        program.post(PATH, b"{}");
        after = program.memory_kib("VmRSS");
    }
}
