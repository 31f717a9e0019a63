//! What lapin's errors mean, and reasons that more than one event is told.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use lapin::ErrorKind;
use vodbridge_core::Unavailable;

/// Reply codes of AMQP 0.9.1, section 1.2 of its generated reference.
pub(crate) mod reply {
    pub(crate) const ACCESS_REFUSED: u16 = 403;
    pub(crate) const NOT_FOUND: u16 = 404;
    pub(crate) const PRECONDITION_FAILED: u16 = 406;
    pub(crate) const NOT_ALLOWED: u16 = 530;
    pub(crate) const NOT_IMPLEMENTED: u16 = 540;
}

/// Why nothing goes at the moment, for any number of events.
#[derive(Clone, Debug)]
pub(crate) struct Reason(Arc<Unavailable>);

/// The cause of a [`Reason`], shared.
#[derive(Debug)]
struct Shared(Arc<Unavailable>);

// === impl Reason ===

impl Reason {
    /// The same, for one of those who ask.
    pub(crate) fn tell(&self) -> Unavailable {
        let Unavailable { cause, message, advice, source } = &*self.0;
        let source = source.as_ref().map(|_| Shared(Arc::clone(&self.0)).into());
        Unavailable { cause: *cause, message: message.clone(), advice: advice.clone(), source }
    }
}

impl From<Unavailable> for Reason {
    fn from(unavailable: Unavailable) -> Self {
        Self(Arc::new(unavailable))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        let mut source = Error::source(&*self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Shared {
    fn error(&self) -> Option<&(dyn Error + 'static)> {
        Error::source(&*self.0)
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().map_or(Ok(()), |error| fmt::Display::fmt(error, f))
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error().and_then(Error::source)
    }
}

/// The code with which the broker closed a channel or the connection, if it did.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    // Only one kind of many carries a code; lapin says of the list that it is not stable.
    if let ErrorKind::ProtocolError(error) = error.kind() { Some(error.get_id()) } else { None }
}

/// What the broker said when it closed a channel or the connection.
pub(crate) fn reply_text(error: &lapin::Error) -> Option<&str> {
    if let ErrorKind::ProtocolError(error) = error.kind() {
        Some(error.get_message().as_str())
    } else {
        None
    }
}

/// The body and the limit in bytes, from what the broker says of a message that is too large.
///
/// rabbit_channel.erl: "message size ~B is larger than configured max size ~B", or "than max
/// size ~B" where nothing was configured.
pub(crate) fn too_large(error: &lapin::Error) -> Option<(usize, usize)> {
    if reply_code(error) != Some(reply::PRECONDITION_FAILED) {
        return None;
    }
    sizes(reply_text(error)?)
}

/// Of which topic the broker says, when it closes a channel, that the user may not publish to it;
/// of no topic where all of the exchange is refused.
///
/// rabbit_access_control.erl: "access to topic '~s' in exchange ~s refused for user '~s'", in
/// newer ones "write access to topic ...".
pub(crate) fn refused_topic(error: &lapin::Error) -> Option<RefusedTopic<'_>> {
    if reply_code(error) != Some(reply::ACCESS_REFUSED) {
        return None;
    }
    topic(reply_text(error)?)
}

fn topic(text: &str) -> Option<RefusedTopic<'_>> {
    let (_, what) = text.split_once("access to ")?;
    what.strip_prefix("topic '").map(RefusedTopic)
}

/// What the broker says from the topic on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedTopic<'a>(&'a str);

// === impl RefusedTopic ===

impl RefusedTopic<'_> {
    /// Whether it may be this one.
    pub(crate) fn is(self, topic: &str) -> bool {
        let is_whole = self.0.strip_prefix(topic).is_some_and(|rest| rest.starts_with('\''));
        // The broker cuts what it says at 255 bytes, and a topic may have 249.
        is_whole || self.0.strip_suffix("...").is_some_and(|cut| topic.starts_with(cut))
    }
}

fn sizes(text: &str) -> Option<(usize, usize)> {
    let (_, rest) = text.split_once("message size ")?;
    let (size, rest) = rest.split_once(' ')?;
    let (_, limit) = rest.split_once("max size ")?;
    let limit = limit.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((size.parse().ok()?, limit.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_where_the_broker_says_them() {
        let said =
            "PRECONDITION_FAILED - message size 5000 is larger than configured max size 4096";
        assert_eq!(sizes(said), Some((5000, 4096)));
        assert_eq!(sizes("message size 5 is larger than max size 4."), Some((5, 4)));
        assert_eq!(sizes("PRECONDITION_FAILED - inequivalent arg 'durable'"), None);
        assert_eq!(sizes("message size 99999999999999999999999 is larger than max size 4"), None);
    }

    #[test]
    fn a_refused_topic_is_told_from_its_neighbours_and_from_an_exchange() {
        let before = "ACCESS_REFUSED - access to topic '";
        for text in [
            format!("{before}vod.X' in exchange 'vod' in vhost '/' refused for user 'bridge'"),
            "ACCESS_REFUSED - write access to topic 'vod.X' in exchange 'vod' in vhost '/' ..."
                .to_owned(),
        ] {
            let refused = topic(&text).unwrap();
            assert!(refused.is("vod.X"), "{text}");
            for other in ["vod.XY", "vod", "vod.Y", "X"] {
                assert!(!refused.is(other), "{other}: {text}");
            }
        }
        let long = "x".repeat(249);
        let cut = format!("{before}{}...", &long[..200]);
        assert!(topic(&cut).unwrap().is(&long) && !topic(&cut).unwrap().is("vod.X"));
        for text in [
            "ACCESS_REFUSED - access to exchange 'vod' in vhost '/' refused for user 'bridge'",
            "ACCESS_REFUSED - access to exchange 'access to topic 'vod.X'' in vhost '/' refused",
            "ACCESS_REFUSED",
        ] {
            assert!(topic(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_reason_told_twice_keeps_its_cause() {
        let cause = std::io::Error::other("connection refused");
        let reason =
            Reason::from(Unavailable::outage("no broker").advise("start").caused_by(cause));
        for told in [reason.tell(), reason.tell()] {
            assert_eq!(told.to_string(), "no broker");
            assert_eq!(told.advice.as_deref(), Some("start"));
            assert_eq!(told.source().unwrap().to_string(), "connection refused");
        }
        assert_eq!(reason.to_string(), "no broker: connection refused");
    }
}
