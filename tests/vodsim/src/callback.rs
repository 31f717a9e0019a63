//! Normal callbacks: numbered `NewFileUpload` events, and the side of VOD that POSTs them.
//!
//! A callback is known by its number alone: the same number is always the same bytes, so a test
//! that knows which numbers were confirmed can look for exactly those at the other end.

mod connection;
mod report;
mod sender;

pub(crate) use connection::Connection;
pub use report::Report;
pub use sender::Sender;

/// The callback of Tencent's documentation with its texts filled in, so that it has the size of a
/// real one; its FileId stands in two places (`FileId`, `Vid`).
const SAMPLE: &[u8] = include_bytes!("../samples/NewFileUpload.json");

const SAMPLE_FILE_ID: u64 = 5_285_890_784_000_000_000;

/// FileIds have 19 digits: from `FILE_ID_MIN` there are this many.
const FILE_IDS: u64 = 9_000_000_000_000_000_000;
const FILE_ID_MIN: u64 = 1_000_000_000_000_000_000;
const FILE_ID_DIGITS: usize = 19;

/// The FileId of callback number `n`: 19 digits, another for each `n` below 9·10^18. Number 0 has
/// the sample's.
pub fn file_id(n: u64) -> String {
    String::from_utf8(digits(n).to_vec()).expect("digits are ASCII")
}

/// The body of callback number `n`: a `NewFileUpload` of 899 bytes with the FileId and
/// Vid of `n`.
pub fn body(n: u64) -> Vec<u8> {
    let mut rendered = Rendered::new(Vec::new());
    rendered.set(n);
    rendered.bytes
}

/// A callback whose number can be changed in place.
#[derive(Clone, Debug)]
struct Rendered {
    bytes: Vec<u8>,
    file_ids_at: Vec<usize>,
}

fn digits(n: u64) -> [u8; FILE_ID_DIGITS] {
    let offset = (u128::from(SAMPLE_FILE_ID - FILE_ID_MIN) + u128::from(n)) % u128::from(FILE_IDS);
    let mut rest = u128::from(FILE_ID_MIN) + offset;
    let mut digits = [b'0'; FILE_ID_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).expect("a remainder of ten is one digit");
        rest /= 10;
    }
    digits
}

// === impl Rendered ===

impl Rendered {
    /// Number 0, behind whatever goes before the body.
    fn new(head: Vec<u8>) -> Self {
        let mut bytes = head;
        let body_at = bytes.len();
        bytes.extend_from_slice(SAMPLE);
        let file_id = digits(0);
        let file_ids_at = bytes[body_at..]
            .windows(FILE_ID_DIGITS)
            .enumerate()
            .filter_map(|(at, window)| (window == file_id).then_some(body_at + at))
            .collect();
        Self { bytes, file_ids_at }
    }

    fn set(&mut self, n: u64) {
        let file_id = digits(n);
        for &at in &self.file_ids_at {
            self.bytes[at..at + FILE_ID_DIGITS].copy_from_slice(&file_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn number_zero_is_the_sample() {
        assert_eq!(body(0), SAMPLE);
        assert_eq!(file_id(0), "5285890784000000000");
    }

    #[test]
    fn every_number_has_a_file_id_of_19_digits_of_its_own() {
        let ends = [0, 1, FILE_IDS - SAMPLE_FILE_ID, FILE_IDS - 10_000];
        let numbers: HashSet<u64> = ends.into_iter().flat_map(|from| from..from + 10_000).collect();
        let file_ids: HashSet<String> = numbers.iter().map(|n| file_id(*n)).collect();
        assert_eq!(file_ids.len(), numbers.len());
        assert!(file_ids.iter().all(|id| id.len() == 19 && !id.starts_with('0')));
    }

    #[test]
    fn a_body_carries_its_file_id_as_file_id_and_vid() {
        for n in [0, 1, 77_000_000, u64::MAX] {
            let body: Value = serde_json::from_slice(&body(n)).unwrap();
            let event = &body["FileUploadEvent"];
            assert_eq!(event["FileId"], file_id(n));
            assert_eq!(event["MediaBasicInfo"]["Vid"], file_id(n));
        }
    }
}
