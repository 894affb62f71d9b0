//! Headers that readers disagree about are refused; everything else is read as GNU tar and Python read it.

use super::fixture::*;

fn patched(item: &Item, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = item.bytes();
    out[at..at + bytes.len()].copy_from_slice(bytes);
    checksum(&mut out);
    out
}

fn ended(bytes: Vec<u8>) -> Vec<u8> {
    [bytes, vec![0; 1024]].concat()
}

fn extension(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut item = file("x", "");
    item.kind = kind;
    item.data = body.to_vec();
    item.bytes()
}

#[test]
fn apply_refuses_ambiguous_archives() {
    let f = file("f", "12345");
    let pax = |records: &[u8]| [extension(b'x', records), f.bytes()].concat();
    let record = |key: &str, value: &str| pax_record(key, value.as_bytes());
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("checksum", {
            let mut bytes = f.bytes();
            bytes[0] ^= 1;
            bytes
        }),
        ("octal digit 8", patched(&f, 124, b"00000000008\0")),
        ("text as a number", patched(&f, 108, b"0x1f\0\0\0\0")),
        ("number after a number", patched(&f, 124, b"00005 00005 ")),
        ("negative size", patched(&f, 124, &[0xff; 12])),
        ("size beyond 64 bits", patched(&f, 124, &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5])),
        ("uid 2^32-1", patched(&f, 108, &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])),
        ("uid 2^32", patched(&f, 108, &[0x80, 0, 0, 1, 0, 0, 0, 0])),
        ("negative gid", patched(&f, 116, &[0xff; 8])),
        ("unknown type", patched(&f, 156, b"Z")),
        ("GNU sparse", patched(&f, 156, b"S")),
        ("GNU multi-volume", patched(&f, 156, b"M")),
        ("Solaris extension", patched(&f, 156, b"X")),
        ("file with a slash", patched(&f, 0, b"f/")),
        ("directory with content", patched(&f, 156, b"5")),
        ("symlink with content", patched(&f, 156, b"2")),
        ("device with content", patched(&f, 156, b"3")),
        ("major number 2^12", patched(&device("d", 1, 1), 329, b"0010000\0")),
        ("major number 2^32+1", patched(&device("d", 1, 1), 329, &[0x80, 0, 0, 1, 0, 0, 0, 1])),
        ("negative minor number", patched(&device("d", 1, 1), 337, &[0xff; 8])),
        ("lone zero block", [vec![0; 512], f.bytes()].concat()),
        ("PAX without a length", pax(b"path=x\n")),
        ("PAX length too short", pax(b"5 path=x\n")),
        ("PAX length too long", pax(b"99 path=x\n")),
        ("PAX without a newline", pax(b"9 path=x ")),
        ("PAX without a key", pax(b"5 =x\n")),
        ("PAX name with NUL", pax(&record("path", "a\0b"))),
        ("PAX name empty", pax(&record("path", ""))),
        ("PAX size no number", pax(&record("size", "5x"))),
        ("PAX size negative", pax(&record("size", "-5"))),
        ("PAX uid 2^32-1", pax(&record("uid", "4294967295"))),
        ("PAX sparse", pax(&record("GNU.sparse.major", "1"))),
        (
            "PAX twice",
            [extension(b'x', &record("comment", "a")), extension(b'x', &record("comment", "b")), f.bytes()].concat(),
        ),
        ("PAX and GNU name", [extension(b'L', b"long\0"), extension(b'x', &record("path", "b")), f.bytes()].concat()),
        ("GNU name twice", [extension(b'L', b"a\0"), extension(b'L', b"b\0"), f.bytes()].concat()),
        ("GNU name with NUL", [extension(b'L', b"a\0b\0"), f.bytes()].concat()),
        ("global name", [extension(b'g', &record("path", "x")), f.bytes()].concat()),
        ("global size", [extension(b'g', &record("size", "5")), f.bytes()].concat()),
        ("global attribute", [extension(b'g', &record("SCHILY.xattr.user.a", "5")), f.bytes()].concat()),
        ("PAX header of 2 MiB", pax(&record("comment", &"x".repeat(2 << 20)))),
        ("GNU name of 2 MiB", [extension(b'L', &vec![b'x'; 2 << 20]), f.bytes()].concat()),
        ("PAX header that claims 1 GiB", patched(&file("x", ""), 124, b"10000000000\0").into_iter().collect()),
    ];
    for (name, bytes) in table {
        let mut bytes = ended(bytes);
        if name.contains("claims") {
            bytes[156] = b'x';
            checksum(&mut bytes);
        }
        let said = Place::new().apply(&bytes, &[]);
        assert_eq!(said.code(), "ERR_LAYER_INVALID", "{name}: {}", said.last);
    }
    let lone = extension(b'x', &record("path", "x"));
    assert_eq!(Place::new().apply(&ended(lone), &[]).code(), "ERR_LAYER_TRUNCATED");
}

#[test]
fn apply_honours_the_pax_size() {
    // TAR-04: who trusts the ustar size (0) sees a second file inside the first one's content.
    let inner = file("smuggled", "x").bytes();
    let mut outer = file("outer", "").pax("size", inner.len().to_string()).bytes();
    outer.extend(&inner);
    let place = Place::new();
    place.apply(&ended(outer), &[]).result();
    assert_eq!(shell(&place.path("target"), "ls"), "outer\n");
    assert_eq!(std::fs::read(place.path("target/outer")).unwrap(), inner);
}

#[test]
fn apply_reads_what_other_writers_write() {
    let script = r#"
import sys, tarfile, io
for name, form in (('gnu', tarfile.GNU_FORMAT), ('pax', tarfile.PAX_FORMAT), ('ustar', tarfile.USTAR_FORMAT)):
    t = tarfile.open(sys.argv[1] + '/' + name + '.tar', 'w', format=form)
    def add(path, data=b'', **kw):
        i = tarfile.TarInfo(path); i.size = len(data); i.mtime = 1000
        for k, v in kw.items(): setattr(i, k, v)
        t.addfile(i, io.BytesIO(data))
    add('d', type=tarfile.DIRTYPE, mode=0o1777)
    add('plain', b'data', mode=0o4755, uid=1, gid=2)
    add('d/' + 'n' * 90 + '/' + 'm' * 95, b'long')
    if form != tarfile.USTAR_FORMAT:
        add('l' * 250 + '/' + 'm' * 200, b'longer')
        add('link', type=tarfile.SYMTYPE, linkname='t' * 300)
        add('big', b'', uid=5000000, gid=4294967294)
        add('old', b'', mtime=-1000)
        add('caf\u00e9', b'utf')
    add('hard', type=tarfile.LNKTYPE, linkname='plain')
    t.close()
"#;
    let listing = "cd target && find . -mindepth 1 -printf '%P %y %m %U:%G %s %T@ %l\\n' | sort";
    let place = Place::new();
    python(script, &[&place.text("")]);
    for name in ["gnu", "pax", "ustar"] {
        if name != "ustar" && !is_root() {
            return;
        }
        let place2 = Place::new();
        let archive = std::fs::read(place.path(&format!("{name}.tar"))).unwrap();
        place2.apply(&archive, &[]).result();
        let ours = shell(&place2.path(""), listing);
        std::fs::rename(place2.path("target"), place2.path("ours")).unwrap();
        std::fs::create_dir(place2.path("target")).unwrap();
        std::fs::write(place2.path("a.tar"), &archive).unwrap();
        shell(
            &place2.path(""),
            "tar -x --numeric-owner -p -f a.tar -C target; find target -mindepth 1 -maxdepth 3 -type d ! -path 'target/d' -exec chmod 755 {} + -exec touch -d @0 {} +",
        );
        let theirs = shell(&place2.path(""), listing);
        let files =
            |text: &str| text.lines().filter(|line| !line.contains(" d ")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(files(&ours), files(&theirs), "{name}");
        assert!(files(&ours).len() >= 3);
    }
}

#[test]
fn apply_lets_the_later_of_two_entries_win() {
    let table: Vec<(Vec<Item>, &str)> = vec![
        (vec![file("a", "1"), file("a", "2")], "a f\n"),
        (vec![dir("a"), file("a/b", "1"), file("a", "2")], "a f\n"),
        (vec![file("a", "1"), dir("a"), file("a/b", "2")], "a d\na/b f\n"),
        (vec![dir("a").mode(0o700), file("a/b", "1"), dir("a").mode(0o755)], "a d\na/b f\n"),
        (vec![file("a", "1"), symlink("a", "b")], "a l\n"),
        (vec![symlink("a", "b"), fifo("a")], "a p\n"),
        (vec![file("b", "2"), file("a", "1"), hardlink("a", "b")], "a f\nb f\n"),
    ];
    for (items, expected) in table {
        let place = Place::new();
        place.apply(&tar(&items), &[]).result();
        assert_eq!(shell(&place.path("target"), "find . -mindepth 1 -printf '%P %y\\n' | sort"), expected);
    }
}
