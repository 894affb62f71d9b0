//! What is an archive, and every form of one.

use super::fixture::*;
use crate::files_support::{Bench, selection, settled};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn simple() -> Vec<u8> {
    tar(&[dir("d"), file("d/f", "content")])
}

const UNPACKED: [&str; 3] = ["d to 755 0:0", "d to/d 755 0:0", "f to/d/f content 644 0:0"];

#[test]
fn add_unpacks_by_content_whatever_the_name_is() {
    if !can_mount() {
        return;
    }
    for (suffix, compress) in compressions() {
        for name in [format!("a.{suffix}"), "plain.txt".to_owned(), "noname".to_owned()] {
            let add = Add::of(&[], &[&name], "/to").file(&name, &compress(&simple()));
            assert_eq!(add.changes(), UNPACKED, "{name}");
        }
    }
}

#[test]
fn add_copies_a_compressed_file_that_is_no_tar() {
    if !can_mount() {
        return;
    }
    for (suffix, compress) in compressions() {
        let name = format!("foo.{suffix}");
        let bytes = compress(&b"no archive at all, but longer than one block".repeat(40));
        let add = Add::of(&[], &[&name], "/to/").file(&name, &bytes);
        expect_result(add.run().1);
        assert_eq!(std::fs::read(add.bench.path("upper/to").join(&name)).unwrap(), bytes, "{name}");
    }
}

#[test]
fn add_copies_an_empty_tar_and_what_only_looks_like_an_archive() {
    if !can_mount() {
        return;
    }
    let mut wrong = simple();
    wrong[0] ^= 1;
    let cut = gzip(&simple())[..40].to_vec();
    let empty = vec![0; 10_240];
    let magics = [&b"\x1f\x8b\x08"[..], b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"", b"x"];
    let plain = [empty.clone(), gzip(&empty), wrong, cut, simple()[..511].to_vec()];
    for bytes in plain.into_iter().chain(magics.map(<[u8]>::to_vec)) {
        let add = Add::of(&[], &["x.tar"], "/to/").file("x.tar", &bytes);
        expect_result(add.run().1);
        assert_eq!(std::fs::read(add.bench.path("upper/to/x.tar")).unwrap(), bytes);
    }
}

#[test]
fn add_unpacks_nothing_with_unpack_false_or_from_a_directory() {
    if !can_mount() {
        return;
    }
    let add = Add::of(&[], &["a.tar"], "/to/").file("a.tar", &simple()).with("unpack", json!(false));
    expect_result(add.run().1);
    assert_eq!(std::fs::read(add.bench.path("upper/to/a.tar")).unwrap(), simple());
    let add = Add::of(&[], &["dir"], "/to/");
    plant(&add.bench.path("context"), &["d dir"]);
    let add = add.file("dir/a.tar", &simple());
    expect_result(add.run().1);
    assert_eq!(std::fs::read(add.bench.path("upper/to/a.tar")).unwrap(), simple());
}

#[test]
fn add_follows_a_symlink_to_an_archive() {
    if !can_mount() {
        return;
    }
    let add = Add::of(&[], &["link"], "/to").file("a.tar", &simple());
    plant(&add.bench.path("context"), &["l link a.tar"]);
    assert_eq!(add.changes(), UNPACKED);
}

#[test]
fn add_unpacks_each_match_of_a_wildcard_and_copies_the_rest() {
    if !can_mount() {
        return;
    }
    let archive = |name: &str, text: &str| tar(&[file(name, text), file("both", text)]);
    let add = Add::of(&[], &["*.tar", "z.txt", "dir"], "/to/")
        .file("1.tar", &archive("one", "1"))
        .file("2.tar", &gzip(&archive("two", "2")))
        .file("3.tar", b"none")
        .file("z.txt", b"z");
    plant(&add.bench.path("context"), &["f dir/in-dir x"]);
    let wanted = [
        "d to 755 0:0",
        "f to/3.tar none 644 0:0",
        "f to/both 2 644 0:0",
        "f to/in-dir x 644 0:0",
        "f to/one 1 644 0:0",
        "f to/two 2 644 0:0",
        "f to/z.txt z 644 0:0",
    ];
    assert_eq!(add.changes(), wanted);
}

#[test]
fn add_reads_streams_that_stand_one_after_the_other() {
    if !can_mount() {
        return;
    }
    let bytes = simple();
    for (suffix, compress) in compressions().into_iter().skip(1) {
        let (head, tail) = bytes.split_at(700);
        let joined = [compress(head), compress(tail), vec![0; 8]].concat();
        let add = Add::of(&[], &["a"], "/to").file("a", &joined);
        assert_eq!(add.changes(), UNPACKED, "{suffix}");
    }
    // A skippable frame in front, as pzstd writes it.
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], zstd(&bytes).as_slice()].concat();
    assert_eq!(Add::of(&[], &["a"], "/to").file("a", &skippable).changes(), UNPACKED);
}

#[test]
fn add_ignores_what_follows_the_archive() {
    if !can_mount() {
        return;
    }
    for (suffix, compress) in compressions() {
        for bytes in [
            [compress(&simple()), b"a signature, not an archive".to_vec()].concat(),
            compress(&[simple(), b"garbage behind the end of the tar".to_vec()].concat()),
            compress(&simple()[..simple().len() - 1024]),
            compress(&simple()[..simple().len() - 512]),
        ] {
            let add = Add::of(&[], &["a"], "/to").file("a", &bytes);
            assert_eq!(add.changes(), UNPACKED, "{suffix}");
        }
    }
}

#[test]
fn add_refuses_archives_that_are_cut_off_or_damaged() {
    if !can_mount() {
        return;
    }
    // Large enough that nothing of it is only found when the first header is read.
    let noise = noise(600_000);
    let whole = tar(&[file("first", "1"), file("second", &noise)]);
    for (suffix, compress) in compressions() {
        let bytes = compress(&whole);
        let cut = &bytes[..bytes.len() * 3 / 4];
        let add = Add::of(&[], &["a"], "/to").file("a", cut);
        let message = add.error("ERR_ADD_ARCHIVE");
        assert!(message.starts_with("cannot unpack \"a\": "), "{suffix}: {message}");
        assert!(message.contains("in the middle") || message.contains("damaged"), "{suffix}: {message}");
    }
    // The checksum at the end of the stream is the only thing wrong.
    let mut wrong = gzip(&whole);
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    let message = Add::of(&[], &["a"], "/to").file("a", &wrong).error("ERR_ADD_ARCHIVE");
    assert!(message.contains("damaged"), "{message}");
    let mut header = whole.clone();
    header[1024] ^= 1;
    let message = Add::of(&[], &["a"], "/to").file("a", &header).error("ERR_ADD_ARCHIVE");
    assert_eq!(message, "cannot unpack \"a\": the checksum of a tar header is wrong (entry 1, \"first\")");
}

/// Runs GNU tar in a folder with a file of 1 MiB with holes, a long name and links; gives the archive.
fn gnu_tar(flags: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let long = "n".repeat(60);
    let script = format!(
        "mkdir in && cd in && mkdir {long} {long}/{long} && echo long > {long}/{long}/{long}
         dd if=/dev/zero of=holes bs=1 count=0 seek=1048576 2>/dev/null
         printf begin | dd of=holes conv=notrunc 2>/dev/null
         printf middle | dd of=holes bs=1 seek=500000 conv=notrunc 2>/dev/null
         echo x > f && ln f hard && ln -s f soft
         tar {flags} -cf ../out.tar ."
    );
    let done = std::process::Command::new("sh").args(["-euc", &script]).current_dir(dir.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(dir.path().join("out.tar")).unwrap()
}

#[test]
fn add_reads_the_formats_of_gnu_tar_with_sparse_files() {
    if !can_mount() {
        return;
    }
    let mut content = vec![0_u8; 1 << 20];
    content[..5].copy_from_slice(b"begin");
    content[500_000..500_006].copy_from_slice(b"middle");
    for flags in [
        "--format=gnu",
        "--format=pax",
        "--format=gnu -S",
        "--format=pax -S --sparse-version=0.0",
        "--format=pax -S --sparse-version=0.1",
        "--format=pax -S --sparse-version=1.0",
        "--format=gnu -V label",
    ] {
        let bytes = gnu_tar(flags);
        assert!(!flags.contains("-S") || bytes.len() < 200_000, "{flags}: the archive is not sparse");
        let add = Add::of(&[], &["a"], "/to").file("a", &bytes);
        expect_result(add.run().1);
        let to = add.bench.path("upper/to");
        assert!(std::fs::read(to.join("holes")).unwrap() == content, "{flags}");
        if flags.contains("-S") {
            assert!(std::fs::metadata(to.join("holes")).unwrap().blocks() < 600, "{flags}: holes were filled");
        }
        let long = "n".repeat(60);
        assert_eq!(std::fs::read(to.join(&long).join(&long).join(&long)).unwrap(), b"long\n", "{flags}");
        let inode = |name: &str| std::fs::metadata(to.join(name)).unwrap().ino();
        assert_eq!(inode("f"), inode("hard"), "{flags}");
        assert_eq!(std::fs::read_link(to.join("soft")).unwrap(), Path::new("f"), "{flags}");
    }
}

#[test]
fn add_reads_sparse_maps_of_many_pieces() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "
import os
with open('holes', 'wb') as f:
    for at in range(100):
        f.seek(at * 65536)
        f.write(b'%03d' % at)
    f.truncate(100 * 65536 + 5)
for name, flags in (('gnu', '--format=gnu'), ('p0', '--format=pax --sparse-version=0.0'),
                    ('p1', '--format=pax --sparse-version=0.1'), ('p2', '--format=pax --sparse-version=1.0')):
    assert os.system(f'tar {flags} -S -cf {name}.tar holes') == 0
";
    let done = std::process::Command::new("python3").args(["-c", script]).current_dir(dir.path()).status().unwrap();
    assert!(done.success());
    let content = std::fs::read(dir.path().join("holes")).unwrap();
    for name in ["gnu", "p0", "p1", "p2"] {
        let bytes = std::fs::read(dir.path().join(format!("{name}.tar"))).unwrap();
        let add = Add::of(&[], &["a"], "/to").file("a", &bytes);
        expect_result(add.run().1);
        assert!(std::fs::read(add.bench.path("upper/to/holes")).unwrap() == content, "{name}");
    }
}

#[test]
fn add_reads_old_v7_archives() {
    if !can_mount() {
        return;
    }
    let v7 = |item: &Item| {
        let mut bytes = item.bytes();
        bytes[257..512].fill(0);
        checksum(&mut bytes);
        bytes
    };
    // A directory is told by its slash alone.
    let mut folder = file("d/", "");
    folder.kind = 0;
    let mut inside = file("d/f", "content");
    inside.kind = 0;
    let bytes = [v7(&folder.mode(0o755)), v7(&inside), vec![0; 1024]].concat();
    assert_eq!(Add::of(&[], &["a"], "/to").file("a", &bytes).changes(), UNPACKED);
}

#[test]
fn add_verifies_the_content_digest_of_the_archive() {
    if !can_mount() {
        return;
    }
    for (_, compress) in compressions() {
        // Bytes behind the archive count too.
        let bytes = [compress(&simple()), b"signature".to_vec()].concat();
        let add = Add::of(&[], &["a"], "/to").file("a", &bytes);
        let scanned = settled(&add.bench, &selection(&["a"]));
        let digest = scanned["selections"][0]["digest"].clone();
        // Once with what is known of the file, once with nothing.
        for fingerprints in [true, false] {
            if !fingerprints {
                std::fs::remove_file(add.bench.path("fingerprints")).unwrap();
            }
            let again = Add { bench: Bench::new(), ..Add::of(&[], &["a"], "/to") };
            let again = again.with("from", add.bench.directory(&[])).with("expect", digest.clone());
            assert_eq!(again.changes(), UNPACKED);
        }
        std::fs::write(add.bench.path("context/a"), [bytes, b"!".to_vec()].concat()).unwrap();
        let changed = Add::of(&[], &["a"], "/to").with("from", add.bench.directory(&[])).with("expect", digest);
        changed.error("ERR_CONTEXT_CHANGED");
    }
}

#[test]
fn add_warns_of_flags_that_archives_do_not_heed() {
    if !can_mount() {
        return;
    }
    let selection = json!({"sources": ["a.tar"], "exclude": ["d"], "parents": false, "uncounted": []});
    for (add, wanted) in [
        (Add::tar(&[], &[dir("d")], "/to").with("chmod", json!("600")), "--chmod does not apply"),
        (Add::tar(&[], &[dir("d")], "/to").with("selection", selection.clone()), "--exclude does not apply"),
        (
            Add::tar(&[], &[dir("d")], "/to").with("selection", selection).with("chmod", json!("600")),
            "--chmod and --exclude do not apply",
        ),
    ] {
        let (before, last) = add.run();
        expect_result(last);
        let warnings: Vec<&Value> = before.iter().filter(|line| line["event"] == "warning").collect();
        assert_eq!(warnings.len(), 1, "{before:?}");
        let message = warnings[0]["message"].as_str().unwrap();
        assert!(message.starts_with(wanted) && message.contains("\"a.tar\""), "{message}");
        assert_eq!(warnings[0]["code"], "add-flags-ignored");
        assert_eq!(crate::files_support::listing(&add.bench.path("upper")), ["d to 755 0:0", "d to/d 755 0:0"]);
    }
    for add in
        [Add::tar(&[], &[dir("d")], "/to"), Add::of(&[], &["f"], "/to").file("f", b"x").with("chmod", json!("600"))]
    {
        assert!(add.run().0.is_empty(), "there is nothing to warn of");
    }
}
