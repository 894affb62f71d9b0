//! Replaced by the layers helper's module at the merge.
pub(crate) fn export_tar(
    _root: &crate::protocol::Root,
    _marks: crate::overlay::Marks,
) -> crate::error::Fallible<crate::protocol::Outcome> {
    Err(crate::error::Failure::internal("export of a tar is not part of this branch"))
}
