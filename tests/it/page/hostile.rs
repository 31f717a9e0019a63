//! What no page of ours asks.

use super::stage::{Stage, TOKEN};
use crate::program::raw;

const WITH_TOKEN: &str = ", token: a-token-of-the-operators";

#[test]
fn other_methods_bodies_and_paths_are_refused_and_change_nothing() {
    let stage = Stage::set(WITH_TOKEN);
    for (method, path, status) in [
        ("POST", "/api/state", 405),
        ("PUT", "/api/events", 405),
        ("DELETE", "/api/events/h1", 405),
        ("DELETE", "/api/dead-letters", 405),
        ("GET", "/api/dead-letters/1/replay", 405),
        ("PUT", "/api/dead-letters/1/replay", 405),
        ("OPTIONS", "/api/dead-letters/1/replay", 405),
        ("TRACE", "/api/state", 405),
        ("PATCH", "/api/dead-letters/1", 405),
        ("GET", "/api/dead-letters/h1", 404),
        ("GET", "/api/dead-letters/9", 404),
        ("GET", "/api/events/../state", 404),
        ("GET", "/api/spool", 404),
        ("GET", "/api//state", 404),
        ("GET", "/page.js.map", 404),
        ("GET", "/../../etc/passwd", 404),
        ("POST", "/", 405),
        ("DELETE", "/page.js", 405),
        ("POST", "/metrics", 405),
    ] {
        assert_eq!(stage.ask(method, path, Some(TOKEN)).status, status, "{method} {path}");
    }
    for query in ["limit=101", "limit=0", "limit=x", "order=up", "file=%FF", "limit=5&since=now"] {
        let reply = stage.get(&format!("/api/events?{query}"), None);
        assert_eq!(reply.status, 400, "{query}");
    }
    assert_eq!(
        stage.get("/api/dead-letters?limit=1", None).json()["rows"].as_array().unwrap().len(),
        1
    );
    for kind in
        ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
    {
        let request = format!(
            "POST /api/dead-letters/1/replay HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Bearer {TOKEN}\r\nContent-Type: {kind}\r\nContent-Length: 3\r\n\r\na=b"
        );
        let reply = raw(stage.program.admin, request.as_bytes()).unwrap();
        assert_eq!(reply.status, 413, "{kind}");
    }
    assert_eq!(stage.rows("/api/dead-letters", 2).len(), 2);
}

#[test]
fn requests_of_other_sites_are_refused_with_the_token_as_well() {
    let stage = Stage::set(WITH_TOKEN);
    let bearer = format!("Bearer {TOKEN}");
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://x.evil.example"),
        ("Origin", "x"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        for (method, path) in [("GET", "/api/state"), ("POST", "/api/dead-letters/1/replay")] {
            let headers = [("Authorization", bearer.as_str()), (name, value)];
            let reply = stage.program.ask(method, path, &headers);
            assert_eq!(reply.status, 403, "{method} {path} with {name}: {value}");
            assert!(!reply.head.to_lowercase().contains("access-control"), "{}", reply.head);
        }
    }
    for (name, value) in [
        ("Origin", "http://x"),
        ("Origin", "https://X"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Site", "none"),
    ] {
        let reply = stage.program.ask("GET", "/api/state", &[(name, value)]);
        assert_eq!(reply.status, 200, "{name}: {value}");
    }
    assert_eq!(stage.rows("/api/dead-letters", 2).len(), 2);
}

#[test]
fn the_page_is_four_files_that_ask_for_nothing_else() {
    let stage = Stage::set("");
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let reply = stage.get(path, None);
        let head = reply.head.to_lowercase();
        assert_eq!(reply.status, 200, "{path}");
        assert!(head.contains(&format!("content-type: {content_type}")), "{head}");
        for part in [
            "default-src 'none'; script-src 'self'; style-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(part), "{path}: {part} is missing in {head}");
        }
        assert!(!head.contains("unsafe"), "{head}");
        let body = reply.body.replace("http://www.w3.org/2000/svg", "");
        for never in [
            "http://",
            "https://",
            "//cdn",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            " style=\"",
            " onclick",
            "@import",
        ] {
            assert!(!body.contains(never), "{path} has {never}");
        }
    }
    let html = stage.get("/", None).body;
    assert_eq!(
        html.matches("<script").count(),
        html.matches("<script src=\"page.js\" defer></script>").count()
    );
    for (path, body) in [("/livez", "alive\n"), ("/readyz", "{\n"), ("/metrics", "# HELP")] {
        let reply = stage.get(path, None);
        assert!(reply.body.starts_with(body), "{path}: {}", reply.body);
    }
}
