//! What whiteouts hide. Checked in the merged file system, as overlayfs itself shows it.

use super::fixture::*;

fn below() -> Vec<Item> {
    vec![
        dir("a"),
        file("a/one", "1"),
        file("a/two", "2"),
        dir("a/sub"),
        file("a/sub/x", "x"),
        file("f", "f"),
        symlink("l", "a"),
    ]
}

/// The merged view of `below` and a layer of these items.
fn merged(items: &[Item]) -> Vec<String> {
    let place = Place::new();
    place.apply(&tar(&below()), &[]).result();
    std::fs::rename(place.path("target"), place.path("lower")).unwrap();
    std::fs::create_dir(place.path("target")).unwrap();
    place.apply(&tar(items), &["lower"]).result();
    place.merged(&["target", "lower"])
}

#[test]
fn apply_hides_what_whiteouts_name() {
    if !is_root() {
        return;
    }
    let all = ["dir a", "file a/one 1", "dir a/sub", "file a/sub/x x", "file a/two 2", "file f f", "link l a"];
    let without = |gone: &[&str]| -> Vec<String> {
        all.iter().filter(|line| !gone.contains(line)).map(|&line| line.to_owned()).collect()
    };
    let with = |gone: &[&str], new: &[&str]| -> Vec<String> {
        let mut lines = without(gone);
        lines.extend(new.iter().map(|&line| line.to_owned()));
        lines.sort_by_key(|line| line.split(' ').nth(1).unwrap().to_owned());
        lines
    };
    let inside = &["file a/one 1", "dir a/sub", "file a/sub/x x", "file a/two 2"];
    let tree = &["dir a", "file a/one 1", "dir a/sub", "file a/sub/x x", "file a/two 2"];
    let wh = |name: &str| file(name, "");
    let table: Vec<(&str, Vec<Item>, Vec<String>)> = vec![
        ("nothing", vec![], without(&[])),
        ("a file", vec![wh(".wh.f")], without(&["file f f"])),
        ("a directory", vec![wh(".wh.a")], without(tree)),
        ("a symlink", vec![wh(".wh.l")], without(&["link l a"])),
        ("a file below", vec![wh("a/.wh.one")], without(&["file a/one 1"])),
        ("what never was", vec![wh(".wh.zzz")], without(&[])),
        ("twice", vec![wh(".wh.f"), wh(".wh.f")], without(&["file f f"])),
        ("and the parent too", vec![wh("a/.wh.one"), wh(".wh.a")], without(tree)),
        ("same layer, file first", vec![file("f", "new"), wh(".wh.f")], with(&["file f f"], &["file f new"])),
        ("same layer, whiteout first", vec![wh(".wh.f"), file("f", "new")], with(&["file f f"], &["file f new"])),
        (
            "same layer, directory first",
            vec![dir("a"), file("a/new", "n"), wh(".wh.a")],
            with(inside, &["file a/new n"]),
        ),
        (
            "same layer, whiteout then directory",
            vec![wh(".wh.a"), dir("a"), file("a/new", "n")],
            with(inside, &["file a/new n"]),
        ),
        ("same layer, whiteout then implied", vec![wh(".wh.a"), file("a/new", "n")], with(inside, &["file a/new n"])),
        ("directory becomes a file", vec![wh(".wh.a"), file("a", "n")], with(tree, &["file a n"])),
        ("directory becomes a file, no whiteout", vec![file("a", "n")], with(tree, &["file a n"])),
        (
            "file becomes a directory",
            vec![wh(".wh.f"), dir("f"), file("f/x", "n")],
            with(&["file f f"], &["dir f", "file f/x n"]),
        ),
        ("dir, file, dir", vec![dir("a"), file("a", "n"), dir("a"), file("a/x", "n")], with(inside, &["file a/x n"])),
        ("opaque", vec![dir("a"), wh("a/.wh..wh..opq"), file("a/new", "n")], with(inside, &["file a/new n"])),
        ("opaque at the end", vec![file("a/new", "n"), wh("a/.wh..wh..opq")], with(inside, &["file a/new n"])),
        ("opaque and implied", vec![wh("a/.wh..wh..opq")], without(inside)),
        ("opaque twice", vec![wh("a/.wh..wh..opq"), wh("a/.wh..wh..opq")], without(inside)),
        ("opaque below", vec![wh("a/sub/.wh..wh..opq")], without(&["file a/sub/x x"])),
        ("opaque root", vec![file("new", "n"), wh(".wh..wh..opq")], vec!["file new n".into()]),
        (
            "opaque root with a directory kept",
            vec![wh(".wh..wh..opq"), file("a/new", "n")],
            vec!["dir a".into(), "file a/new n".into()],
        ),
        (
            "AUFS bookkeeping",
            vec![wh(".wh..wh.aufs"), dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "x")],
            without(&[]),
        ),
        ("AUFS hard link", vec![wh(".wh..wh.aufs"), hardlink(".wh.f", ".wh..wh.aufs")], without(&["file f f"])),
        ("parents are copied", vec![file("a/sub/new", "n")], with(&[], &["file a/sub/new n"])),
    ];
    for (name, items, expected) in table {
        let mut got = merged(&items);
        got.sort_by_key(|line| line.split(' ').nth(1).unwrap().to_owned());
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn apply_refuses_whiteouts_that_name_nothing() {
    for item in [
        file(".wh.", ""),
        file(".wh..", ""),
        file(".wh...", ""),
        file("a/.wh.", ""),
        dir(".wh.f"),
        symlink(".wh.f", "x"),
        device(".wh.f", 1, 3),
        file(".wh.f/x", ""),
        dir(".wh..wh..opq"),
    ] {
        let place = Place::new();
        std::fs::create_dir(place.path("lower")).unwrap();
        let said = place.apply(&tar(&[item]), &["lower"]);
        assert_eq!(said.code(), "ERR_LAYER_WHITEOUT", "{}", said.last);
    }
}

#[test]
fn apply_drops_whiteouts_in_the_first_layer() {
    let place = Place::new();
    place.apply(&tar(&[file(".wh.f", ""), dir("d"), file("d/.wh..wh..opq", ""), file("d/.wh.x", "")]), &[]).result();
    assert_eq!(shell(&place.path("target"), "find . -mindepth 1"), "./d\n");
}

#[test]
fn apply_takes_the_metadata_of_implied_parents_from_below() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.apply(&tar(&[dir("a").mode(0o1750).ids(7, 8), dir("a/b").mode(0o2711).ids(9, 10)]), &[]).result();
    std::fs::rename(place.path("target"), place.path("lower")).unwrap();
    std::fs::create_dir(place.path("target")).unwrap();
    place.apply(&tar(&[file("a/b/c/f", "x")]), &["lower"]).result();
    let stat = shell(&place.path("target"), "stat -c '%n %a %u:%g %Y' a a/b a/b/c");
    assert_eq!(stat, "a 1750 7:8 1600000000\na/b 2711 9:10 1600000000\na/b/c 755 0:0 0\n");
}

#[test]
fn apply_copies_the_target_of_a_hard_link_up() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.apply(&tar(&[dir("d"), file("d/f", "below").mode(0o4711).ids(7, 8), file("gone", "x")]), &[]).result();
    std::fs::rename(place.path("target"), place.path("lower")).unwrap();
    std::fs::create_dir(place.path("target")).unwrap();
    place.apply(&tar(&[hardlink("h", "d/f")]), &["lower"]).result();
    let stat = shell(&place.path("target"), "stat -c '%n %a %u:%g %h' h d/f; cat h");
    assert_eq!(stat, "h 4711 7:8 2\nd/f 4711 7:8 2\nbelow");
    assert_eq!(shell(&place.path("lower"), "stat -c %h d/f"), "1\n");

    for items in [
        vec![file(".wh.gone", ""), hardlink("h2", "gone")],
        vec![file(".wh.d", ""), hardlink("h2", "d/f")],
        vec![file("d/.wh..wh..opq", ""), hardlink("h2", "d/f")],
        vec![hardlink("h2", "never")],
    ] {
        let place2 = Place::new();
        std::fs::rename(place.path("lower"), place2.path("lower")).unwrap();
        assert_eq!(place2.apply(&tar(&items), &["lower"]).code(), "ERR_LAYER_INVALID");
        std::fs::rename(place2.path("lower"), place.path("lower")).unwrap();
    }
}
