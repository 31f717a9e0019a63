//! `/api/`: what is behind the page, as JSON.
//!
//! ```text
//! GET    /api/state                          what goes on
//! GET    /api/events          /dead-letters  the newest rows, without payloads
//! GET    /api/events/h12      /dead-letters/3          one; its payload with the token
//! POST   /api/events/h12/replay   /dead-letters/3/replay   sends it again; with the token
//! DELETE /api/dead-letters/3                 removes it; with the token
//! ```

use hyper::body::{Body, Incoming};
use hyper::header::ALLOW;
use hyper::{Method, Request, StatusCode};

use super::View;
use super::access::{Access, refuse_other_sites};
use super::answer::{Refusal, json};
use crate::http::Response;
use crate::records::{Of, Place};

const NOTHING: &str = "here are /api/state, /api/events and /api/dead-letters";

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    State,
    List(Of),
    One(Of, Place),
    Replay(Of, Place),
}

// === impl View ===

impl View {
    /// Answers a request below `/api/`.
    pub(super) async fn api(&self, request: Request<Incoming>) -> Response {
        self.answer(&request).await.unwrap_or_else(Response::from)
    }

    async fn answer(&self, request: &Request<Incoming>) -> Result<Response, Refusal> {
        refuse_other_sites(request.uri(), request.headers())?;
        let Some(thing) = Thing::at(request.uri().path()) else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, NOTHING));
        };
        let access = Access::judge(self.desk.token.as_ref(), request.headers())?;
        if !request.body().is_end_stream() {
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "no body is read here"));
        }
        let query = request.uri().query().unwrap_or_default();
        let (desk, is_get) = (&self.desk, matches!(*request.method(), Method::GET | Method::HEAD));
        Ok(match (thing, request.method()) {
            (Thing::State, _) if is_get => json(StatusCode::OK, &self.state(access)),
            (Thing::List(of), _) if is_get => desk.list(of, query, access).await?,
            (Thing::One(of, place), _) if is_get => desk.one(of, place, access).await?,
            (Thing::One(Of::DeadLetters, place), &Method::DELETE) => {
                access.demand()?;
                desk.remove(place).await?
            }
            (Thing::Replay(of, place), &Method::POST) => {
                access.demand()?;
                desk.replay(of, place).await?
            }
            _ => return Err(thing.wrong_method()),
        })
    }
}

// === impl Thing ===

impl Thing {
    fn at(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("/api/")?.split('/');
        let of = match parts.next()? {
            "state" => return parts.next().is_none().then_some(Self::State),
            "events" => Of::Events,
            "dead-letters" => Of::DeadLetters,
            _ => return None,
        };
        let Some(place) = parts.next() else { return Some(Self::List(of)) };
        let place = place.parse().ok()?;
        match (parts.next(), parts.next()) {
            (None, None) => Some(Self::One(of, place)),
            (Some("replay"), None) => Some(Self::Replay(of, place)),
            _ => None,
        }
    }

    fn wrong_method(self) -> Refusal {
        let allowed = match self {
            Self::State | Self::List(_) | Self::One(Of::Events, _) => "GET, HEAD",
            Self::One(Of::DeadLetters, _) => "GET, HEAD, DELETE",
            Self::Replay(..) => "POST",
        };
        let why = format!("expected {allowed}");
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, why).with(ALLOW, allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_thing_or_nothing() {
        let place = |text: &str| text.parse().unwrap();
        for (path, thing) in [
            ("/api/state", Some(Thing::State)),
            ("/api/events", Some(Thing::List(Of::Events))),
            ("/api/events/h12", Some(Thing::One(Of::Events, place("h12")))),
            ("/api/events/12/replay", Some(Thing::Replay(Of::Events, place("12")))),
            ("/api/dead-letters/3", Some(Thing::One(Of::DeadLetters, place("3")))),
            ("/api/state/", None),
            ("/api/events/", None),
            ("/api/events/x", None),
            ("/api/events/-1", None),
            ("/api/events/1/replay/2", None),
            ("/api/events/99999999999999999999", None),
            ("/api/spool", None),
            ("/api/", None),
        ] {
            assert_eq!(Thing::at(path), thing, "{path}");
        }
    }
}
