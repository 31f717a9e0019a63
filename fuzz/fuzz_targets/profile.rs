//! Any text is a profile or an error, and the error shows no line of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vodbridge_vod::credentials::profile::{ProfileError, parse};

fuzz_target!(|input: (&str, &str)| {
    let (text, section) = input;
    match parse(text, section) {
        Ok(profile) => {
            assert!(!profile.secret_id.is_empty() && !profile.secret_key.is_empty());
            assert!(text.contains(&profile.secret_id) && text.contains(&profile.secret_key));
            assert!(!format!("{profile:?}").contains("secret_key"));
        }
        Err(ProfileError::Line(line) | ProfileError::Twice(line)) => {
            assert!((1..=text.lines().count()).contains(&line));
        }
        Err(ProfileError::NoSection(name) | ProfileError::Missing { section: name, .. }) => {
            assert_eq!(name, section);
        }
    }
});
