//! Stub.
use crate::error::{Failure, Fallible};
use crate::protocol::Outcome;
pub(crate) fn probe() -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
