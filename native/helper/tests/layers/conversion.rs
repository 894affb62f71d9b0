//! Layers in another compression, and how much memory compressing takes.

use super::fixture::*;
use serde_json::{Value, json};

const FORMS: [(&str, u32); 5] = [("none", 0), ("gzip", 1), ("gzip", 6), ("zstd", 3), ("estargz", 6)];

/// How a form is read.
fn format_of(form: &str) -> &str {
    if form == "estargz" { "gzip" } else { form }
}

/// Converts `from` to `to`, both files of `place`.
fn convert(place: &Place, from: &str, to: &str, request: &Value) -> Said {
    std::fs::write(place.path(to), "").unwrap();
    let out = place.text(to);
    helper(request, &place.path(from), &["sh", "-c", "out=$1; shift; exec \"$@\" 4<>\"$out\"", "sh", &out])
}

fn request(place: &Place, from: &str, format: &str, (form, level): (&str, u32)) -> Value {
    let blob = std::fs::read(place.path(from)).unwrap();
    json!({
        "op": "convert", "from": format, "digest": digest(&blob), "sizeBytes": blob.len(), "diffId": null,
        "to": {"format": form, "level": level},
        "limits": {"maxBytes": 1_u64 << 36, "maxEntries": 1_000_000, "maxRatio": 1000},
    })
}

fn tree(place: &Place) {
    shell(
        &place.path(""),
        "mkdir -p upper/etc/deep; echo x > upper/etc/x; ln upper/etc/x upper/etc/y; ln -s x upper/etc/z; mkfifo upper/p; \
         : > upper/empty; head -c 5000000 /dev/zero | tr '\\0' 'a' > upper/large; chmod 4755 upper/etc/x; \
         touch -d @1700000000 upper/etc/x upper/large; setfattr -n user.note -v hi upper/etc/x 2>/dev/null || true",
    );
}

#[test]
fn convert_gives_what_diff_gives_whatever_the_layer_was() {
    let place = Place::new();
    tree(&place);
    for (at, (form, level)) in FORMS.into_iter().enumerate() {
        place.diff("upper", &format!("blob{at}"), form, level).result();
    }
    for (source, (form, _)) in FORMS.into_iter().enumerate() {
        for (target, to) in FORMS.into_iter().enumerate() {
            // What is in an estargz besides stays in its tar.
            if form == "estargz" && to.0 != "estargz" {
                continue;
            }
            let from = format!("blob{source}");
            let said = convert(&place, &from, "out", &request(&place, &from, format_of(form), to));
            let bytes = std::fs::read(place.path("out")).unwrap();
            assert!(bytes == std::fs::read(place.path(&format!("blob{target}"))).unwrap(), "{form} to {to:?}");
            assert_eq!(said.result()["digest"], digest(&bytes));
            assert_eq!(said.result()["sizeBytes"], bytes.len());
            assert_eq!(said.result()["tocDigest"].is_string(), to.0 == "estargz");
        }
    }
}

#[test]
fn convert_to_estargz_keeps_the_tree_of_a_foreign_tar() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let long = "n".repeat(150);
    let script = "
import io, sys, tarfile
out = tarfile.open(sys.argv[1], 'w:gz', format=tarfile.GNU_FORMAT)
def add(name, kind=tarfile.REGTYPE, data=b'', **more):
    m = tarfile.TarInfo(name); m.type = kind; m.size = len(data); m.mtime = 1234567890.5; m.uname = 'somebody'
    for key, value in more.items(): setattr(m, key, value)
    out.addfile(m, io.BytesIO(data))
add('./dir', tarfile.DIRTYPE, mode=0o1777)
add('./dir/' + sys.argv[2], data=b'long')
add('./dir/large', data=b'0123456789abcdef' * 300000, mode=0o2750, uid=70000)
add('./dir/again', tarfile.LNKTYPE, linkname='./dir/large')
add('./dir/soft', tarfile.SYMTYPE, linkname='../' + sys.argv[2])
add('./dir/.wh.gone')
add('./dev', tarfile.CHRTYPE, devmajor=1, devminor=3)
out.close()";
    python(script, &[&place.text("foreign"), &long]);
    let said = convert(&place, "foreign", "estargz", &request(&place, "foreign", "gzip", ("estargz", 9)));
    let tar = shell(&place.path(""), "gzip -dc < estargz | sha256sum | cut -d' ' -f1");
    assert_eq!(said.result()["diffId"], format!("sha256:{}", tar.trim()));
    let list = |blob: &str| {
        let bytes = std::fs::read(place.path(blob)).unwrap();
        shell(&place.path(""), "rm -rf target; mkdir target");
        place.send(&bytes, &place.request(&bytes, "gzip", &[])).result();
        shell(
            &place.path("target"),
            "find . ! -name stargz.index.json ! -name .no.prefetch.landmark ! -path . \
             -printf '%p %y %m %U %G %l %n %s %T@\\n' | sort; find . -type f ! -name stargz.index.json \
             ! -name .no.prefetch.landmark -exec sha256sum {} + | sort",
        )
    };
    let original = list("foreign");
    assert!(original.contains("large") && original.contains(&long), "{original}");
    assert_eq!(list("estargz"), original);
}

#[test]
fn convert_refuses_what_apply_refuses() {
    let place = Place::new();
    let plain = tar(&[file("f", "x"), file("g", &"y".repeat(100_000))]);
    std::fs::write(place.path("blob"), &plain).unwrap();
    for to in FORMS {
        let code = |changes: Value| {
            let mut request = request(&place, "blob", "none", to);
            request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            convert(&place, "blob", "out", &request).code().to_owned()
        };
        let other = digest(b"other");
        let limits = |bytes: u64, entries: u64| json!({"maxBytes": bytes, "maxEntries": entries, "maxRatio": 1000});
        assert_eq!(code(json!({})), "ok");
        assert_eq!(code(json!({"diffId": digest(&plain)})), "ok");
        assert_eq!(code(json!({"digest": other})), "ERR_DIGEST_MISMATCH");
        assert_eq!(code(json!({"sizeBytes": plain.len() - 1})), "ERR_SIZE_MISMATCH");
        assert_eq!(code(json!({"diffId": other})), "ERR_DIFFID_MISMATCH");
        assert_eq!(code(json!({"limits": limits(50_000, 9)})), "ERR_LAYER_BOMB");
        let entries = if to.0 == "estargz" { "ERR_LAYER_BOMB" } else { "ok" };
        assert_eq!(code(json!({"limits": limits(1 << 30, 1)})), entries);
        assert_eq!(code(json!({"from": "gzip"})), "ERR_LAYER_INVALID");
    }
    let torn = tar(&[file("f", "x"), file("g", &"y".repeat(100_000))]);
    std::fs::write(place.path("blob"), &torn[..50_000]).unwrap();
    let torn = request(&place, "blob", "none", ("estargz", 6));
    assert_eq!(convert(&place, "blob", "out", &torn).code(), "ERR_LAYER_TRUNCATED");
    let twice = tar(&[file("f", "x"), file("f", "y")]);
    std::fs::write(place.path("blob"), twice).unwrap();
    let twice = request(&place, "blob", "none", ("estargz", 6));
    assert_eq!(convert(&place, "blob", "out", &twice).code(), "ERR_LAYER_UNREPRESENTABLE");
}

/// RLIMIT_DATA counts what a process may write to and shares with nobody: what it allocates, and the stacks of its threads.
#[test]
fn a_layer_of_300_mb_is_compressed_in_100_mb_of_memory() {
    let place = Place::new();
    std::fs::create_dir(place.path("upper")).unwrap();
    shell(&place.path(""), "head -c 300000000 /dev/zero | tr '\\0' 'x' > upper/large");
    let limited = ["sh", "-c", "ulimit -d 100000; exec \"$@\"", "sh"];
    for (form, level) in [("none", 0), ("gzip", 1), ("zstd", 1), ("estargz", 1)] {
        let how = json!({"format": form, "level": level});
        let two = ["taskset", "-c", "0,1"];
        let prefix: Vec<&str> = if cores() > 2 { [&limited[..], &two[..]].concat() } else { limited.to_vec() };
        let said = place.diff_with("upper", "out", &how, None, &prefix);
        assert_eq!(said.code(), "ok", "{form}: {}", said.last);
        let from = std::fs::read(place.path("out")).unwrap();
        let (digest, size) = (digest(&from), from.len());
        let request = json!({
            "op": "convert", "from": format_of(form), "digest": digest, "sizeBytes": size, "diffId": null,
            "to": {"format": "estargz", "level": 1},
            "limits": {"maxBytes": 1_u64 << 36, "maxEntries": 1000, "maxRatio": 100_000},
        });
        std::fs::write(place.path("converted"), "").unwrap();
        let to = place.text("converted");
        let opened = ["sh", "-c", "out=$1; shift; exec \"$@\" 4<>\"$out\"", "sh", &to];
        let said = helper(&request, &place.path("out"), &[&prefix[..], &opened[..]].concat());
        assert_eq!(said.code(), "ok", "{form}: {}", said.last);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
