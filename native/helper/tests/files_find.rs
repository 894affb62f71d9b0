//! `find` through the built helper, against trees that somebody else filled.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::files_support::{Bench, call, can_mount, expect_error, expect_result};
use base64::Engine;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

fn find(tree: Value, patterns: &[&str], sections: &[&str], limits: (u64, u64)) -> Value {
    call(&json!({
        "op": "find",
        "tree": tree,
        "patterns": patterns,
        "sections": sections,
        "maxFiles": limits.0,
        "maxSectionBytes": limits.1,
    }))
}

fn paths(result: &Value) -> Vec<&str> {
    result["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect()
}

#[test]
fn find_lists_files_in_the_order_of_their_names_and_follows_no_link() {
    let bench = Bench::new().context(&[
        "f lib/status x",
        "f lib/status.d/b bb",
        "f lib/status.d/a a",
        "f app/node_modules/x/package.json {}",
        "f app/package.json {}",
        "l link lib",
        "l status lib/status",
        "d status.d",
    ]);
    let patterns = ["**/status", "**/status.d/*", "**/node_modules/*/package.json"];
    let result = expect_result(find(bench.directory(&[]), &patterns, &[], (100, 100)));
    assert_eq!(paths(&result), ["app/node_modules/x/package.json", "lib/status", "lib/status.d/a", "lib/status.d/b"]);
    assert_eq!(result["files"][3]["size"], 2);
    assert_eq!(result["incomplete"], false);
}

#[test]
fn find_of_a_snapshot_sees_the_merged_tree() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new().lower(&["f a lower", "f b lower"]).context(&["f a upper!"]);
    let root = json!({"lower": [bench.path("context"), bench.path("lower")], "upper": null, "work": null});
    let result = expect_result(find(json!({"kind": "snapshot", "root": root}), &["a", "b"], &[], (9, 9)));
    assert_eq!(paths(&result), ["a", "b"]);
    assert_eq!(result["files"][0]["size"], 6);
}

#[test]
fn find_says_when_there_is_more_than_it_may_list() {
    let bench = Bench::new().context(&["f a x", "f b x"]);
    let result = expect_result(find(bench.directory(&[]), &["*"], &[], (1, 0)));
    assert_eq!(paths(&result), ["a"]);
    assert_eq!(result["incomplete"], true);
}

#[test]
fn find_reads_sections_of_executables_only() {
    let bench = Bench::new().context(&["d bin"]);
    let program = std::env::current_exe().unwrap();
    for (name, mode) in [("bin/program", 0o755), ("bin/data", 0o644)] {
        let path = std::path::Path::new(&bench.path("context")).join(name);
        std::fs::copy(&program, &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let result = expect_result(find(bench.directory(&[]), &[], &[".interp"], (9, 1 << 20)));
    let found = result["sections"].as_array().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0]["path"].as_str(), found[0]["name"].as_str()), (Some("bin/program"), Some(".interp")));
    let data = base64::engine::general_purpose::STANDARD.decode(found[0]["data"].as_str().unwrap()).unwrap();
    assert!(data.starts_with(b"/lib"), "{data:?}");
    let result = expect_result(find(bench.directory(&[]), &[], &[".interp"], (9, 1)));
    assert_eq!((result["sections"].as_array().unwrap().len(), &result["incomplete"]), (0, &json!(true)));
}

#[test]
fn find_refuses_malformed_patterns() {
    let bench = Bench::new().context(&["f a x"]);
    expect_error(&find(bench.directory(&[]), &["[a"], &[], (9, 9)), "ERR_PATTERN_INVALID");
}
