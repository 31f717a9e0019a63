#![no_main]

use libfuzzer_sys::fuzz_target;
use vodbridge::config::{Config, Place};

fuzz_target!(|text: &str| {
    let Err(errors) = Config::from_yaml(text) else { return };
    assert!(!errors.problems().is_empty());
    let lines = text.lines().count().max(1) + 1;
    for problem in errors.problems() {
        if let Place::File { line, .. } = &problem.place {
            assert!(usize::try_from(*line).unwrap() <= lines, "{problem}");
        }
    }
});
