//! ADD of local archives through the built helper: table 3.4 of spec/dockerfile.md.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod extraction;
mod fixture;
mod formats;
mod hostile;
