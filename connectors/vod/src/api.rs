//! The API's five event actions: what is asked and what is answered (SDK 3.1.194, version
//! 2018-07-17). Pure: a client asks, a simulator answers.
//!
//! Members that are not known are passed over, and null is like absent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The header `X-TC-Version`.
pub const VERSION: &str = "2018-07-17";

/// The most events that one PullEvents brings, and the most handles that one ConfirmEvents takes.
pub const EVENTS_MAX: usize = 16;

/// What the API is asked to do: the header `X-TC-Action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::enum_variant_names, reason = "these are the vendor's names")]
pub enum Action {
    /// Hands out up to 16 events, which come back after 30 s unless they are confirmed. Waits up
    /// to 5 s for some. An empty queue is the error `ResourceNotFound`.
    PullEvents,
    /// Takes events off the queue by their handles.
    ConfirmEvents,
    /// Tells how many events wait, some minutes late.
    DescribeEventsState,
    /// Tells mode, URL and switches.
    DescribeEventConfig,
    /// Changes mode, URL, switches or sign key.
    ModifyEventConfig,
}

/// The request of PullEvents, DescribeEventsState and DescribeEventConfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OfApplication {
    /// The application. Accounts from before 2023-12-25 leave it out for their default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_app_id: Option<u64>,
}

/// The request of ConfirmEvents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfirmEvents {
    /// At most [`EVENTS_MAX`].
    pub event_handles: Vec<String>,
    /// As in the PullEvents that brought them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_app_id: Option<u64>,
}

/// The reply of DescribeEventsState.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EventsState {
    /// Events that wait to be pulled, about.
    pub count_of_events_to_pull: Option<u64>,
}

/// The reply of DescribeEventConfig, and without `SubAppId` and `SignKey` the request of
/// ModifyEventConfig: what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EventConfig {
    /// `PUSH` or `PULL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The callback URL; an empty one is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_url: Option<String>,
    /// Whether NewFileUpload is sent: `ON` or `OFF`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_media_complete_event_switch: Option<String>,
    /// Whether FileDeleted is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_media_complete_event_switch: Option<String>,
    /// Whether PersistenceComplete is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence_complete_event_switch: Option<String>,
}

/// The request of ModifyEventConfig.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyEventConfig {
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_app_id: Option<u64>,
    /// What is to be from now on.
    #[serde(flatten)]
    pub config: EventConfig,
    /// The key that callbacks are signed with. DescribeEventConfig never tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_key: Option<String>,
}

/// The error of a reply. Its code is stable, its message is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "PascalCase", default)]
#[error("{code}: {message} (request {request_id})")]
pub struct ApiError {
    /// `AuthFailure.SignatureExpire`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Names the call towards the vendor's support.
    #[serde(skip)]
    pub request_id: String,
}

// === impl Action ===

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PullEvents,
        Self::ConfirmEvents,
        Self::DescribeEventsState,
        Self::DescribeEventConfig,
        Self::ModifyEventConfig,
    ];

    /// As the header has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PullEvents => "PullEvents",
            Self::ConfirmEvents => "ConfirmEvents",
            Self::DescribeEventsState => "DescribeEventsState",
            Self::DescribeEventConfig => "DescribeEventConfig",
            Self::ModifyEventConfig => "ModifyEventConfig",
        }
    }

    /// How many calls of it a second an account may make by default.
    pub fn calls_per_second(self) -> u32 {
        match self {
            Self::PullEvents | Self::ConfirmEvents => 100,
            Self::DescribeEventsState | Self::DescribeEventConfig | Self::ModifyEventConfig => 20,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Without the sign key.
impl fmt::Debug for ModifyEventConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModifyEventConfig")
            .field("sub_app_id", &self.sub_app_id)
            .field("config", &self.config)
            .field("sign_key", &self.sign_key.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}
