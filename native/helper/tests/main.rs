//! Every test against the built helper, as one program: to link one for each file took longer than to run them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod archives;
mod files_copy;
mod files_find;
mod files_hostile;
mod files_read;
mod files_rows;
mod files_scan;
mod files_support;
mod layers;
mod maintenance;
mod merge;
mod program;
mod run_baseline;
mod run_hostile;
mod run_layer;
mod run_lifetime;
mod run_memory;
mod run_mounts;
mod run_result;
mod run_rootless;
mod run_sandbox;
mod run_seccomp;
mod run_security;
mod run_terminal;
mod run_trust;
mod run_user;
mod run_userns;
mod sandbox;
mod session;
mod session_network;
mod tar_support;

#[test]
fn every_file_of_this_folder_is_a_module_of_it() {
    let own = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name == "main" || own.contains(&format!("mod {name};\n")), "tests/main.rs lacks \"mod {name};\"");
    }
}
