//! What was signed holds inside its window, and nothing else does.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use vodbridge_vod::sign::{SignError, compute, verify};

fuzz_target!(|input: (&str, &str, &str, i64, i64, u32)| {
    let (key, other, sign, t, now, window) = input;
    let window = Duration::from_secs(window.into());
    let signed = compute(key, t);
    let inside = t >= now && t.abs_diff(now) <= window.as_secs();
    for written in [signed.clone(), signed.to_uppercase()] {
        assert_eq!(verify([other, key], &written, t, now, window).is_ok(), inside);
        assert_eq!(verify([key, other], &written, t, now, window).is_ok(), inside);
    }
    if !sign.eq_ignore_ascii_case(&signed) {
        assert_eq!(verify([key], sign, t, now, window), Err(SignError::Mismatch));
    }
    let nobody: [&str; 0] = [];
    assert_eq!(verify(nobody, &signed, t, now, window), Err(SignError::Mismatch));
});
