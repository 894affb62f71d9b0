//! Stub.
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{ExportDest, Outcome, Root};
pub(crate) fn export(root: &Root, dest: &ExportDest, marks: Marks) -> Fallible<Outcome> {
    match dest {
        ExportDest::Tar {} => crate::export_tar::export_tar(root, marks),
        ExportDest::Directory { .. } => Err(Failure::internal("stub")),
    }
}
