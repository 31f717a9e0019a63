use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderValue;

/// What is worth telling: a fifth of the five minutes at which VOD refuses requests.
const WORTH_TELLING: Duration = Duration::from_secs(60);

const UNKNOWN: i64 = i64::MIN;

/// How far this machine's clock is from VOD's, by the header `Date` of its replies (RFC 9110,
/// section 6.6.1: whole seconds).
#[derive(Debug)]
pub struct Skew(AtomicI64);

impl Default for Skew {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

// === impl Skew ===

impl Skew {
    /// Seconds that this machine's clock is ahead, negative when it is behind; `None` until VOD
    /// has answered.
    pub fn seconds(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds != UNKNOWN)
    }

    /// The same where it is so large that a person should set the clock.
    pub fn too_large(&self) -> Option<i64> {
        self.seconds().filter(|seconds| seconds.unsigned_abs() >= WORTH_TELLING.as_secs())
    }

    pub(super) fn note(&self, date: Option<&HeaderValue>, now: SystemTime) {
        let Some(theirs) =
            date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        else {
            return;
        };
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            i64::try_from(since).unwrap_or(i64::MAX)
        };
        self.0.store(seconds(now).saturating_sub(seconds(theirs)), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_by_a_minute_is_told() {
        let skew = Skew::default();
        assert_eq!(skew.seconds(), None);
        let date = HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
        let theirs = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        for (ahead, told) in [(0, None), (59, None), (600, Some(600))] {
            skew.note(Some(&date), theirs + Duration::from_secs(ahead));
            assert_eq!(skew.too_large(), told);
        }
        skew.note(Some(&date), theirs - Duration::from_secs(600));
        assert_eq!(skew.too_large(), Some(-600));
        skew.note(Some(&HeaderValue::from_static("soon")), theirs);
        skew.note(None, theirs);
        assert_eq!(skew.seconds(), Some(-600));
    }
}
