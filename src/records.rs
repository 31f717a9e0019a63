//! What the journal holds as people look for it: several tables as one listing, and the numbers
//! that name its rows.

mod merged;
mod place;

pub(crate) use merged::{Merged, Order, PAGE_ROWS};
pub(crate) use place::{Of, Place};
