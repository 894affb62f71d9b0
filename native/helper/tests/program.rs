//! Programs that tests put where they are to be executed.

use std::path::Path;
use std::process::Command;

/// The built helper.
pub const HELPER: &str = env!("CARGO_BIN_EXE_tsbuild-helper");

/// Puts a program at a path of the test's own. `cp` does it: what this process wrote cannot be executed while a child that
/// another test has just forked still holds it open (`ETXTBSY`).
pub fn copy_program(from: impl AsRef<Path>, to: &Path) {
    assert!(Command::new("cp").arg(from.as_ref()).arg(to).status().unwrap().success());
}

/// Puts the helper where every user can reach it, which the build directory need not be. As a link where that can be had: it
/// is tens of megabytes.
pub fn place_helper(to: &Path) {
    if std::fs::hard_link(HELPER, to).is_err() {
        copy_program(HELPER, to);
    }
}
