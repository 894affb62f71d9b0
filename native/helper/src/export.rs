//! Stub.
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{ExportDest, Outcome, Root};
pub(crate) fn export(_root: &Root, _dest: &ExportDest, _marks: Marks) -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
