//! The signature of callbacks: `Sign` is the MD5 of the sign key and `T` in decimal, as hex
//! digits; `T` is when it expires (ModifyEventConfig, parameter SignKey).
//!
//! It says that the sender knows the key, and nothing of the body: whoever sees one pair of
//! `Sign` and `T` can send any body with it until `T`.

use std::time::Duration;

use md5::{Digest as _, Md5};
use subtle::{Choice, ConstantTimeEq as _};

/// How far ahead `T` may lie by default. VOD sets it 10 minutes ahead.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It was made with none of the keys, or for another `T`, or is no MD5.
    #[error("Sign was not made with a sign key of this application for this T")]
    Mismatch,
    /// `T` has passed.
    #[error("the signature expired {seconds} s ago; check the clocks if callbacks come at once")]
    Expired {
        /// How long ago.
        seconds: u64,
    },
    /// `T` lies so far ahead that the pair could be replayed for too long.
    #[error("T is {seconds} s ahead, more than the {} s that are accepted", window.as_secs())]
    TooFarAhead {
        /// How far.
        seconds: u64,
        /// How far it may.
        window: Duration,
    },
}

/// The signature of `t`, in Unix seconds, under a key: 32 lower-case hex digits.
pub fn compute(key: &str, t: i64) -> String {
    use std::fmt::Write as _;

    let mut hex = String::with_capacity(32);
    for byte in md5(key, t) {
        write!(hex, "{byte:02x}").expect("a String takes everything");
    }
    hex
}

/// Checks that `sign` was made for `t` with one of the keys, and that `t` lies between `now`
/// (both in Unix seconds, inclusive) and `window` later.
///
/// Takes the same time whichever key fits and wherever the signature differs.
///
/// # Errors
///
/// See [`SignError`]; without any key, [`SignError::Mismatch`]. How `t` relates to the clock is
/// told only to who has a key.
pub fn verify<K: AsRef<str>>(
    keys: impl IntoIterator<Item = K>,
    sign: &str,
    t: i64,
    now: i64,
    window: Duration,
) -> Result<(), SignError> {
    let sign = unhex(sign).ok_or(SignError::Mismatch)?;
    let none = Choice::from(0);
    let fits = keys.into_iter().fold(none, |fits, key| fits | md5(key.as_ref(), t).ct_eq(&sign));
    if !bool::from(fits) {
        return Err(SignError::Mismatch);
    }
    let seconds = t.abs_diff(now);
    if t < now {
        Err(SignError::Expired { seconds })
    } else if seconds > window.as_secs() {
        Err(SignError::TooFarAhead { seconds, window })
    } else {
        Ok(())
    }
}

fn md5(key: &str, t: i64) -> [u8; 16] {
    Md5::new().chain_update(key).chain_update(t.to_string()).finalize().into()
}

/// 32 hex digits of any case.
fn unhex(digits: &str) -> Option<[u8; 16]> {
    let digits: &[u8; 32] = digits.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
