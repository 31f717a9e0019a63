use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;

/// The first second of a year.
fn year(year: i32) -> i64 {
    date_time_ymd(year, 1, 1).unix_timestamp()
}

/// A certificate that ends with the beginning of a year, and its key.
fn make(ends: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(ends, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn write(folder: &Path, (certificate, key): &(String, String)) {
    fs::write(folder.join("key"), key).unwrap();
    fs::write(folder.join("cert"), certificate).unwrap();
}

fn pair(folder: &Path) -> Files {
    Files::Pair { cert_file: folder.join("cert"), key_file: folder.join("key") }
}

fn standing(ends: i32, usable: bool) -> Standing {
    Standing { ends: Some(year(ends)), usable }
}

async fn a_second() {
    tokio::time::advance(LOOK_EVERY).await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_together_leaves_the_last_good_pair() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (make(2030), make(2040));
    write(folder.path(), &old);
    let pair = Certificate::open("x".to_owned(), pair(folder.path())).unwrap();
    let first = pair.key().unwrap();
    assert_eq!(pair.standing(year(2026)), standing(2030, true));

    // A key without its certificate, half a certificate, none at all.
    let half = &new.0[..new.0.len() / 2];
    for (certificate, key) in [(old.0.as_str(), &new.1), (half, &new.1), ("", &new.1)] {
        fs::write(folder.path().join("key"), key).unwrap();
        fs::write(folder.path().join("cert"), certificate).unwrap();
        a_second().await;
        assert!(Arc::ptr_eq(&pair.key().unwrap(), &first));
        assert_eq!(pair.standing(year(2026)), standing(2030, false));
    }
    fs::remove_file(folder.path().join("key")).unwrap();
    a_second().await;
    assert_eq!(pair.standing(year(2026)), standing(2030, false));

    write(folder.path(), &new);
    a_second().await;
    assert!(!Arc::ptr_eq(&pair.key().unwrap(), &first));
    assert_eq!(pair.standing(year(2026)), standing(2040, true));
}

#[test]
fn a_chain_ends_with_the_first_of_its_certificates() {
    let folder = TempDir::new().unwrap();
    let (leaf, above) = (make(2040), make(2035));
    write(folder.path(), &(leaf.0 + &above.0, leaf.1));
    let pair = Certificate::open("x".to_owned(), pair(folder.path())).unwrap();
    assert_eq!(pair.standing(year(2026)), standing(2035, true));
}

#[test]
fn authorities_that_have_ended_do_not_hide_the_one_that_ends_next() {
    let folder = TempDir::new().unwrap();
    let ca_file = folder.path().join("ca");
    let bundle = [2022, 2045, 2031].map(|ends| make(ends).0).concat();
    fs::write(&ca_file, bundle).unwrap();
    let all = Certificate::watch("x".to_owned(), Files::Authorities { ca_file });
    assert_eq!(all.standing(year(2026)), standing(2031, true));
    assert_eq!(all.standing(year(2032)), standing(2045, true));
    assert_eq!(all.standing(year(2050)), standing(2045, true));
}

#[tokio::test(start_paused = true)]
async fn what_is_bad_at_first_is_watched_until_it_is_good() {
    let folder = TempDir::new().unwrap();
    assert!(Certificate::open("x".to_owned(), pair(folder.path())).is_err());
    let pair = Certificate::watch("x".to_owned(), pair(folder.path()));
    assert_eq!(pair.standing(0), Standing { ends: None, usable: false });
    write(folder.path(), &make(2030));
    a_second().await;
    assert_eq!(pair.standing(0), standing(2030, true));
}
