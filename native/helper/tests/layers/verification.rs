//! Sizes, digests, compression formats and limits.

use super::fixture::*;
use serde_json::json;
use std::io::{Seek, Write};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd_bytes(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

/// A layer too large for the path without threads, of bytes that do not compress.
fn large() -> Vec<u8> {
    let mut state = 1_u64;
    let noise: String = (0..1 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        })
        .collect();
    tar(&[dir("d"), file("d/noise", &noise), file("f", "x")])
}

fn small() -> Vec<u8> {
    tar(&[file("f", "x")])
}

#[test]
fn apply_reads_every_format() {
    for plain in [small(), large()] {
        let half = plain.len() / 2;
        let members = [gzip(&plain[..half]), gzip(b""), gzip(&plain[half..])].concat();
        let frames =
            [zstd_bytes(&plain[..half]), vec![0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9], zstd_bytes(&plain[half..])]
                .concat();
        let padded = [gzip(&plain), vec![0; 700]].concat();
        let trailing = [plain.clone(), b"trailing bytes".to_vec()].concat();
        for (format, blob, tar) in [
            ("none", plain.clone(), &plain),
            ("none", trailing.clone(), &trailing),
            ("gzip", gzip(&plain), &plain),
            ("gzip", members, &plain),
            ("gzip", padded, &plain),
            ("gzip", gzip(&trailing), &trailing),
            ("zstd", zstd_bytes(&plain), &plain),
            ("zstd", frames, &plain),
        ] {
            let place = Place::new();
            let mut request = place.request(&blob, format, &[]);
            request["diffId"] = json!(digest(tar));
            let said = place.send(&blob, &request);
            assert_eq!(said.result()["diffId"], digest(tar), "{format}");
            assert_eq!(said.result()["unpackedBytes"], tar.len());
            assert_eq!(std::fs::read(place.path("target/f")).unwrap(), b"x");
        }
    }
}

#[test]
fn apply_compares_size_then_digest_then_diff_id() {
    for plain in [small(), large()] {
        for (format, blob) in [("none", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd_bytes(&plain))] {
            let place = || Place::new();
            let good = |place: &Place| place.request(&blob, format, &[]);
            let with = |change: &dyn Fn(&mut serde_json::Value), blob: &[u8]| {
                let place = place();
                let mut request = good(&place);
                change(&mut request);
                place.send(blob, &request).code().to_owned()
            };
            let other = json!(digest(b"other"));
            assert_eq!(with(&|_| {}, &blob), "ok");
            assert_eq!(with(&|request| request["diffId"] = other.clone(), &blob), "ERR_DIFFID_MISMATCH");
            assert_eq!(with(&|request| request["digest"] = other.clone(), &blob), "ERR_DIGEST_MISMATCH");
            let both = |request: &mut serde_json::Value| {
                request["digest"] = other.clone();
                request["sizeBytes"] = json!(blob.len() + 1);
            };
            assert_eq!(with(&both, &blob), "ERR_SIZE_MISMATCH");
            assert_eq!(with(&|_| {}, &[&blob[..], &[0]].concat()), "ERR_SIZE_MISMATCH");
            assert_eq!(with(&|_| {}, &blob[..blob.len() - 1]), "ERR_SIZE_MISMATCH");
            // Damage anywhere is named as what it is, whatever it does to the archive.
            for at in [0, 3, blob.len() / 3, blob.len() / 2, blob.len() - 1] {
                let mut damaged = blob.clone();
                damaged[at] ^= 0x55;
                assert_eq!(with(&|_| {}, &damaged), "ERR_DIGEST_MISMATCH", "{format} at {at}");
            }
        }
    }
}

#[test]
fn apply_compares_the_size_of_a_pipe_too() {
    let blob = large();
    for (wrong, expected) in
        [(0_i64, "ok"), (1, "ERR_SIZE_MISMATCH"), (-1, "ERR_SIZE_MISMATCH"), (-700_000, "ERR_SIZE_MISMATCH")]
    {
        let place = Place::new();
        let mut request = place.request(&blob, "none", &[]);
        request["sizeBytes"] = json!(i64::try_from(blob.len()).unwrap() + wrong);
        std::fs::write(place.path("blob"), &blob).unwrap();
        shell(&place.path(""), "mkfifo pipe; (cat blob > pipe; true) >/dev/null 2>&1 &");
        let prefix = ["sh", "-c", "pipe=$1; shift; exec \"$@\" 3<\"$pipe\"", "sh", &place.text("pipe")];
        let said = helper(&request, std::path::Path::new("/dev/null"), &prefix);
        assert_eq!(said.code(), expected, "{wrong}");
    }
}

#[test]
fn apply_refuses_streams_that_are_cut_or_no_streams() {
    let plain = large();
    let cut = |bytes: Vec<u8>, at: usize| bytes[..at].to_vec();
    let zipped = gzip(&plain);
    let frames = zstd_bytes(&plain);
    let mut crc = zipped.clone();
    let end = crc.len();
    crc[end - 8] ^= 1;
    let mut length = zipped.clone();
    length[end - 1] ^= 1;
    let table = vec![
        ("gzip", cut(zipped.clone(), end - 1), "ERR_LAYER_TRUNCATED"),
        ("gzip", cut(zipped.clone(), end / 2), "ERR_LAYER_TRUNCATED"),
        ("gzip", cut(zipped.clone(), 5), "ERR_LAYER_TRUNCATED"),
        ("gzip", vec![], "ERR_LAYER_TRUNCATED"),
        ("gzip", crc, "ERR_LAYER_INVALID"),
        ("gzip", length, "ERR_LAYER_INVALID"),
        ("gzip", [zipped.clone(), b"garbage".to_vec()].concat(), "ERR_LAYER_INVALID"),
        ("gzip", plain.clone(), "ERR_LAYER_INVALID"),
        (
            "gzip",
            gzip(b"no tar, just text, but long enough that a header could be here").repeat(20),
            "ERR_LAYER_INVALID",
        ),
        ("zstd", cut(frames.clone(), frames.len() - 1), "ERR_LAYER_TRUNCATED"),
        ("zstd", cut(frames.clone(), frames.len() / 2), "ERR_LAYER_TRUNCATED"),
        ("zstd", vec![], "ERR_LAYER_TRUNCATED"),
        ("zstd", [frames, b"garbage".to_vec()].concat(), "ERR_LAYER_INVALID"),
        ("zstd", zipped, "ERR_LAYER_INVALID"),
        ("none", cut(plain.clone(), 700_000), "ERR_LAYER_TRUNCATED"),
        ("none", cut(plain, 600), "ERR_LAYER_TRUNCATED"),
    ];
    for (at, (format, blob, expected)) in table.into_iter().enumerate() {
        let place = Place::new();
        let said = place.send(&blob, &place.request(&blob, format, &[]));
        assert_eq!(said.code(), expected, "case {at}: {}", said.last);
    }
}

#[test]
fn apply_stops_at_its_limits() {
    let files: Vec<Item> = (0..100).map(|at| file(format!("f{at}"), "x")).collect();
    let archive = tar(&files);
    for (limit, value, expected) in [
        ("maxEntries", 100, "ok"),
        ("maxEntries", 99, "ERR_LAYER_BOMB"),
        ("maxBytes", archive.len(), "ok"),
        ("maxBytes", archive.len() - 1, "ERR_LAYER_BOMB"),
    ] {
        let place = Place::new();
        let mut request = place.request(&archive, "none", &[]);
        request["limits"][limit] = json!(value);
        assert_eq!(place.send(&archive, &request).code(), expected, "{limit} {value}");
    }
}

#[test]
fn apply_stops_at_a_bomb() {
    // 4 GiB of zeros as one file: about 130 KiB of zstd, 30,000 times its size.
    let place = Place::new();
    let mut head = file("zeros", "").bytes();
    head[124..136].copy_from_slice(b"40000000000\0");
    checksum(&mut head);
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(&head).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..4096 {
        encoder.write_all(&zeros).unwrap();
    }
    let blob = encoder.finish().unwrap();
    let said = place.send(&blob, &place.request(&blob, "zstd", &[]));
    assert_eq!(said.code(), "ERR_LAYER_BOMB", "{}", said.last);
    // Zeros are not written, so even the part before the limit costs no disk.
    assert!(std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(place.path("target/zeros")).unwrap()) < 1024);
}

#[test]
fn apply_refuses_a_zstd_window_above_128_mib() {
    for (log, expected) in [(27, "ok"), (28, "ERR_LAYER_BOMB")] {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&small()).unwrap();
        encoder.flush().unwrap();
        let blob = encoder.finish().unwrap();
        let place = Place::new();
        assert_eq!(place.send(&blob, &place.request(&blob, "zstd", &[])).code(), expected, "window {log}");
    }
}

#[test]
fn apply_names_a_full_disk() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let archive = large();
    std::fs::write(place.path("blob"), &archive).unwrap();
    let target = place.text("target");
    let script = format!("mount -t tmpfs -o size=256k none '{target}' && exec \"$@\"");
    let prefix = ["unshare", "-m", "sh", "-c", &script, "sh"];
    let said = helper(&place.request(&archive, "none", &[]), &place.path("blob"), &prefix);
    assert_eq!(said.code(), "ERR_STORE_NO_SPACE", "{}", said.last);
    assert_eq!(said.last["kind"], "environment");
    assert!(said.last["message"].as_str().unwrap().contains("d/noise"));
}

#[test]
fn apply_refuses_hard_links_that_copy_more_than_the_limits_allow() {
    let place = Place::new();
    std::fs::create_dir(place.path("lower")).unwrap();
    let sparse = |name: &str, size: u64| {
        let file = std::fs::File::create(place.path("lower").join(name)).unwrap();
        file.set_len(size).unwrap();
        file
    };
    let mut file = sparse("fits", 600 << 20);
    file.seek(std::io::SeekFrom::Start(300 << 20)).unwrap();
    file.write_all(b"data").unwrap();
    drop(sparse("more", 600 << 20));
    let archive = tar(&[hardlink("one", "fits")]);
    place.apply(&archive, &["lower"]).result();
    // The copy is the file, holes included.
    let copy = place.path("target/one");
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(place.path("lower/fits")).unwrap());
    assert!(std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&copy).unwrap()) < 1024);

    std::fs::remove_dir_all(place.path("target")).unwrap();
    std::fs::create_dir(place.path("target")).unwrap();
    let said = place.apply(&tar(&[hardlink("two", "fits"), hardlink("three", "more")]), &["lower"]);
    assert_eq!(said.code(), "ERR_LAYER_BOMB", "{}", said.last);
}

#[test]
fn apply_refuses_names_that_cost_more_than_they_are_worth() {
    let deep = |levels: usize| tar(&[file("x", "x").pax("path", format!("{}f", "a/".repeat(levels)))]);
    let long = |bytes: usize| tar(&[file("x", "x").pax("path", format!("{}f", "bbbbbbb/".repeat(bytes / 8)))]);
    let link = tar(&[file("f", "x"), hardlink("x", "").pax("linkpath", "a/".repeat(3000))]);
    for (name, archive, code) in [
        ("2000 levels", deep(2000), "ok"),
        ("2100 levels", deep(2100), "ERR_LAYER_INVALID"),
        ("500 000 levels", deep(500_000), "ERR_LAYER_INVALID"),
        ("17 KiB", long(17 << 10), "ERR_LAYER_INVALID"),
        ("deep link target", link, "ERR_LAYER_INVALID"),
    ] {
        let place = Place::new();
        std::fs::create_dir(place.path("lower")).unwrap();
        assert_eq!(place.apply(&archive, &["lower"]).code(), code, "{name}");
    }
}

/// 64 MiB of memory are enough for every layer, and for refusing what asks for more.
#[test]
fn apply_stays_small_whatever_headers_claim() {
    let extension = |kind: u8, claimed: usize, body: &[u8]| {
        let name = Item { kind, name: b"pax".to_vec(), ..file("pax", "") };
        let mut bytes = [header(&name, claimed), body.to_vec()].concat();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    let records = |each: &dyn Fn(u32) -> Vec<u8>, count| (0..count).flat_map(each).collect::<Vec<u8>>();
    let attributes = records(&|at| pax_record(&format!("SCHILY.xattr.user.{at}"), b""), 1_000_000);
    let map = [b"1000000\n".to_vec(), b"0\n0\n".repeat(1_000_000)].concat();
    let sparse = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "1")];
    let sparse = sparse.iter().fold(Item { data: map, ..file("f", "") }, |item, (key, value)| item.pax(key, value));
    let full = records(&|at| pax_record(&format!("SCHILY.xattr.user.{at}"), b"x"), 30_000);
    let table = [
        ("1 GiB of records", extension(b'x', 1 << 30, b""), "ERR_LAYER_INVALID"),
        ("1 GiB of name", extension(b'L', 1 << 30, b""), "ERR_LAYER_INVALID"),
        ("1 GiB of global records", extension(b'g', 1 << 30, b""), "ERR_LAYER_INVALID"),
        ("a record of 1 GiB", extension(b'x', 20, b"1073741824 path=x\n\0\0"), "ERR_LAYER_INVALID"),
        ("a million attributes", extension(b'x', attributes.len(), &attributes), "ERR_LAYER_INVALID"),
        ("a map of a million pieces", sparse.bytes(), "ERR_LAYER_INVALID"),
        ("as many attributes as fit", [extension(b'x', full.len(), &full), file("f", "").bytes()].concat(), "any"),
        ("many headers", extension(b'g', 8, b"8 a=bcd\n").repeat(20_000), "ok"),
    ];
    for (what, mut archive, expected) in table {
        archive.extend([0; 1024]);
        let place = Place::new();
        std::fs::write(place.path("blob"), &archive).unwrap();
        let request = place.request(&archive, "none", &[]);
        let said = helper(&request, &place.path("blob"), &["prlimit", "--data=67108864"]);
        assert!(expected == "any" || said.code() == expected, "{what}: {}", said.last);
    }
}
