//! Archives that try to get out, to lie or to exhaust: ADD either unpacks inside the destination or refuses.

use super::fixture::*;
use crate::files_support::listing;
use std::collections::BTreeSet;

/// What stands in the image beside the destination and must not change.
const IMAGE: &[&str] = &[
    "f etc/passwd root",
    "f canary inside",
    "d srv/to 755",
    "f srv/side old",
    "l srv/to/out ../../etc",
    "l srv/to/abs /etc",
];

/// Unpacks into `/srv/to`; whatever happens nothing outside of it changes.
fn attack(items: &[Item]) -> Result<Vec<String>, String> {
    attack_with(&tar(items))
}

fn attack_with(archive: &[u8]) -> Result<Vec<String>, String> {
    let add = Add::of(IMAGE, &["a.tar"], "/srv/to").file("a.tar", archive);
    let reply = add.run().1;
    let upper = add.bench.path("upper");
    let changed = listing(&upper);
    for line in &changed {
        let name = line.split(' ').nth(1).unwrap();
        assert!(name == "srv" || name == "srv/to" || name.starts_with("srv/to/"), "{line} {reply}");
    }
    if reply["event"] == "error" {
        assert_eq!(reply["kind"], "user", "{reply}");
        let message = reply["message"].as_str().unwrap();
        assert!(!message.contains(add.bench.path("").to_str().unwrap()), "a host path leaks: {message}");
        assert!(message.len() < 2000, "{message}");
        return Err(reply["code"].as_str().unwrap().to_owned());
    }
    Ok(changed.into_iter().filter(|line| line.contains("srv/to/")).collect())
}

fn unpacked(items: &[Item]) -> Vec<String> {
    attack(items).unwrap()
}

#[test]
fn add_resolves_every_name_inside_the_destination() {
    if !can_mount() {
        return;
    }
    for (name, wanted) in [
        ("../../etc/passwd", "f srv/to/etc/passwd x 644 0:0"),
        ("/etc/passwd", "f srv/to/etc/passwd x 644 0:0"),
        ("//canary", "f srv/to/canary x 644 0:0"),
        ("a/../../../canary", "f srv/to/canary x 644 0:0"),
        ("..", ""),
        ("../side", "f srv/to/side x 644 0:0"),
    ] {
        match attack(&[file(name, "x")]) {
            Ok(lines) => assert!(lines.contains(&wanted.to_owned()), "{name} {lines:?}"),
            Err(code) => assert_eq!((code.as_str(), wanted), ("ERR_ADD_ARCHIVE", ""), "{name}"),
        }
    }
    // Symlinks of the image and of the archive are stored as they are, and lead nowhere else.
    for link in ["out", "abs"] {
        assert_eq!(
            unpacked(&[file(format!("{link}/passwd"), "x")]),
            ["d srv/to/etc 755 0:0", "f srv/to/etc/passwd x 644 0:0"]
        );
    }
    for target in ["/etc", "../../etc", "../../../../../../etc", "/proc/self/root/etc", "abs"] {
        let lines = unpacked(&[symlink("l", target), file("l/passwd", "x")]);
        assert!(lines.contains(&format!("l srv/to/l {target} 0:0")), "{lines:?}");
        assert!(lines.iter().any(|line| line.ends_with("etc/passwd x 644 0:0")), "{lines:?}");
    }
}

#[test]
fn add_is_not_misled_by_links_that_change_between_entries() {
    if !can_mount() {
        return;
    }
    // The name is a directory, then a link, then a directory again: what is resolved is never remembered too long.
    let lines = unpacked(&[
        dir("d"),
        file("d/one", "1"),
        symlink("d", "/etc"),
        file("d/passwd", "2"),
        dir("d"),
        file("d/three", "3"),
    ]);
    let wanted =
        ["d srv/to/d 755 0:0", "d srv/to/etc 755 0:0", "f srv/to/d/three 3 644 0:0", "f srv/to/etc/passwd 2 644 0:0"];
    assert_eq!(lines, wanted);
    // A chain that is redirected in its middle.
    let lines = unpacked(&[
        dir("a"),
        dir("b"),
        symlink("x", "y"),
        symlink("y", "a"),
        file("x/f", "1"),
        symlink("y", "b"),
        file("x/f", "2"),
    ]);
    assert!(
        lines.contains(&"f srv/to/a/f 1 644 0:0".to_owned()) && lines.contains(&"f srv/to/b/f 2 644 0:0".to_owned()),
        "{lines:?}"
    );
    // A file is written through no link: the link is replaced.
    assert_eq!(unpacked(&[symlink("f", "/etc/passwd"), file("f", "x")]), ["f srv/to/f x 644 0:0"]);
}

#[test]
fn add_links_to_nothing_outside_of_the_destination() {
    if !can_mount() {
        return;
    }
    for target in ["../side", "/etc/passwd", "../../etc/passwd", "out/passwd", "abs/passwd", "/proc/self/exe"] {
        assert_eq!(attack(&[hardlink("h", target)]), Err("ERR_ADD_ARCHIVE".to_owned()), "{target}");
    }
    // A second name of a link does not make it lead anywhere else, nor is it written through.
    let lines = unpacked(&[symlink("l", "/etc/passwd"), hardlink("h", "l"), file("h", "x")]);
    assert_eq!(lines, ["f srv/to/h x 644 0:0", "l srv/to/l /etc/passwd 0:0"]);
    assert_eq!(attack(&[symlink("l", "/etc"), hardlink("h", "l/passwd")]), Err("ERR_ADD_ARCHIVE".to_owned()));
    // The target goes with the directory that the link replaces.
    assert_eq!(attack(&[file("d/f", "x"), hardlink("d", "d/f")]), Err("ERR_ADD_ARCHIVE".to_owned()));
}

#[test]
fn add_does_not_replace_the_destination_itself() {
    if !can_mount() {
        return;
    }
    for name in [".", "./", "/", "..", "a/..", ""] {
        for item in [symlink(name, "/etc"), file(name, "x"), hardlink(name, "out"), fifo(name)] {
            let kind = item.kind;
            let code = attack(&[file("f", "x"), item]);
            // A name that ends with a slash says directory, whatever the type of a file.
            if !(name == "./" || name == "/") || kind != b'0' {
                assert_eq!(code, Err("ERR_ADD_ARCHIVE".to_owned()), "{name:?} {kind}");
            }
        }
    }
}

#[test]
fn add_refuses_what_leads_through_files_or_in_circles() {
    if !can_mount() {
        return;
    }
    for items in [
        vec![file("f", "x"), file("f/below", "x")],
        vec![symlink("self", "self"), file("self/f", "x")],
        vec![symlink("a", "b"), symlink("b", "a"), file("a/f", "x")],
        vec![file("short", "x").pax("path", "n".repeat(256))],
        vec![dir("d"), file("d/f", "x").pax("path", format!("d/{}", "n".repeat(300)))],
        vec![file("short", "x").pax("path", vec!["d"; 10_000].join("/"))],
        vec![file("short", "x").pax("path", "n".repeat(1 << 20))],
    ] {
        assert_eq!(attack(&items), Err("ERR_ADD_ARCHIVE".to_owned()));
    }
    let loops: Vec<Item> = (0..60).map(|at| symlink(format!("l{at}"), &format!("l{}", at + 1))).collect();
    assert_eq!(attack(&[loops, vec![file("l0/f", "x")]].concat()), Err("ERR_ADD_ARCHIVE".to_owned()));
}

#[test]
fn add_unpacks_a_tree_of_any_depth_that_has_a_name() {
    if !can_mount() {
        return;
    }
    let deep = vec!["d"; 2000].join("/");
    let lines = unpacked(&[file("x", "deep").pax("path", format!("{deep}/f"))]);
    assert_eq!(lines.len(), 2001);
    // Through links a tree could grow beyond every name: that ends with an error.
    let mut items = vec![file("x", "x").pax("path", format!("{deep}/f")), symlink("l0", "").pax("linkpath", &deep)];
    for at in 0..4 {
        items.push(file("x", "x").pax("path", format!("l{at}/{}/f", vec!["e"; 1500].join("/"))));
        let target = format!("l{at}/{}", vec!["e"; 1500].join("/"));
        items.push(symlink(format!("l{}", at + 1), "").pax("linkpath", target));
    }
    assert_eq!(attack(&items), Err("ERR_ADD_ARCHIVE".to_owned()));
}

#[test]
fn add_takes_names_of_any_bytes() {
    if !can_mount() {
        return;
    }
    for name in [&b"new\nline"[..], b"\xff\xfe", b"a\tb", b"-rf", b"c:\\x", b" "] {
        let lines = unpacked(&[file(name, "x")]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0], format!("f srv/to/{} x 644 0:0", String::from_utf8_lossy(name)));
    }
    assert_eq!(attack(&[file("x", "x").pax("path", b"a\0b")]), Err("ERR_ADD_ARCHIVE".to_owned()));
    assert_eq!(attack(&[symlink("l", "x").pax("linkpath", b"a\0b")]), Err("ERR_ADD_ARCHIVE".to_owned()));
    assert_eq!(attack(&[symlink("l", "")]), Err("ERR_ADD_ARCHIVE".to_owned()));
}

/// An entry whose header has other bytes at `at`.
fn patched(item: &Item, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = item.bytes();
    out[at..at + bytes.len()].copy_from_slice(bytes);
    checksum(&mut out);
    [out, vec![0; 1024]].concat()
}

#[test]
fn add_refuses_numbers_that_are_out_of_range() {
    if !can_mount() {
        return;
    }
    let f = file("f", "12345");
    let huge = [&[0x80, 0, 0, 0, 0x7f][..], &[0xff; 7]].concat();
    for (at, bytes) in [
        (124, &[0xff; 12][..]),
        (124, &huge),
        (124, b"77777777777\0"),
        (124, b"-0000000005\0"),
        (124, b"0000000000x\0"),
        (108, &[0xff; 8]),
        (108, b"\x80\0\0\0\xff\xff\xff\xff"),
        (116, b"\x80\0\0\x01\0\0\0\0"),
        (136, &huge[..1]),
        (156, b"Q"),
        (156, b"M"),
    ] {
        let got = attack_with(&patched(&f, at, bytes));
        if at != 136 {
            assert_eq!(got, Err("ERR_ADD_ARCHIVE".to_owned()), "{at} {bytes:?}");
        }
    }
    // Times before 1970 and beyond every file system are times all the same.
    for time in [&[0xff; 12][..], &[&[0x80][..], &[0; 3], &[0x7f], &[0xff; 7]].concat()] {
        assert_eq!(attack_with(&patched(&f, 136, time)), Ok(vec!["f srv/to/f 12345 644 0:0".to_owned()]));
    }
}

#[test]
fn add_refuses_sparse_maps_that_lie() {
    if !can_mount() {
        return;
    }
    let p01 = |map: &str, size: &str| {
        file("f", "12345").pax("GNU.sparse.size", size).pax("GNU.sparse.numblocks", "1").pax("GNU.sparse.map", map)
    };
    let p10 = |text: &str, size: &str| {
        let mut data = text.as_bytes().to_vec();
        data.resize(data.len().next_multiple_of(512), 0);
        data.extend(b"12345");
        let mut item = file("made-up", "").pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0");
        item.data = data;
        item.pax("GNU.sparse.name", "f").pax("GNU.sparse.realsize", size)
    };
    assert_eq!(unpacked(&[p01("3,5", "8")]), ["f srv/to/f \0\0\x0012345 644 0:0"]);
    assert_eq!(unpacked(&[p10("1\n3\n5\n", "8")]), ["f srv/to/f \0\0\x0012345 644 0:0"]);
    for item in [
        p01("3,5", "7"),
        p01("0,4", "100"),
        p01("0,6", "100"),
        p01("0,3,2,2", "100"),
        p01("5,2,0,3", "100"),
        p01("0", "100"),
        p01("0,x", "100"),
        p01("9223372036854775807,5", "9223372036854775807"),
        p01("0,5", "9223372036854775807"),
        p10("1\n3\n6\n", "9"),
        p10("2\n3\n5\n", "8"),
        p10("99999999999999999999\n", "8"),
        p10("1000000000000000000\n3\n5\n", "8"),
        p10("x\n3\n5\n", "8"),
        p10("\n\n\n", "8"),
        file("f", "12345").pax("GNU.sparse.major", "2").pax("GNU.sparse.minor", "0").pax("GNU.sparse.size", "5"),
        file("f", "12345").pax("GNU.sparse.map", "0,5"),
        file("f", "12345").pax("GNU.sparse.numbytes", "5"),
    ] {
        assert_eq!(attack(std::slice::from_ref(&item)), Err("ERR_ADD_ARCHIVE".to_owned()), "{:?}", item.pax);
    }
    // The old format: more blocks of the map than there are, and a map that holds other bytes than the entry.
    let mut old = file("f", "12345");
    old.kind = b'S';
    for (at, bytes) in [(482, &b"\x01"[..]), (386, b"00000000000\x0000000000077\0"), (483, b"\xff\xff")] {
        assert_eq!(attack_with(&patched(&old, at, bytes)), Err("ERR_ADD_ARCHIVE".to_owned()), "{at}");
    }
}

#[test]
fn add_refuses_archives_that_unpack_to_too_much() {
    if !can_mount() {
        return;
    }
    // Zeros in a few kilobytes: stopped by the ratio soon after the first GiB. Holes cost no disk.
    let head = header(&file("zeros", ""), 1200 << 20);
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    std::io::Write::write_all(&mut encoder, &head).unwrap();
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..1200 {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    let add = Add::of(IMAGE, &["a.tar"], "/srv/to").file("a.tar", &encoder.finish().unwrap());
    let message = add.error("ERR_ADD_ARCHIVE");
    assert!(message.contains("more than 1000 times as many"), "{message}");
    // A size without bytes: one that is told only, and holes of more than everything may have.
    assert_eq!(attack_with(&header(&file("f", ""), 0o7_777_777_777)), Err("ERR_ADD_ARCHIVE".to_owned()));
    let holes = file("f", "").pax("GNU.sparse.size", "70000000000").pax("GNU.sparse.map", "");
    assert_eq!(attack(&[holes]), Err("ERR_ADD_ARCHIVE".to_owned()));
}

#[test]
fn add_unpacks_many_tiny_entries_in_bounded_memory() {
    if !can_mount() {
        return;
    }
    // The same few names over and over: many entries that leave no files to wait for.
    let few: Vec<u8> = (0..100).flat_map(|at| file(format!("d/{at}"), "").bytes()).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..2_000 {
        std::io::Write::write_all(&mut encoder, &few).unwrap();
    }
    let add = Add::of(&[], &["a"], "/to").file("a", &encoder.finish().unwrap());
    let script = "ulimit -v 200000; exec \"$0\"";
    let reply = add.run_in_shell(script);
    let result = expect_result(reply);
    assert_eq!(result["files"], 200_000);
    assert_eq!(listing(&add.bench.path("upper")).len(), 102);
}

/// A generator of numbers that is the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// Archives whose blocks matter: links, extensions, sparse files, odd names.
fn seeds() -> Vec<Vec<u8>> {
    let mut old = file("old-sparse", "12345");
    old.kind = b'S';
    let mut long = file("x", "");
    (long.kind, long.data) = (b'L', b"../../etc/passwd\0".to_vec());
    vec![
        tar(&[dir("d"), symlink("d/l", "../../etc"), file("d/l/passwd", "x"), hardlink("h", "d/l"), dir("d")]),
        tar(&[symlink("d", "/etc"), dir("d"), symlink("e", "d"), file("e/passwd", "x"), hardlink("out2", "out")]),
        tar(&[long, file("y", "x"), file("p", "x").pax("path", "../../canary").pax("mtime", "1.5")]),
        tar(&[old, file("s", "12345").pax("GNU.sparse.size", "9").pax("GNU.sparse.map", "2,5"), fifo("p")]),
    ]
}

/// One to three changes, after which the checksums of most headers are right again.
fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(3) {
        let blocks = bytes.len() / 512;
        let block = random.below(blocks) * 512;
        match random.below(6) {
            0 => bytes[block + random.below(512)] = random.below(256) as u8,
            1 => bytes[block + random.below(100)] = *b"/.\0ld".get(random.below(5)).unwrap(),
            2 => bytes[block + 156] = b"0123456xgLKSV\0"[random.below(14)],
            3 => bytes.copy_within(block..block + 512, random.below(blocks) * 512),
            4 => bytes[block + 157..block + 163]
                .copy_from_slice([b"../../", b"/etc/\0", b"d\0\0\0\0\0", b"out\0\0\0"][random.below(4)]),
            _ => bytes[block + 100 + random.below(48)] = b"01234567 \x80\xff"[random.below(11)],
        }
    }
    if random.below(8) > 0 {
        for header in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
            checksum(header);
        }
    }
    bytes
}

#[test]
fn add_changes_nothing_outside_whatever_the_archive_holds() {
    if !can_mount() {
        return;
    }
    let mut random = Random(0x5eed);
    let mut seen = BTreeSet::new();
    for round in 0..100 {
        for seed in seeds() {
            let archive = mutate(&seed, &mut random);
            let compressed = if round % 4 == 0 { gzip(&archive) } else { archive };
            seen.insert(attack_with(&compressed).err().unwrap_or_else(|| "unpacked".to_owned()));
        }
    }
    // The loop says something only if archives pass and fail in more than one way.
    assert!(seen.contains("unpacked") && seen.contains("ERR_ADD_ARCHIVE"), "{seen:?}");
    let known = ["unpacked", "ERR_ADD_ARCHIVE", "ERR_DEVICE_FORBIDDEN"];
    assert!(seen.iter().all(|code| known.contains(&code.as_str())), "{seen:?}");
}

#[test]
fn add_survives_damaged_compressed_data() {
    if !can_mount() {
        return;
    }
    let noise = noise(30_000);
    let whole = tar(&[file("f", &noise), symlink("l", "/etc"), file("l/passwd", "x")]);
    let mut random = Random(0xbad);
    for (suffix, compress) in compressions().into_iter().skip(1) {
        let bytes = compress(&whole);
        for _ in 0..60 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(damaged.len());
                damaged[at] = random.below(256) as u8;
            }
            if random.below(4) == 0 {
                damaged.truncate(random.below(bytes.len()));
            }
            let got = attack_with(&damaged);
            assert!(got.as_ref().err().is_none_or(|code| code == "ERR_ADD_ARCHIVE"), "{suffix} {got:?}");
        }
    }
}
