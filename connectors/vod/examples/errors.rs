//! Prints the table of the API's errors that stands in the README.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    print!("{}", vodbridge_vod::reaction::markdown());
}
