//! Files, one after the other.

use super::fixture::*;
use serde_json::{Value, json};

/// `aW5saW5lIA==` is "inline ".
fn request(place: &Place, file: &str, size: usize, digest: Option<String>) -> Value {
    json!({"op": "concat", "parts": [
        {"kind": "inline", "data": "aW5saW5lIA=="},
        {"kind": "file", "path": place.text(file), "sizeBytes": size, "digest": digest},
        {"kind": "file", "path": place.text("empty"), "sizeBytes": 0, "digest": null},
        {"kind": "inline", "data": "aW5saW5lIA=="},
    ]})
}

fn concat(place: &Place, request: &Value, prefix: &[&str]) -> Said {
    std::fs::write(place.path("out"), "").unwrap();
    std::fs::write(place.path("empty"), "").unwrap();
    helper(request, &place.path("out"), prefix)
}

#[test]
fn concat_writes_the_parts_in_their_order() {
    let place = Place::new();
    for size in [5, 3_000_000] {
        let content = vec![b'x'; size];
        std::fs::write(place.path("file"), &content).unwrap();
        for digest in [None, Some(digest(&content))] {
            let said = concat(&place, &request(&place, "file", size, digest), &[]);
            assert_eq!(said.result()["bytes"], size + 14);
            let expected = [b"inline ", &content[..], b"inline "].concat();
            assert!(std::fs::read(place.path("out")).unwrap() == expected);
        }
    }
}

#[test]
fn concat_reads_nothing_that_the_kernel_can_copy() {
    let place = Place::new();
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: apt install strace");
    }
    std::fs::write(place.path("file"), vec![b'x'; 3_000_000]).unwrap();
    let trace = place.text("trace");
    let prefix = ["strace", "-f", "-o", &trace, "-e", "trace=copy_file_range,sendfile,write"];
    concat(&place, &request(&place, "file", 3_000_000, None), &prefix).result();
    let calls = std::fs::read_to_string(&trace).unwrap();
    assert!(calls.contains("copy_file_range("), "{calls}");
    let written: u64 = calls.lines().filter(|line| line.contains(" write(3,")).count() as u64;
    assert_eq!(written, 2, "{calls}");
}

#[test]
fn concat_writes_to_a_pipe() {
    let place = Place::new();
    let content = vec![b'y'; 3_000_000];
    std::fs::write(place.path("file"), &content).unwrap();
    let piped = place.text("piped");
    // fd 3 of the helper is a pipe whose reader writes the file.
    let script = "out=$1; shift; { \"$@\" 3>&1 >&4 | cat > \"$out\"; } 4>&1";
    let prefix = ["sh", "-c", script, "sh", &piped];
    concat(&place, &request(&place, "file", content.len(), Some(digest(&content))), &prefix).result();
    let expected = [b"inline ", &content[..], b"inline "].concat();
    assert!(std::fs::read(place.path("piped")).unwrap() == expected);
}

#[test]
fn concat_refuses_files_that_are_not_what_they_should_be() {
    let place = Place::new();
    for size in [5, 3_000_000] {
        std::fs::write(place.path("file"), vec![b'x'; size]).unwrap();
        let code =
            |length: usize, digest| concat(&place, &request(&place, "file", length, digest), &[]).code().to_owned();
        assert_eq!(code(size + 1, None), "ERR_SIZE_MISMATCH");
        // Not a byte of it was written.
        assert_eq!(std::fs::read(place.path("out")).unwrap(), b"inline ");
        assert_eq!(code(size - 1, None), "ERR_SIZE_MISMATCH");
        assert_eq!(code(size, Some(digest(b"other"))), "ERR_DIGEST_MISMATCH");
    }
    std::os::unix::fs::symlink("file", place.path("link")).unwrap();
    let said = concat(&place, &request(&place, "link", 3_000_000, None), &[]);
    assert_eq!(said.last["errno"], "ELOOP");
    assert_eq!(concat(&place, &request(&place, "none", 5, None), &[]).last["errno"], "ENOENT");
    let large = json!({"op": "concat", "parts": [{"kind": "inline", "data": "QUFB".repeat(22_000)}]});
    assert_eq!(concat(&place, &large, &[]).code(), "ERR_HELPER_INTERNAL");
    let bad = json!({"op": "concat", "parts": [{"kind": "inline", "data": "?"}]});
    assert_eq!(concat(&place, &bad, &[]).code(), "ERR_HELPER_INTERNAL");
}
