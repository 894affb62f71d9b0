//! What the encoders write, read by others.

use super::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Seek};

const NONE: Compression = Compression { format: CompressionFormat::None, level: 0 };

fn gzip(level: u32) -> Compression {
    Compression { format: CompressionFormat::Gzip, level }
}

fn estargz(level: u32) -> Compression {
    Compression { format: CompressionFormat::Estargz, level }
}

fn zstd(level: u32) -> Compression {
    Compression { format: CompressionFormat::Zstd, level }
}

fn written(how: Compression, threads: usize, fill: impl FnOnce(Sink) -> Fallible<Written>) -> (Vec<u8>, Written) {
    let mut file = tempfile::tempfile().unwrap();
    let sink = Sink::new(file.try_clone().unwrap().into(), how, threads).unwrap();
    let written = fill(sink).unwrap();
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(written.blob.bytes(), bytes.len() as u64);
    (bytes, written)
}

/// A stream of any bytes, in odd pieces, so that they cross the blocks anywhere.
fn stream(tar: &[u8], how: Compression, threads: usize) -> (Vec<u8>, Written) {
    written(how, threads, |mut sink| {
        for piece in tar.chunks(77_777) {
            sink.write(piece)?;
        }
        sink.finish()
    })
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut back = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut back).unwrap();
    back
}

fn content(size: usize) -> Vec<u8> {
    (0..size / 8 + 1).flat_map(|at| (at * at % 65_521).to_le_bytes()).take(size).collect()
}

#[test]
fn sink_gives_the_same_bytes_for_any_number_of_threads() {
    for size in [1024, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 20 * BLOCK + 5] {
        let tar = content(size);
        for how in [NONE, gzip(1), gzip(6), zstd(3)] {
            let (one, written) = stream(&tar, how, 1);
            for threads in [2, 3, 7] {
                assert!(stream(&tar, how, threads).0 == one, "{how:?} {size} {threads}");
            }
            assert_eq!(written.tar.bytes(), size as u64);
            let mut back = Vec::new();
            if how == NONE {
                back.clone_from(&one);
            } else if how == zstd(3) {
                back = zstd::decode_all(&one[..]).unwrap();
            } else {
                // Not the decoder for several members: it must be one.
                flate2::read::GzDecoder::new(&one[..]).read_to_end(&mut back).unwrap();
            }
            assert!(back == tar, "{how:?} {size}");
        }
    }
}

const MIB: usize = 1 << 20;

/// An entry of every kind, and files around the limits of blocks and chunks.
fn tree() -> Vec<(Entry, Vec<u8>)> {
    tree_with(&[MIB - 1536, MIB, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB])
}

fn tree_with(sizes: &[usize]) -> Vec<(Entry, Vec<u8>)> {
    let mut tree = Vec::new();
    let mut add = |kind, path: &[u8], bytes: Vec<u8>| {
        let mut entry = Entry::new(kind, path.to_vec());
        (entry.mode, entry.size, entry.mtime.seconds) = (0o4755, bytes.len() as u64, 1_700_000_000);
        (entry.uid, entry.gid) = (1000, 100);
        match kind {
            Kind::Symlink => entry.link = b"../target".to_vec(),
            Kind::Hardlink => entry.link = b"etc/small".to_vec(),
            Kind::Character | Kind::Block => entry.device = (5, 1),
            Kind::Regular => entry.xattrs = vec![(b"user.note".to_vec(), vec![0, 255])],
            _ => {}
        }
        tree.push((entry, bytes));
    };
    add(Kind::Directory, b"etc/", vec![]);
    add(Kind::Regular, b"etc/empty", vec![]);
    add(Kind::Regular, b"etc/small", b"small".to_vec());
    add(Kind::Regular, b"etc/block", content(512));
    add(Kind::Symlink, b"etc/link", vec![]);
    add(Kind::Hardlink, b"etc/other", vec![]);
    add(Kind::Character, b"etc/null", vec![]);
    add(Kind::Block, b"etc/disk", vec![]);
    add(Kind::Fifo, b"etc/pipe", vec![]);
    for (at, &size) in sizes.iter().enumerate() {
        add(Kind::Regular, format!("etc/large{at}").as_bytes(), content(size));
    }
    tree
}

fn archive(how: Compression, threads: usize, tree: &[(Entry, Vec<u8>)]) -> (Vec<u8>, Written) {
    written(how, threads, |mut sink| {
        for (entry, bytes) in tree {
            if sink.entry(entry)? {
                sink.write(bytes)?;
                sink.zeros(padding(entry.size) as u64)?;
            }
        }
        sink.end()
    })
}

/// Reads an estargz as a lazy reader does: from its end.
struct Lazy<'b> {
    blob: &'b [u8],
    rows: Vec<Value>,
    text: Vec<u8>,
    table: usize,
}

impl<'b> Lazy<'b> {
    fn open(blob: &'b [u8]) -> Self {
        let footer = &blob[blob.len() - 51..];
        assert_eq!(&footer[..16], b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0");
        assert_eq!(&footer[32..38], b"STARGZ");
        assert_eq!(gunzip(footer), b"");
        let table = usize::from_str_radix(std::str::from_utf8(&footer[16..32]).unwrap(), 16).unwrap();
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&blob[table..]).read_to_end(&mut tar).unwrap();
        assert!(tar.starts_with(b"stargz.index.json\0"));
        let size = usize::from_str_radix(std::str::from_utf8(&tar[124..135]).unwrap(), 8).unwrap();
        let text = tar[512..512 + size].to_vec();
        assert_eq!(tar.len(), 512 + size.next_multiple_of(512) + 1024);
        let json: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["version"], 1);
        Self { blob, rows: json["entries"].as_array().unwrap().clone(), text, table }
    }

    /// The content of each file, every chunk of it read from its own place and verified.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut sizes = BTreeMap::new();
        for row in self.rows.iter().filter(|row| ["reg", "chunk"].contains(&row["type"].as_str().unwrap())) {
            let name = row["name"].as_str().unwrap().to_owned();
            let size = *sizes.entry(name.clone()).or_insert_with(|| row["size"].as_u64().unwrap_or(0));
            let known = files.entry(name).or_default();
            let start = row["chunkOffset"].as_u64().unwrap_or(0);
            assert_eq!(start, known.len() as u64);
            if size == 0 {
                assert!(row.get("offset").is_none());
                continue;
            }
            let length = row["chunkSize"].as_u64().unwrap_or(size - start);
            let at = row["offset"].as_u64().unwrap() as usize;
            let mut chunk = vec![0; length as usize];
            flate2::read::GzDecoder::new(&self.blob[at..self.table]).read_exact(&mut chunk).unwrap();
            let mut digest = Tally::default();
            digest.update(&chunk);
            assert_eq!(row["chunkDigest"], digest.digest());
            known.extend_from_slice(&chunk);
        }
        files
    }
}

#[test]
fn estargz_has_every_file_at_the_place_that_its_table_says() {
    let tree = tree();
    for level in [0, 1, 6, 9] {
        let (blob, written) = archive(estargz(level), 2, &tree);
        let lazy = Lazy::open(&blob);
        let mut digest = Tally::default();
        digest.update(&lazy.text);
        assert_eq!(written.toc, Some(digest.digest()));
        let files = lazy.files();
        assert_eq!(files[".no.prefetch.landmark"], [0xf]);
        for (entry, bytes) in tree.iter().filter(|(entry, _)| entry.kind == Kind::Regular) {
            let name = String::from_utf8(entry.path.clone()).unwrap();
            assert!(files[&name] == *bytes, "{name}");
            let row = lazy.rows.iter().find(|row| row["name"] == name && row["type"] == "reg").unwrap();
            let mut digest = Tally::default();
            digest.update(bytes);
            assert_eq!(row["digest"], digest.digest(), "{name}");
        }
        assert_eq!(files.len(), tree.iter().filter(|(entry, _)| entry.kind == Kind::Regular).count() + 1);
    }
}

#[test]
fn estargz_is_the_same_tar_to_a_reader_of_gzip() {
    let tree = tree();
    let (blob, written) = archive(estargz(6), 2, &tree);
    let tar = gunzip(&blob);
    let mut digest = Tally::default();
    digest.update(&tar);
    assert_eq!((written.tar.bytes(), written.tar.digest()), (tar.len() as u64, digest.digest()));
    let (plain, _) = archive(NONE, 2, &tree);
    // The landmark is in front of the entries, the table behind them.
    let entries = &plain[..plain.len() - END.len()];
    assert!(tar[1024..].starts_with(entries));
    assert!(tar[1024 + entries.len()..].starts_with(b"stargz.index.json\0"));
}

#[test]
fn estargz_gives_the_same_bytes_for_any_number_of_threads() {
    let tree = tree();
    let (one, _) = archive(estargz(6), 1, &tree);
    for threads in [2, 3, 7] {
        assert!(archive(estargz(6), threads, &tree).0 == one, "{threads}");
    }
}

#[test]
fn estargz_tells_all_that_a_tar_entry_says() {
    let (blob, _) = archive(estargz(6), 1, &tree());
    let lazy = Lazy::open(&blob);
    let row = |name: &str| lazy.rows.iter().find(|row| row["name"] == name).unwrap().clone();
    let common = |kind: &str, name: &str| {
        serde_json::json!({
            "name": name, "type": kind, "modtime": "2023-11-14T22:13:20Z", "mode": 0o4755, "uid": 1000, "gid": 100,
        })
    };
    let with = |mut value: Value, more: Value| {
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    assert_eq!(row("etc/"), common("dir", "etc/"));
    let link = serde_json::json!({"linkName": "../target"});
    assert_eq!(row("etc/link"), with(common("symlink", "etc/link"), link));
    assert_eq!(row("etc/other"), with(common("hardlink", "etc/other"), serde_json::json!({"linkName": "etc/small"})));
    let device = serde_json::json!({"devMajor": 5, "devMinor": 1});
    assert_eq!(row("etc/null"), with(common("char", "etc/null"), device.clone()));
    assert_eq!(row("etc/disk"), with(common("block", "etc/disk"), device));
    assert_eq!(row("etc/pipe"), common("fifo", "etc/pipe"));
    let small = row("etc/small");
    assert_eq!((&small["size"], &small["xattrs"]), (&Value::from(5), &serde_json::json!({"user.note": "AP8="})));
    assert_eq!(small["digest"], small["chunkDigest"]);
    assert_eq!(row("etc/empty").get("size"), None);
    // 9 MiB are three chunks, and only the last says no size.
    let chunks: Vec<_> = lazy.rows.iter().filter(|row| row["name"] == "etc/large5").collect();
    let sizes: Vec<_> = chunks.iter().map(|row| row["chunkSize"].as_u64()).collect();
    assert_eq!(sizes, [Some(4 << 20), Some(4 << 20), None]);
    assert_eq!(chunks.iter().filter(|row| row["type"] == "chunk").count(), 2);
    // A file of one whole chunk is not chunked.
    assert_eq!(row("etc/large3").get("chunkSize"), None);
}

#[test]
fn estargz_leaves_out_the_files_of_the_format_itself() {
    for name in ["stargz.index.json", "./.no.prefetch.landmark", "/.prefetch.landmark"] {
        let mut entry = Entry::new(Kind::Regular, name.as_bytes().to_vec());
        entry.size = 3;
        let (blob, _) = archive(estargz(6), 1, &[(entry, b"own".to_vec())]);
        let names: Vec<_> = Lazy::open(&blob).rows.iter().map(|row| row["name"].clone()).collect();
        assert_eq!(names, [".no.prefetch.landmark"], "{name}");
    }
    let entry = Entry::new(Kind::Regular, b"etc/stargz.index.json".to_vec());
    let (blob, _) = archive(estargz(6), 1, &[(entry, vec![])]);
    assert_eq!(Lazy::open(&blob).rows.len(), 2);
}

#[test]
fn estargz_refuses_two_files_of_one_name_and_links_to_its_own() {
    let refused = |paths: &[&str], link: &str| {
        let mut sink = Sink::new(tempfile::tempfile().unwrap().into(), estargz(6), 1).unwrap();
        let mut last = Ok(true);
        for path in paths {
            let kind = if link.is_empty() { Kind::Regular } else { Kind::Hardlink };
            let mut entry = Entry::new(kind, path.as_bytes().to_vec());
            entry.link = link.as_bytes().to_vec();
            last = sink.entry(&entry);
        }
        last.unwrap_err().code
    };
    assert_eq!(refused(&["a/b", "./a//b"], ""), "ERR_LAYER_UNREPRESENTABLE");
    assert_eq!(refused(&["a"], "stargz.index.json"), "ERR_LAYER_UNREPRESENTABLE");
    let mut sink = Sink::new(tempfile::tempfile().unwrap().into(), estargz(6), 1).unwrap();
    for _ in 0..2 {
        sink.entry(&Entry::new(Kind::Directory, b"twice/".to_vec())).unwrap();
    }
}

#[test]
fn gzip_stores_noise_for_any_number_of_threads() {
    let mut state = 7_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let noise: Vec<u8> = (0..3 * MIB).map(next).collect();
    let (one, _) = stream(&noise, gzip(6), 1);
    // Header and trailer of gzip, and of each block of 1 MiB 17 stored blocks of deflate. Each byte is so given.
    assert_eq!(one.len(), 10 + 3 * (MIB + 17 * 5) + 8);
    let mixed = [&noise[..2 * MIB - 7], &content(MIB), &noise[..MIB / 2]].concat();
    for tar in [noise, mixed] {
        let (one, _) = stream(&tar, gzip(6), 1);
        assert!(gunzip(&one) == tar);
        for threads in [2, 3, 7] {
            assert!(stream(&tar, gzip(6), threads).0 == one, "{threads}");
        }
    }
}

/// The bytes of a layer are in the digests of images that people have pinned. A change here needs a new name of
/// the encoder in stored forms (docs/adr/0042), or stores and caches would mix the old bytes with the new.
#[test]
fn sink_gives_the_bytes_that_it_always_gave() {
    let tree = tree_with(&[3 * MIB / 2, 4 * MIB + 1]);
    let digest = |how| archive(how, 2, &tree).1.blob.digest();
    let forms = [
        NONE,
        gzip(0),
        gzip(1),
        gzip(6),
        gzip(9),
        zstd(0),
        zstd(3),
        zstd(19),
        estargz(0),
        estargz(1),
        estargz(6),
        estargz(9),
    ];
    let found: Vec<String> = forms.map(|how| format!("{:?} {} {}", how.format, how.level, digest(how))).to_vec();
    let pinned: Vec<&str> = GOLDEN.trim().lines().collect();
    assert_eq!(found, pinned);
}

const GOLDEN: &str = "
None 0 sha256:f28d9ac8826bca363614035de39e75fe815fc69b1e409d4facb725b362184dfb
Gzip 0 sha256:8801ab6ef1c2ede43c7f4e36ca2635ccdb9d68c222aba9b38e0f11be736ba2d9
Gzip 1 sha256:43d22dcc29518cd439e78e717b557698235f0095cca56870913b30a3ce945b46
Gzip 6 sha256:0549f4713840c2e3918969a75856b1017611251f8594f2df924d3e186bbcc0c1
Gzip 9 sha256:5f8865d41a9af6a4e16dbb79a0db7562872d5e595346a4b2ea50addbb097042d
Zstd 0 sha256:f0a00daa86206a3d8168c8d28c7f9e1cc613ab6d2dac83aae2a8718459decc4c
Zstd 3 sha256:f0a00daa86206a3d8168c8d28c7f9e1cc613ab6d2dac83aae2a8718459decc4c
Zstd 19 sha256:b38dfc6d23bbb814f90dd7caede82fe928530731792997641f325a69ad7c5fd0
Estargz 0 sha256:1345458d09fb97776f2c3dcc8a54d5b9cfeff609bb183cd5ed45e7b1ba0bbb0f
Estargz 1 sha256:7f5df8bc98e765f88c47cbede48156ed171eb71a1026d5cf73f0104aebde8384
Estargz 6 sha256:c6af0e9d40910f302677ed4bf3c376fcd406a1273758a36c53b3d42113233d2f
Estargz 9 sha256:f2e43da39ddb54e69ed41b1057067781ef03fc6167402f3fd6e5b010dedbeafe
";
