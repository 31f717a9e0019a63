use vodbridge_vod::{catalogue, reaction};

use crate::support::home;

#[test]
fn the_table_in_the_readme_is_the_catalogue() {
    let readme = std::fs::read_to_string(home().join("README.md")).unwrap();
    assert!(
        readme.contains(&catalogue::markdown()),
        "README.md is stale; put in what `cargo run -p vodbridge-vod --example catalogue` prints"
    );
}

#[test]
fn the_errors_in_the_readme_are_those_of_the_table() {
    let readme = std::fs::read_to_string(home().join("README.md")).unwrap();
    assert!(
        readme.contains(&reaction::markdown()),
        "README.md is stale; put in what `cargo run -p vodbridge-vod --example errors` prints"
    );
}
