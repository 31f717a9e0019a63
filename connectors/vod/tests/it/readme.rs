use vodbridge_vod::catalogue;

use crate::support::home;

#[test]
fn the_table_in_the_readme_is_the_catalogue() {
    let readme = std::fs::read_to_string(home().join("README.md")).unwrap();
    assert!(
        readme.contains(&catalogue::markdown()),
        "README.md is stale; put in what `cargo run -p vodbridge-vod --example catalogue` prints"
    );
}
