//! What follows the result of `run`, `copy` and `apply`: the layer's content digest, the layer and its durability, while others use the snapshot already.
//!
//! It is the same process, so a step costs one process in all; and the one `syncfs` covers the snapshot and its layer.

use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{Finish, Outcome, Reply};
use crate::sys::process;
use crate::{content, diff, maintenance, report, run};

/// Where the layer goes.
const LAYER_FD: i32 = 6;

/// Reports the result, then does what was asked for. Nothing follows the result of a step that failed. `files` is what is
/// known of the tree `upper` already.
///
/// # Errors
/// Those of `content`, `diff` and `sync`. The result was reported before, so the caller learns of them separately.
pub(crate) fn finish(
    upper: Option<&str>,
    outcome: Outcome,
    finish: Option<Finish>,
    files: content::Files,
    marks: Marks,
) -> Fallible<Reply> {
    let succeeded = !matches!(outcome, Outcome::Run { exit_code, .. } if exit_code != 0);
    let result = Reply::Result { outcome };
    let (Some(finish), Some(upper), true) = (finish, upper, succeeded) else { return Ok(result) };
    report(&result);
    // The supervisor of a run kept them for the step. From here on they end this process, as they end any operation.
    process::unblock_signals(&run::SIGNALS);
    // First: the next step may wait for it, and what it reads is in memory for the layer then.
    if finish.content {
        report(&Reply::Content { digest: content::digest(upper, files, marks)? });
    }
    if let Some(form) = finish.layer {
        let out = process::take_passed(LAYER_FD)
            .ok_or_else(|| Failure::internal("a layer is asked for, but fd 6 is not open"))?;
        let diff::Layer { digest, size_bytes, diff_id, unpacked_bytes, toc_digest, .. } =
            diff::write(out, upper, form, marks)?;
        report(&Reply::Layer { digest, size_bytes, diff_id, unpacked_bytes, toc_digest });
    }
    if finish.sync {
        maintenance::sync(&[upper.to_owned()])?;
    }
    Ok(Reply::Durable {})
}
