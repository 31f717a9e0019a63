//! The page: files that are in the program, so that it works where there is no internet.

use hyper::StatusCode;

use super::answer::{response, sealed};
use crate::http::Response;

const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The file at a path.
pub(super) fn file(path: &str) -> Option<Response> {
    let (_, content_type, text) = FILES.iter().find(|(known, _, _)| *known == path)?;
    Some(sealed(response(StatusCode::OK, content_type, *text)))
}
