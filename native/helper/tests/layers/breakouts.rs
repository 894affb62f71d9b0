//! Archives that try to leave the root. Whatever they give, the host stays as it is.

use super::fixture::*;

/// Name, archive, expected code.
type Case = (&'static str, Vec<Item>, &'static str);

fn cases(host: &str) -> Vec<Case> {
    let canary = &format!("{host}/canary");
    let inside = &format!("{canary}/file");
    let up = "../../../../../../../../../..";
    let relative = &format!("{up}{canary}");
    vec![
        ("symlink absolute", vec![symlink("etc", canary), file("etc/file", "x")], "ok"),
        ("symlink up and out", vec![dir("d"), symlink("d/etc", relative), file("d/etc/file", "x")], "ok"),
        ("symlink of symlinks, absolute", vec![symlink("a", canary), symlink("b", "/a"), file("b/file", "x")], "ok"),
        (
            "symlink of symlinks, relative",
            vec![symlink("a", relative), dir("d"), symlink("d/b", "../a"), file("d/b/file", "x")],
            "ok",
        ),
        ("symlink to a file, then the file", vec![symlink("f", inside), file("f", "x")], "ok"),
        ("symlink to a file, then an empty file", vec![symlink("f", inside), file("f", "")], "ok"),
        ("symlink to the parent", vec![symlink("p", ".."), file("p/canary/file", "x")], "ok"),
        ("symlink without a target", vec![symlink("s", "")], "ERR_LAYER_INVALID"),
        ("symlink that ends with a slash", vec![symlink("s", &format!("{canary}/")), file("s/file", "x")], "ok"),
        ("symlink over a directory", vec![dir("a"), file("a/b", "1"), symlink("a", canary), file("a/file", "x")], "ok"),
        (
            "symlink over a directory, relative",
            vec![dir("a"), file("a/b", "1"), symlink("a", relative), file("a/file", "x")],
            "ok",
        ),
        (
            "TAR-01: resolved parent becomes a symlink",
            vec![dir("a"), file("a/b", "1"), symlink("a", canary), file("a/c", "x"), dir("a/d")],
            "ok",
        ),
        ("symlink loop", vec![symlink("a", "b"), symlink("b", "a"), file("a/c", "x")], "ERR_LAYER_INVALID"),
        ("TAR-02: directory over a symlink", vec![symlink("foo", canary), dir("foo").mode(0o777).ids(7, 7)], "ok"),
        (
            "TAR-02: directory through a symlink",
            vec![symlink("foo", canary), dir("foo/").mode(0o777), file("foo/file", "x")],
            "ok",
        ),
        ("TAR-03: root as a symlink", vec![symlink(".", canary)], "ERR_LAYER_INVALID"),
        ("TAR-03: root as a file", vec![file("./.", "x")], "ERR_LAYER_INVALID"),
        ("TAR-03: root as a fifo", vec![fifo("/")], "ERR_LAYER_INVALID"),
        ("TAR-03: root without a name as a symlink", vec![symlink("", canary)], "ERR_LAYER_INVALID"),
        ("TAR-03: root with its own mode", vec![dir("./").mode(0o000), file("f", "x")], "ok"),
        (
            "TAR-05: link chain",
            vec![
                dir("a"),
                dir("a/b"),
                dir("a/b/c"),
                symlink("a/b/c/up", "../.."),
                symlink("a/b/escape", "c/up/../.."),
                hardlink("x", "a/b/escape/canary/file"),
            ],
            "ERR_LAYER_INVALID",
        ),
        ("name with ..", vec![file(format!("{up}{inside}"), "x")], "ERR_LAYER_ESCAPE"),
        ("name with .. inside", vec![dir("a"), file("a/../b", "x")], "ERR_LAYER_ESCAPE"),
        ("absolute name", vec![file(inside, "x")], "ok"),
        ("hardlink relative", vec![hardlink("h", &format!("{up}{inside}")), file("h", "x")], "ERR_LAYER_ESCAPE"),
        ("hardlink down and out", vec![dir("d"), hardlink("h", &format!("d/{up}{inside}"))], "ERR_LAYER_ESCAPE"),
        ("hardlink absolute", vec![hardlink("h", inside), file("h", "x")], "ERR_LAYER_INVALID"),
        (
            "hardlink through a symlink, absolute",
            vec![symlink("l", canary), hardlink("h", "l/file")],
            "ERR_LAYER_INVALID",
        ),
        (
            "hardlink through a symlink, relative",
            vec![symlink("l", relative), hardlink("h", "l/file")],
            "ERR_LAYER_INVALID",
        ),
        (
            "hardlink to a symlink, then its mode",
            vec![symlink("l", inside), hardlink("h", "l").mode(0o777).ids(7, 7)],
            "ok",
        ),
        ("hardlink to a symlink, then a file", vec![symlink("l", inside), hardlink("h", "l"), file("h", "x")], "ok"),
        ("hardlink before its target", vec![hardlink("h", "f"), file("f", "x")], "ERR_LAYER_INVALID"),
        ("hardlink to itself", vec![file("f", "x"), hardlink("f", "f")], "ok"),
        ("hardlink to a directory", vec![dir("d"), hardlink("h", "d")], "ERR_LAYER_INVALID"),
        ("hardlink to the root", vec![hardlink("h", "/")], "ERR_LAYER_INVALID"),
        (
            "hardlink over the directory of its target",
            vec![dir("d"), file("d/f", "x"), hardlink("d", "d/f")],
            "ERR_LAYER_INVALID",
        ),
        ("fifo over a symlink", vec![symlink("p", inside), fifo("p").mode(0o777)], "ok"),
        ("file below a file", vec![file("f", "x"), file("f/g", "x")], "ERR_LAYER_INVALID"),
        ("whiteout with ..", vec![file(format!("{up}{host}/.wh.canary"), "")], "ERR_LAYER_ESCAPE"),
        ("whiteout through a symlink", vec![symlink("l", host), file("l/.wh.canary", "")], "ok"),
        ("opaque through a symlink", vec![symlink("l", canary), file("l/.wh..wh..opq", "")], "ok"),
        ("component too long", vec![file("x", "x").pax("path", "y".repeat(256))], "ERR_LAYER_INVALID"),
    ]
}

fn check(lower: &[&str]) {
    let names: Vec<_> = cases("/x").into_iter().map(|(name, ..)| name).collect();
    for (at, name) in names.iter().enumerate() {
        let place = Place::new();
        std::fs::create_dir(place.path("lower")).unwrap();
        let before = place.host();
        let host = place.text("");
        let (_, items, expected) = cases(host.trim_end_matches('/')).swap_remove(at);
        let said = place.apply(&tar(&items), lower);
        assert_eq!(said.code(), expected, "{name}: {}", said.last);
        assert_eq!(place.host(), before, "{name}");
    }
}

#[test]
fn apply_leaves_the_host_alone() {
    check(&[]);
}

#[test]
fn apply_leaves_the_host_alone_above_another_layer() {
    check(&["lower"]);
}

#[test]
fn apply_puts_what_goes_through_a_symlink_inside_the_root() {
    let place = Place::new();
    let archive = tar(&[symlink("etc", "/usr/../../conf"), file("etc/file", "x"), file("/abs", "y")]);
    place.apply(&archive, &[]).result();
    assert_eq!(std::fs::read_to_string(place.path("target/conf/file")).unwrap(), "x");
    assert_eq!(std::fs::read_to_string(place.path("target/abs")).unwrap(), "y");
}

#[test]
fn apply_refuses_devices_and_attributes_of_overlayfs() {
    let value = "y";
    let table = [
        device("d", 0, 0),
        file("f", "").pax("SCHILY.xattr.trusted.overlay.opaque", value),
        file("f", "").pax("SCHILY.xattr.trusted.overlay.redirect", "/canary"),
        dir("d").pax("SCHILY.xattr.trusted.overlay.whiteout", value),
        dir("d").pax("SCHILY.xattr.user.overlay.metacopy", value),
        dir(".").pax("SCHILY.xattr.user.overlay.opaque", value),
        file(".wh.x", "").pax("SCHILY.xattr.user.overlay.opaque", value),
    ];
    for item in table {
        let said = Place::new().apply(&tar(&[item]), &[]);
        assert_eq!(said.code(), "ERR_LAYER_RESERVED", "{}", said.last);
    }
}
