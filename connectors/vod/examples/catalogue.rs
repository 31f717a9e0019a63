//! Prints the table of event types that stands in the README.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    print!("{}", vodbridge_vod::catalogue::markdown());
}
