#![no_main]

use libfuzzer_sys::fuzz_target;
use vodbridge::config::{Config, Place};

fuzz_target!(|text: &str| {
    let Err(errors) = Config::from_yaml(text) else { return };
    assert!(!errors.problems().is_empty());
    // YAML 1.2, 5.4: a carriage return alone ends a line, too.
    let lines = text.matches(['\n', '\r']).count() + 2;
    for problem in errors.problems() {
        if let Place::File { line, .. } = &problem.place {
            assert!(usize::try_from(*line).unwrap() <= lines, "{problem}");
        }
    }
});
