mod bridge;
mod connector;
mod event;
mod log;
mod otlp;
mod pulling;
mod scrape;
mod spooled;

pub(crate) use bridge::{Bridge, PUBLISH_TIMEOUT, Setup, soon};
pub(crate) use connector::{Answer, Fake};
pub(crate) use event::{arrives_as, event, known_by_content, of_type, topic};
pub(crate) use log::Log;
pub(crate) use otlp::{Otlp, Seen};
pub(crate) use pulling::Pulling;
pub(crate) use scrape::Scrape;
pub(crate) use spooled::Spooled;
