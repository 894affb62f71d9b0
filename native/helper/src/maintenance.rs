//! Stub.
use crate::error::{Failure, Fallible};
use crate::protocol::Outcome;
pub(crate) fn sync(_paths: &[String]) -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
pub(crate) fn remove(_paths: &[String]) -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
pub(crate) fn usage(_paths: &[String]) -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
