use std::time::Duration;

use tokio::time::sleep;
use vodbridge_core::Backoff;
use vodbridge_vod::api::{Action, EventConfig, EventsState, OfApplication};
use vodbridge_vod::client::{Answered, CallError, Client};
use vodbridge_vod::reaction::Reaction;

/// How often a call is tried that VOD itself is in the way of.
const ATTEMPTS: u32 = 3;

/// What VOD is set to do with the events of an application.
#[derive(Clone, Debug)]
pub struct Look {
    /// Mode, callback URL and switches.
    pub config: EventConfig,
    /// Events that wait in the queue, as VOD counts them some minutes late.
    pub queue: Option<u64>,
    /// Seconds that this machine's clock is ahead of VOD's, if they are many.
    pub clock_seconds_ahead: Option<i64>,
}

/// Asks VOD, and changes nothing.
///
/// # Errors
///
/// What the last of a few attempts failed with.
pub async fn look(client: &Client, sub_app_id: Option<u64>) -> Result<Look, CallError> {
    let request = OfApplication { sub_app_id };
    let config = patiently(client, Action::DescribeEventConfig, &request).await?;
    let state = patiently(client, Action::DescribeEventsState, &request).await?;
    // Members of another kind than they are documented with tell nothing.
    Ok(Look {
        config: config.reply.read().unwrap_or_default(),
        queue: state.reply.read::<EventsState>().ok().and_then(|s| s.count_of_events_to_pull),
        clock_seconds_ahead: client.skew().too_large(),
    })
}

async fn patiently(
    client: &Client,
    action: Action,
    request: &OfApplication,
) -> Result<Answered, CallError> {
    let mut backoff = Backoff::between(Duration::from_millis(500), Duration::from_secs(2));
    let mut attempt = 1;
    loop {
        match client.call(action, request).await {
            Err(why) if attempt < ATTEMPTS && is_passing(&why) => sleep(backoff.next_wait()).await,
            answer => return answer,
        }
        attempt += 1;
    }
}

fn is_passing(why: &CallError) -> bool {
    match why.reaction() {
        Reaction::SlowDown | Reaction::Retry | Reaction::Renew => true,
        Reaction::Empty | Reaction::Operator | Reaction::TooLate => false,
    }
}
