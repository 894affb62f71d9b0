//! Stub.
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{Compression, Outcome};
pub(crate) fn diff(_upper: &str, _c: Compression, _clamp: Option<i64>, _marks: Marks) -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
