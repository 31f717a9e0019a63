use std::fmt;

use vodbridge_core::{InvalidTopic, TOPIC_LEN_MAX, Topic};

/// The longest event type that a topic has room for, in bytes; a longer one is cut to it before
/// it gets here.
pub const EVENT_TYPE_LEN_MAX: usize = 64;

/// How a topic is made of an event: text with `{event_type}`, `{application}` and
/// `{sub_app_id}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    EventType,
    Application,
    SubAppId,
}

/// Why a text is no [`TopicTemplate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A brace that is not closed, or was not opened.
    #[error("a brace has no partner")]
    Brace,
    /// A placeholder that nothing fills.
    #[error(
        "unknown placeholder {{{0}}}, expected one of {{event_type}}, {{application}}, \
         {{sub_app_id}}"
    )]
    Placeholder(String),
    /// The text between the placeholders is not a topic's.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
}

// === impl TopicTemplate ===

impl TopicTemplate {
    /// Checks a template.
    ///
    /// # Errors
    ///
    /// When it could make something else than a valid topic.
    pub fn new(text: &str) -> Result<Self, InvalidTemplate> {
        let template = Self(parts(text)?);
        template.render(&"E".repeat(EVENT_TYPE_LEN_MAX), "a", Some("1"))?;
        Ok(template)
    }

    /// The topic of an event. `event_type` is made of topic characters already
    /// ([`Topic::token`]) and at most [`EVENT_TYPE_LEN_MAX`] bytes. Without a `sub_app_id` its
    /// place is taken by `_`; configuration refuses that for every application it knows.
    ///
    /// # Errors
    ///
    /// When `event_type` is not what it should be.
    pub fn render(
        &self,
        event_type: &str,
        application: &str,
        sub_app_id: Option<&str>,
    ) -> Result<Topic, InvalidTopic> {
        let mut topic = String::with_capacity(TOPIC_LEN_MAX);
        for part in &self.0 {
            match part {
                Part::Literal(text) => topic.push_str(text),
                Part::EventType => topic.push_str(event_type),
                Part::Application => topic.push_str(application),
                Part::SubAppId => topic.push_str(sub_app_id.unwrap_or("_")),
            }
        }
        Topic::new(topic)
    }

    /// Whether it needs a `sub_app_id`.
    pub fn needs_sub_app_id(&self) -> bool {
        self.0.contains(&Part::SubAppId)
    }

    /// Whether all events of all applications get one topic.
    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::EventType => f.write_str("{event_type}"),
            Part::Application => f.write_str("{application}"),
            Part::SubAppId => f.write_str("{sub_app_id}"),
        })
    }
}

fn parts(text: &str) -> Result<Vec<Part>, InvalidTemplate> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, tail)) = rest.split_once('{') {
        let (name, tail) = tail.split_once('}').ok_or(InvalidTemplate::Brace)?;
        push_literal(&mut parts, literal)?;
        parts.push(match name {
            "event_type" => Part::EventType,
            "application" => Part::Application,
            "sub_app_id" => Part::SubAppId,
            _ => return Err(InvalidTemplate::Placeholder(name.to_owned())),
        });
        rest = tail;
    }
    push_literal(&mut parts, rest)?;
    Ok(parts)
}

fn push_literal(parts: &mut Vec<Part>, text: &str) -> Result<(), InvalidTemplate> {
    if text.contains('}') {
        return Err(InvalidTemplate::Brace);
    }
    if !text.is_empty() {
        parts.push(Part::Literal(text.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        for (template, topic) in [
            ("vod.{event_type}", "vod.NewFileUpload"),
            ("{application}.{event_type}", "movies.NewFileUpload"),
            ("vod-{sub_app_id}", "vod-1500012345"),
            ("vod", "vod"),
            ("{event_type}", "NewFileUpload"),
        ] {
            let template = TopicTemplate::new(template).unwrap();
            let rendered = template.render("NewFileUpload", "movies", Some("1500012345"));
            assert_eq!(rendered.unwrap().as_str(), topic);
        }
    }

    #[test]
    fn a_template_is_shown_as_it_was_written() {
        let text = "{application}.vod-{sub_app_id}.{event_type}";
        assert_eq!(TopicTemplate::new(text).unwrap().to_string(), text);
    }

    #[test]
    fn a_template_that_could_make_an_invalid_topic_is_refused() {
        for template in [
            "",
            "vod.",
            "vod..{event_type}",
            "vod.*",
            "vod {event_type}",
            "{type}",
            "{}",
            "{event_type",
            "event_type}",
            "{{event_type}}",
            &format!("{}.{{event_type}}", "a".repeat(190)),
        ] {
            assert!(TopicTemplate::new(template).is_err(), "{template:?}");
        }
    }
}
