use super::settings::PAGE_BYTES;

/// What a leaf page holds besides its cells: an 8 byte header (SQLite file format, 1.6).
const LEAF_HEADER_BYTES: u64 = 8;
/// A cell's pointer, its payload length and its key.
const CELL_BYTES: u64 = 2 + 3 + 9;
/// The record's header and its integer columns.
const RECORD_BYTES: u64 = 40;
/// The most payload that a cell keeps in its leaf page: `U - 35`.
const LOCAL_BYTES_MAX: u64 = PAGE_BYTES - 35;
/// What a cell keeps in its leaf page at least when it overflows: `((U - 12) * 32 / 255) - 23`.
const LOCAL_BYTES_MIN: u64 = (PAGE_BYTES - 12) * 32 / 255 - 23;
/// What an overflow page holds: all but the number of the next one.
const OVERFLOW_BYTES: u64 = PAGE_BYTES - 4;

/// The bytes that a row takes in the file, its part of half-filled pages included.
///
/// `content` is the sum of the row's texts and blobs. Rows of one size are assumed, appended one
/// after the other: two rows of 1.4 KB to a page take 2 KiB each. Without this a share of 512 MiB
/// could take nearly 1 GiB of file and leave nothing to the other shares.
pub(crate) fn footprint(content: usize) -> u64 {
    let payload = content as u64 + RECORD_BYTES;
    if payload <= LOCAL_BYTES_MAX {
        return leaf_part(payload);
    }
    let over = LOCAL_BYTES_MIN + (payload - LOCAL_BYTES_MIN) % OVERFLOW_BYTES;
    let local = if over <= LOCAL_BYTES_MAX { over } else { LOCAL_BYTES_MIN };
    leaf_part(local) + (payload - local).div_ceil(OVERFLOW_BYTES) * PAGE_BYTES
}

fn leaf_part(local: u64) -> u64 {
    let rows_per_page = ((PAGE_BYTES - LEAF_HEADER_BYTES) / (local + CELL_BYTES)).max(1);
    PAGE_BYTES / rows_per_page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_pays_for_the_page_that_it_does_not_fill() {
        for (content, bytes) in [
            (900, PAGE_BYTES / 4),
            (1_300, PAGE_BYTES / 3),
            (1_400, PAGE_BYTES / 2),
            (3_000, PAGE_BYTES),
            (4_021, PAGE_BYTES),
            (16 << 20, (16 << 20) + 4_097 * 4 + PAGE_BYTES),
        ] {
            let found = footprint(content);
            assert!(found.abs_diff(bytes) <= PAGE_BYTES, "{content}: {found}, expected {bytes}");
        }
    }

    #[test]
    fn more_content_in_pages_of_its_own_never_takes_less() {
        let mut last = 0;
        for content in (0..4_000).chain((5_000..100_000).step_by(4_092)) {
            let found = footprint(content);
            assert!(found >= last && found >= content as u64, "{content}: {found} after {last}");
            last = found;
        }
    }
}
