//! Stub.
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{ApplyLimits, LayerFormat, Outcome};

/// The request, see [`crate::protocol::Request::Apply`].
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) target: String,
    pub(crate) lower: Vec<String>,
    pub(crate) compression: LayerFormat,
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    pub(crate) diff_id: Option<String>,
    pub(crate) limits: ApplyLimits,
}

pub(crate) fn apply(_layer: &Layer, _marks: Marks) -> Fallible<Outcome> {
    Err(Failure::internal("stub"))
}
