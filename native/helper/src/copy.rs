//! Stub.
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{FileAction, Outcome, Root};
pub(crate) fn copy(_root: &Root, _actions: &[FileAction], _marks: Marks) -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
