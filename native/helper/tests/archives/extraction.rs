//! What entries become: owners, modes, times, links, and what was there before.

use super::fixture::*;
use crate::files_support::{call_rootless, can_mount_rootless, listing};
use serde_json::json;
use std::os::unix::fs::{MetadataExt, chown};

#[test]
fn add_always_unpacks_into_a_directory_which_it_creates() {
    if !can_mount() {
        return;
    }
    let add = |dest: &str| {
        Add::tar(&["d have 700", "f file x", "l to-dir have", "l gone made/deep"], &[file("f", "1")], dest)
    };
    for (dest, wanted) in [
        ("/to", vec!["d to 755 0:0", "f to/f 1 644 0:0"]),
        ("/to/", vec!["d to 755 0:0", "f to/f 1 644 0:0"]),
        ("/n/m", vec!["d n 755 0:0", "d n/m 755 0:0", "f n/m/f 1 644 0:0"]),
        ("/", vec!["f f 1 644 0:0"]),
        ("/have", vec!["d have 700 0:0", "f have/f 1 644 0:0"]),
        ("/to-dir", vec!["d have 700 0:0", "f have/f 1 644 0:0"]),
        ("/gone", vec!["d made 755 0:0", "d made/deep 755 0:0", "f made/deep/f 1 644 0:0"]),
    ] {
        assert_eq!(add(dest).changes(), wanted, "{dest}");
    }
    for dest in ["/file", "/file/", "/file/x"] {
        let message = add(dest).error("ERR_COPY_NOT_DIRECTORY");
        assert!(message.contains("/file"), "{message}");
    }
}

#[test]
fn add_unpacks_on_top_and_merges_directories_only() {
    if !can_mount() {
        return;
    }
    let lower = [
        "f to/merged/old old",
        "d to/merged 700",
        "f to/dir-to-file/a/b/c x",
        "p to/dir-to-file/pipe",
        "d to/dir-to-link/sub",
        "f to/file-to-dir x",
        "l to/link-to-dir merged",
        "l to/link-to-file merged/old",
        "f to/file old",
        "h to/other to/file",
    ];
    let items = [
        dir("merged").mode(0o750),
        file("merged/new", "new"),
        file("dir-to-file", "f"),
        symlink("dir-to-link", "merged"),
        dir("file-to-dir"),
        file("file-to-dir/in", "in"),
        dir("link-to-dir"),
        file("link-to-dir/in", "in"),
        file("link-to-file", "f"),
        file("file", "new"),
    ];
    let wanted = [
        "d to 755 0:0",
        "d to/file-to-dir 755 0:0",
        "d to/link-to-dir 755 0:0",
        "d to/merged 750 0:0",
        "f to/dir-to-file f 644 0:0",
        "f to/file new 644 0:0",
        "f to/file-to-dir/in in 644 0:0",
        "f to/link-to-dir/in in 644 0:0",
        "f to/link-to-file f 644 0:0",
        "f to/merged/new new 644 0:0",
        "f to/merged/old old 644 0:0",
        "f to/other old 644 0:0",
        "l to/dir-to-link merged 0:0",
    ];
    assert_eq!(Add::tar(&lower, &items, "/to").merged(), wanted);
}

#[test]
fn add_makes_a_replaced_directory_hide_what_was_in_it() {
    if !can_mount() {
        return;
    }
    // The directory of the image goes and comes again: nothing of the old one may show through.
    let items = [file("d", "file"), dir("d"), file("d/new", "new")];
    let wanted = ["d to 755 0:0", "d to/d 755 0:0", "f to/d/new new 644 0:0"];
    assert_eq!(Add::tar(&["f to/d/old old", "f to/d/sub/old old"], &items, "/to").merged(), wanted);
}

#[test]
fn add_removes_directories_deeper_than_the_open_files_go() {
    if !can_mount() {
        return;
    }
    let deep = vec!["d"; 1500].join("/");
    let add = Add::tar(&[], &[file("d", "file")], "/to");
    plant(&add.bench.path("lower"), &[&format!("f to/{deep}/f x"), "f to/d/side/f x"]);
    assert_eq!(add.merged(), ["d to 755 0:0", "f to/d file 644 0:0"]);
}

#[test]
fn add_takes_owner_mode_and_time_from_the_headers() {
    if !can_mount() {
        return;
    }
    let timed = |item: Item, text: &str| item.pax("mtime", text);
    let items = [
        timed(dir("d").ids(7, 8).mode(0o1711), "1000.25"),
        timed(file("d/suid", "x").ids(1_000_000, 2).mode(0o4755), "-5.5"),
        timed(symlink("d/l", "nowhere").ids(9, 10), "33.125"),
        timed(fifo("d/p").ids(3, 4).mode(0o620), "44"),
        file("d/big", "x").pax("uid", "3000000").pax("gid", "3000001"),
    ];
    let add = Add::tar(&["d etc", "f etc/passwd app:x:1:1::/:"], &items, "/to");
    let wanted = [
        "d to 755 0:0",
        "d to/d 1711 7:8",
        "f to/d/big x 644 3000000:3000001",
        "f to/d/suid x 4755 1000000:2",
        "l to/d/l nowhere 9:10",
        "p to/d/p 620 3:4",
    ];
    assert_eq!(add.changes(), wanted);
    let time = |name: &str| {
        let meta = std::fs::symlink_metadata(add.bench.path("upper/to").join(name)).unwrap();
        (meta.mtime(), meta.mtime_nsec())
    };
    assert_eq!(time("d"), (1000, 250_000_000), "the time of a directory outlives what is made in it");
    assert_eq!(time("d/suid"), (-6, 500_000_000));
    assert_eq!(time("d/l"), (33, 125_000_000));
    assert_eq!(time("d/p"), (44, 0));
}

#[test]
fn add_applies_chown_to_all_entries_and_to_what_it_creates() {
    if !can_mount() {
        return;
    }
    let items = [
        dir("d").ids(1, 1),
        file("d/f", "x").ids(2, 2).mode(0o4711),
        hardlink("d/h", "d/f"),
        symlink("d/l", "f").ids(3, 3),
        fifo("d/p").ids(4, 4),
        file("implied/f", "x"),
    ];
    let wanted = [
        "d n 755 70:80",
        "d n/to 755 70:80",
        "d n/to/d 755 70:80",
        "d n/to/implied 755 70:80",
        "f n/to/d/f x 4711 70:80",
        "f n/to/d/h x 4711 70:80",
        "f n/to/implied/f x 644 70:80",
        "l n/to/d/l f 70:80",
        "p n/to/d/p 600 70:80",
    ];
    assert_eq!(Add::tar(&[], &items, "/n/to").with("chown", json!("70:80")).changes(), wanted);
}

#[test]
fn add_leaves_the_destination_itself_as_it_is() {
    if !can_mount() {
        return;
    }
    for name in ["./", ".", "/", "..", "a/.."] {
        let items = [dir(name).ids(5, 6).mode(0o700), file("./f", "x")];
        assert_eq!(Add::tar(&["d to 711"], &items, "/to").changes(), ["d to 711 0:0", "f to/f x 644 0:0"], "{name}");
        assert_eq!(Add::tar(&[], &items, "/to").changes(), ["d to 755 0:0", "f to/f x 644 0:0"], "{name}");
    }
}

#[test]
fn add_makes_missing_parents_and_keeps_whiteout_names_literal() {
    if !can_mount() {
        return;
    }
    let items = [file("a/b/.wh.c", "x"), file(".wh..wh..opq", "y"), dir(".wh.d")];
    let add = Add::tar(&["f to/a/b/c old", "f to/d old"], &items, "/to");
    let wanted = [
        "d to 755 0:0",
        "d to/.wh.d 755 0:0",
        "d to/a 755 0:0",
        "d to/a/b 755 0:0",
        "f to/.wh..wh..opq y 644 0:0",
        "f to/a/b/.wh.c x 644 0:0",
        "f to/a/b/c old 644 0:0",
        "f to/d old 644 0:0",
    ];
    assert_eq!(add.merged(), wanted);
}

#[test]
fn add_keeps_extended_attributes_and_capabilities() {
    if !can_mount() {
        return;
    }
    // cap_net_bind_service=ep, version 2.
    let caps = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let items = [
        file("f", "x")
            .ids(7, 7)
            .mode(0o755)
            .pax("SCHILY.xattr.security.capability", caps)
            .pax("SCHILY.xattr.user.k", b"\0v"),
        dir("d").pax("SCHILY.xattr.user.dir", "v"),
    ];
    let add = Add::tar(&[], &items, "/to");
    expect_result(add.run().1);
    let read = |name: &str, key: &str| {
        let mut value = [0_u8; 64];
        let length = rustix::fs::getxattr(add.bench.path("upper/to").join(name), key, &mut value).unwrap();
        value[..length].to_vec()
    };
    assert_eq!(read("f", "security.capability"), caps);
    assert_eq!(read("f", "user.k"), b"\0v");
    assert_eq!(read("d", "user.dir"), b"v");
}

#[test]
fn add_warns_once_of_attributes_that_cannot_be_set() {
    if !can_mount() {
        return;
    }
    let broken = |name: &str| file(name, "x").pax("SCHILY.xattr.security.capability", "no capabilities");
    let add = Add::tar(&[], &[broken("a"), broken("b").pax("SCHILY.xattr.user.k", "v")], "/to");
    let (before, last) = add.run();
    expect_result(last);
    let codes: Vec<&str> = before.iter().filter_map(|line| line["code"].as_str()).collect();
    assert_eq!(codes, ["xattr-not-copied"], "{before:?}");
    assert!(before[0]["message"].as_str().unwrap().contains("/to/a"), "{before:?}");
    let kept = rustix::fs::getxattr(add.bench.path("upper/to/b"), "user.k", &mut [0_u8; 8][..]);
    assert_eq!(kept, Ok(1), "the others are set");
}

#[test]
fn add_does_not_let_an_archive_set_the_marks_of_overlayfs() {
    if !can_mount() {
        return;
    }
    let marks = ["trusted.overlay.opaque", "user.overlay.opaque", "trusted.overlay.redirect", "security.selinux"];
    let marked = marks.iter().fold(dir("d"), |item, key| item.pax(&format!("SCHILY.xattr.{key}"), "y"));
    let add = Add::tar(&["f to/d/old old"], &[marked], "/to");
    assert!(add.merged().contains(&"f to/d/old old 644 0:0".to_owned()), "the directory is not opaque");
    for key in marks {
        let got = rustix::fs::getxattr(add.bench.path("upper/to/d"), key, &mut [0_u8; 64][..]);
        assert!(got.is_err(), "{key}");
    }
}

#[test]
fn add_makes_hard_links_within_the_destination() {
    if !can_mount() {
        return;
    }
    let items = [
        file("a", "x"),
        hardlink("b", "a"),
        hardlink("sub/c", "./b"),
        hardlink("a", "a"),
        symlink("l", "a"),
        hardlink("l2", "l"),
        hardlink("image", "old"),
    ];
    let add = Add::tar(&["f to/old old"], &items, "/to");
    chown(add.bench.path("lower/to/old"), Some(5), Some(5)).unwrap();
    let wanted = [
        "d to 755 0:0",
        "d to/sub 755 0:0",
        "f to/a x 644 0:0",
        "f to/b x 644 0:0",
        "f to/image old 644 5:5",
        "f to/old old 644 5:5",
        "f to/sub/c x 644 0:0",
        "l to/l a 0:0",
        "l to/l2 a 0:0",
    ];
    assert_eq!(add.merged(), wanted);
    let inode = |name: &str| std::fs::symlink_metadata(add.bench.path("upper/to").join(name)).unwrap().ino();
    assert_eq!([inode("a"), inode("a")], [inode("b"), inode("sub/c")]);
    assert_eq!(inode("l"), inode("l2"), "the link itself has two names");
    for (link, why) in [("missing", "does not exist"), ("d", "is a directory"), (".", "is the destination itself")] {
        let message = Add::tar(&[], &[dir("d"), hardlink("h", link)], "/to").error("ERR_ADD_ARCHIVE");
        assert!(message.contains(why) && message.ends_with("(entry 2, \"h\")"), "{message}");
    }
}

#[test]
fn add_makes_devices_as_root_only() {
    if !can_mount() {
        return;
    }
    let add = Add::tar(&[], &[device("null", 1, 3).mode(0o666).ids(0, 5)], "/to");
    assert_eq!(add.changes(), ["c to/null 666 0:5", "d to 755 0:0"]);
    assert_eq!(std::fs::metadata(add.bench.path("upper/to/null")).unwrap().rdev(), rustix::fs::makedev(1, 3));
    let message = Add::tar(&["f to/x old"], &[device("x", 0, 0)], "/to").error("ERR_DEVICE_FORBIDDEN");
    assert!(message.contains("/to/x") && message.contains("whiteout"), "{message}");
}

#[test]
fn rootless_add_unpacks_and_refuses_devices_and_foreign_owners() {
    if !can_mount_rootless() {
        return;
    }
    let run = |items: &[Item]| {
        let add = Add::tar(&["f to/d/old old"], items, "/to");
        let reply = call_rootless(&add.request());
        add.bench.check_host();
        (add, reply)
    };
    let (add, reply) = run(&[file("d", "file"), dir("d"), file("d/new", "x").mode(0o4755)]);
    expect_result(reply);
    let lines = listing(&add.bench.path("upper"));
    assert!(lines.iter().any(|line| line.starts_with("f to/d/new x 4755")), "{lines:?}");
    let (_, reply) = run(&[device("null", 1, 3)]);
    expect_error(&reply, "ERR_DEVICE_FORBIDDEN");
    assert!(reply["message"].as_str().unwrap().contains("real root"), "{reply}");
    let (_, reply) = run(&[file("f", "x").ids(5, 5)]);
    expect_error(&reply, "ERR_ROOTLESS_IDMAP");
}
