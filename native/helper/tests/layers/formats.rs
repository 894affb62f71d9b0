//! The bytes that `diff` writes.

use super::fixture::*;
use serde_json::json;

/// Some megabytes of text that compresses, the same on every machine.
fn tree(place: &Place) {
    shell(
        &place.path(""),
        "mkdir upper; cd upper; for d in a b c; do mkdir $d; seq 1 200000 | sed \"s/^/$d /\" > $d/numbers; done; \
         ln -s a l; touch -h -d @1000.5 l a b c a/* b/* c/*",
    );
}

#[test]
fn diff_gives_the_same_bytes_on_one_and_on_all_processors() {
    let place = Place::new();
    tree(&place);
    for (format, level) in [("none", 0), ("gzip", 0), ("gzip", 1), ("gzip", 6), ("gzip", 9), ("zstd", 3)] {
        let how = json!({"format": format, "level": level});
        let all = place.diff_with("upper", "all", &how, None, &[]);
        let one = place.diff_with("upper", "one", &how, None, &["taskset", "-c", "0"]);
        assert_eq!(all.result(), one.result());
        let bytes = std::fs::read(place.path("all")).unwrap();
        assert_eq!(bytes, std::fs::read(place.path("one")).unwrap());
        assert_eq!(all.result()["digest"], digest(&bytes));
        assert_eq!(all.result()["sizeBytes"], bytes.len());
        let unpack = match format {
            "gzip" => "gzip -t -N < all && gzip -dc < all > tar",
            "zstd" => "zstd -dc < all > tar",
            _ => "cp all tar",
        };
        shell(&place.path(""), unpack);
        let plain = std::fs::read(place.path("tar")).unwrap();
        assert_eq!(all.result()["diffId"], digest(&plain));
        assert_eq!(all.result()["unpackedBytes"], plain.len());
    }
}

#[test]
fn diff_writes_an_empty_tar_for_an_empty_tree() {
    let place = Place::new();
    std::fs::create_dir(place.path("upper")).unwrap();
    place.diff("upper", "out", "none", 0).result();
    assert_eq!(std::fs::read(place.path("out")).unwrap(), [0; 1024]);
    let said = place.diff("upper", "out", "gzip", 6);
    assert_eq!(said.result()["entries"], 0);
    assert_eq!(said.result()["diffId"], digest(&[0; 1024]));
    assert_eq!(shell(&place.path(""), "gzip -dc < out | wc -c"), "1024\n");
}

#[test]
fn diff_starts_no_thread_for_a_small_tree() {
    let place = Place::new();
    shell(&place.path(""), "mkdir -p upper/a; echo x > upper/a/b");
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        return skip("needs strace: apt install strace");
    }
    let trace = place.text("trace");
    let prefix = ["strace", "-f", "-o", &trace, "-e", "trace=clone,clone3"];
    for format in ["gzip", "zstd"] {
        place.diff_with("upper", "out", &json!({"format": format, "level": 6}), None, &prefix).result();
        assert!(!std::fs::read_to_string(&trace).unwrap().contains("clone"), "{format}");
    }
}

#[test]
fn diff_orders_sorts_and_clamps() {
    let place = Place::new();
    shell(
        &place.path(""),
        "mkdir upper upper/a upper/a-b; touch upper/a/x upper/a/y upper/a.b upper/b; \
         touch -d @5000.9 upper/b; touch -d @100 upper/a/x; touch -d @100.9 upper/a/y; touch -d @6000 upper/a upper/a-b; touch -d @-5 upper/a.b",
    );
    place.diff_with("upper", "out.tar", &json!({"format": "none", "level": 0}), Some(3000), &[]).result();
    let script = "import sys, tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name, m.isdir(), int(m.mtime), m.uname, m.gname)";
    let got = python(script, &[&place.text("out.tar")]);
    assert_eq!(
        got,
        "a True 3000  \na/x False 100  \na/y False 3000  \na-b True 3000  \na.b False -5  \nb False 3000  \n"
    );
    let raw = std::fs::read(place.path("out.tar")).unwrap();
    assert!(raw.starts_with(b"a/\0"), "directories end with a slash");
}

#[test]
fn diff_refuses_real_names_of_whiteouts() {
    for name in [".wh.a", ".wh.", ".wh..wh..opq"] {
        let place = Place::new();
        std::fs::create_dir(place.path("upper")).unwrap();
        std::fs::write(place.path("upper").join(name), "").unwrap();
        let said = place.diff("upper", "out", "none", 0);
        assert_eq!(said.code(), "ERR_LAYER_UNREPRESENTABLE", "{name}");
        assert_eq!(said.last["kind"], "user");
    }
}

#[test]
fn diff_skips_sockets_with_a_warning() {
    let place = Place::new();
    std::fs::create_dir(place.path("upper")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("upper/s")).unwrap();
    let said = place.diff("upper", "out", "none", 0);
    assert_eq!(said.result()["entries"], 0);
    assert_eq!(said.before[0]["code"], "WARN_SOCKET_SKIPPED");
}

#[test]
fn diff_writes_whiteouts_and_opaque_directories() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    shell(
        &place.path(""),
        "mkdir -p upper/d; mknod upper/gone c 0 0; mknod upper/d/gone c 0 0; touch upper/d/new; \
         setfattr -n trusted.overlay.opaque -v y upper/d || python3 -c \"import os; os.setxattr('upper/d', 'trusted.overlay.opaque', b'y')\"",
    );
    place.diff("upper", "out.tar", "none", 0).result();
    let script = "
import sys, tarfile
for m in tarfile.open(sys.argv[1]): print(m.name, m.size, oct(m.mode) if '.wh.' in m.name else '', m.uid, m.mtime if '.wh.' in m.name else '', m.pax_headers)";
    let got = python(script, &[&place.text("out.tar")]);
    assert_eq!(
        got,
        "d 0  0  {}\nd/.wh..wh..opq 0 0o0 0 0 {}\nd/.wh.gone 0 0o0 0 0 {}\nd/new 0  0  {}\n.wh.gone 0 0o0 0 0 {}\n"
    );
}

#[test]
fn diff_refuses_levels_that_do_not_exist() {
    let place = Place::new();
    std::fs::create_dir(place.path("upper")).unwrap();
    assert_eq!(place.diff("upper", "out", "gzip", 10).code(), "ERR_HELPER_INTERNAL");
    assert_eq!(place.diff("upper", "out", "zstd", 23).code(), "ERR_HELPER_INTERNAL");
}

#[test]
fn diff_refuses_a_layer_of_more_bytes_than_can_be_unpacked_again() {
    let place = Place::new();
    std::fs::create_dir(place.path("upper")).unwrap();
    let sparse = |name: &str, size: u64| {
        std::fs::File::create(place.path("upper").join(name)).unwrap().set_len(size).unwrap();
    };
    // Before a byte of it is read: a terabyte of zeros takes hours.
    for format in ["none", "gzip", "zstd"] {
        sparse("huge", 1 << 40);
        let said = place.diff("upper", "out", format, 1);
        assert_eq!(said.code(), "ERR_LAYER_UNREPRESENTABLE", "{format}");
        let message = said.last["message"].as_str().unwrap();
        assert!(message.starts_with("no layer can hold \"huge\"") && message.contains("68719476736"), "{message}");
        assert!(std::fs::metadata(place.path("out")).unwrap().len() < 1 << 20);
    }
    // The sum counts, further names of one file do not. Names sort: the small file is read first.
    sparse("huge", (64 << 30) - 5);
    std::fs::write(place.path("upper/a"), "123456").unwrap();
    assert_eq!(place.diff("upper", "out", "zstd", 1).code(), "ERR_LAYER_UNREPRESENTABLE");
    std::fs::remove_file(place.path("upper/huge")).unwrap();
    for at in 0..3 {
        std::fs::hard_link(place.path("upper/a"), place.path(&format!("upper/b{at}"))).unwrap();
    }
    sparse("sparse", 1 << 20);
    place.diff("upper", "out", "zstd", 1).result();
}
