use std::time::Duration;

use vodbridge_vod::sign::{SignError, WINDOW, compute, verify};

use crate::support::sample;

const KEY: &str = "Abc123XYZ789";
const T: i64 = 1_767_226_200;

#[derive(serde::Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(serde::Deserialize)]
struct Vector {
    sign_key: String,
    t: i64,
    sign: String,
}

#[test]
fn the_vectors_hold() {
    let Vectors { vectors } = serde_json::from_slice(&sample("callback-sign-md5.json")).unwrap();
    for Vector { sign_key, t, sign } in vectors {
        assert_eq!(compute(&sign_key, t), sign);
        assert_eq!(verify([&sign_key], &sign, t, t - 600, WINDOW), Ok(()));
        assert_eq!(verify([&sign_key], &sign.to_uppercase(), t, t - 600, WINDOW), Ok(()));
    }
}

#[test]
fn any_of_the_keys_will_do_and_no_other() {
    let sign = compute(KEY, T);
    for (keys, holds) in [
        (vec![KEY], true),
        (vec!["old", KEY], true),
        (vec![KEY, "new"], true),
        (vec!["old", "new"], false),
        (vec!["abc123xyz789"], false),
        (vec![""], false),
        (vec![], false),
    ] {
        assert_eq!(verify(&keys, &sign, T, T, WINDOW).is_ok(), holds, "{keys:?}");
    }
}

#[test]
fn only_a_whole_md5_is_compared() {
    let sign = compute(KEY, T);
    for bad in
        ["", "7", &sign[..31], &sign[..30], &format!("{sign}0"), &"g".repeat(32), &"é".repeat(16)]
    {
        assert_eq!(verify([KEY], bad, T, T, WINDOW), Err(SignError::Mismatch), "{bad}");
    }
    for i in 0..32 {
        let mut changed = sign.clone().into_bytes();
        changed[i] = if changed[i] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(verify([KEY], &changed, T, T, WINDOW), Err(SignError::Mismatch), "{changed}");
    }
    assert_eq!(verify([KEY], &sign, T + 1, T, WINDOW), Err(SignError::Mismatch));
}

#[test]
fn t_lies_between_now_and_the_window() {
    let window = Duration::from_secs(900);
    for (t, now, outcome) in [
        (T, T, Ok(())),
        (T, T - 900, Ok(())),
        (T, T + 1, Err(SignError::Expired { seconds: 1 })),
        (T, T - 901, Err(SignError::TooFarAhead { seconds: 901, window })),
        (i64::MIN, i64::MAX, Err(SignError::Expired { seconds: u64::MAX })),
        (i64::MAX, i64::MIN, Err(SignError::TooFarAhead { seconds: u64::MAX, window })),
    ] {
        assert_eq!(verify([KEY], &compute(KEY, t), t, now, window), outcome);
    }
}

#[test]
fn the_clock_is_told_only_to_who_has_a_key() {
    let sign = compute("guessed", T);
    assert_eq!(verify([KEY], &sign, T, T + 1, WINDOW), Err(SignError::Mismatch));
}
