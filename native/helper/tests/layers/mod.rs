//! Layers, end to end: hand-made archives against the built helper.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod archives;
mod breakouts;
mod changes;
mod content;
mod conversion;
mod fixture;
mod formats;
mod malformed;
mod rootless;
mod round_trips;
mod verification;
mod whiteouts;
