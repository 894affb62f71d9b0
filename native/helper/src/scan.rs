//! Stub.
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{Outcome, Selection, Tree};
pub(crate) fn scan(_tree: &Tree, _s: &[Selection], _manifest: bool, _marks: Marks) -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
