//! diff, apply and diff again give the same layer; GNU tar unpacks it to the same files (spec/reliability.md, theme J).

use super::fixture::*;

/// Every field of every file below a directory; hard links by their group.
const SURVEY: &str = r#"
import os, sys, stat, hashlib
root = os.fsencode(sys.argv[1]); seen = {}
for base, dirs, files in os.walk(root):
    dirs.sort()
    for n in sorted(dirs + files):
        p = os.path.join(base, n); s = os.lstat(p); rel = os.path.relpath(p, root)
        x = [(a, os.getxattr(p, a, follow_symlinks=False).hex()) for a in sorted(os.listxattr(p, follow_symlinks=False)) if not a.startswith(('trusted.', 'security.selinux'))]
        what = os.readlink(p) if stat.S_ISLNK(s.st_mode) else b''
        if stat.S_ISREG(s.st_mode) and s.st_size < 1 << 30: what = hashlib.sha256(open(p, 'rb').read()).hexdigest()
        group = seen.setdefault(s.st_ino, rel)
        print(rel, oct(s.st_mode), s.st_uid, s.st_gid, 0 if stat.S_ISDIR(s.st_mode) else s.st_size, int(s.st_mtime // 1), s.st_rdev, group, x, what)
"#;

fn survey(place: &Place, name: &str) -> Vec<String> {
    python(SURVEY, &[&place.text(name)]).lines().map(str::to_owned).collect()
}

/// Makes a tree, takes it through a layer, and compares all there is to compare.
fn round_trip(script: &str, with_gnu_tar: bool) {
    let place = Place::new();
    shell(&place.path(""), "mkdir upper");
    python(&format!("import os, sys, stat, struct\nos.chdir(sys.argv[1])\n{script}"), &[&place.text("upper")]);
    let made = survey(&place, "upper");
    assert!(!made.is_empty());
    for format in ["none", "gzip", "zstd"] {
        let first = place.diff("upper", "layer", format, 6);
        let blob = std::fs::read(place.path("layer")).unwrap();
        shell(&place.path(""), "rm -rf target; mkdir target");
        place.send(&blob, &place.request(&blob, format, &[])).result();
        assert_eq!(survey(&place, "target"), made, "{format}");
        let again = place.diff("target", "again", format, 6);
        assert_eq!(again.result(), first.result(), "{format}");
    }
    if with_gnu_tar {
        place.diff("upper", "layer.tar", "none", 0).result();
        shell(
            &place.path(""),
            "mkdir gnu; tar --xattrs --xattrs-include='*' -x -p --numeric-owner -f layer.tar -C gnu",
        );
        assert_eq!(survey(&place, "gnu"), made, "GNU tar");
    }
}

#[test]
fn names_survive() {
    round_trip(
        r#"
names = [b'n' * 255, b'\xff\xfe', b'new\nline', b'tab\t', b'back\\slash', b'"', b'*', b'-rf', b':', b',', b'=', b' space ', b'dot.', '\u00e9'.encode(), 'e\u0301'.encode(), b'case', b'CASE', '\U0001f600'.encode(), '\u05d0\u05d1'.encode(), b'a' * 99, b'a' * 100, b'a' * 101]
for n in names: open(n, 'wb').write(n)
os.mkdir(b'd' * 200)
for n in names: open(b'd' * 200 + b'/' + n, 'wb').write(n)
for length in range(95, 105):
    os.mkdir(b'x' * length); os.symlink(b't' * length, b'x' * length + b'/l'); open(b'x' * length + b'/' + b'y' * length, 'w')
os.symlink(b'\xff', 'bytes'); os.symlink(b't' * 4000, 'long')
"#,
        true,
    );
}

#[test]
fn hard_links_survive() {
    round_trip(
        "
open('z', 'w').write('content'); os.link('z', 'a'); os.mkdir('d'); os.link('z', 'd/m')
os.symlink('z', 's'); os.link('s', 's2', follow_symlinks=False)
os.mkfifo('p'); os.link('p', 'p2')
open('many', 'w').write('x')
for i in range(10000): os.link('many', 'link%05d' % i)
",
        true,
    );
}

#[test]
fn owners_modes_and_times_survive() {
    if !is_root() {
        return;
    }
    round_trip(
        "
for i, mode in enumerate([0, 0o4755, 0o2755, 0o1777, 0o7777, 0o644, 0o111]):
    open('f%d' % i, 'w').write('x'); os.chmod('f%d' % i, mode); os.mkdir('d%d' % i); open('d%d/f' % i, 'w'); os.chmod('d%d' % i, mode)
for i in [0, 1000, 65534, 65535, 2**21 - 1, 2**21, 2**21 + 1, 2**31 - 1, 2**31, 2**32 - 2]:
    open('u%d' % i, 'w'); os.chown('u%d' % i, i, 0); open('g%d' % i, 'w'); os.chown('g%d' % i, 0, i)
    os.chmod('u%d' % i, 0o6755); os.symlink('x', 'l%d' % i); os.chown('l%d' % i, i, i, follow_symlinks=False)
for t in [0, 1, -1, -86400 * 365, 2**31 - 1, 2**31, 2**32 + 5, 8589934591, 8589934592]:
    open('t%d' % t, 'w'); os.utime('t%d' % t, (t, t)); os.symlink('x', 'tl%d' % t); os.utime('tl%d' % t, (t, t), follow_symlinks=False)
    os.mkdir('td%d' % t); open('td%d/f' % t, 'w'); os.utime('td%d' % t, (t, t))
",
        true,
    );
}

#[test]
fn attributes_survive() {
    if !is_root() {
        return;
    }
    // ACLs as the kernel stores them: version 2, then tag, permissions and id of each entry.
    round_trip(
        "
acl = lambda *e: struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *x) for x in e)
no = 0xffffffff
full = acl((1, 7, no), (2, 5, 1000), (4, 5, no), (16, 5, no), (32, 5, no))
open('cap2', 'w'); os.setxattr('cap2', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))
open('cap3', 'w'); os.setxattr('cap3', 'security.capability', struct.pack('<IIIIII', 0x03000001, 1 << 10, 0, 0, 0, 1000))
open('user', 'w'); os.setxattr('user', 'user.bytes', bytes(range(256))); os.setxattr('user', 'user.empty', b''); os.setxattr('user', 'user. \\n', b'=')
open('acl', 'w'); os.setxattr('acl', 'system.posix_acl_access', full)
os.mkdir('d'); os.setxattr('d', 'system.posix_acl_default', full); os.setxattr('d', 'user.a', b'1')
open('d/plain', 'w'); os.removexattr('d/plain', 'system.posix_acl_access') if 'system.posix_acl_access' in os.listxattr('d/plain') else None
os.chmod('d/plain', 0o600); os.mkdir('d/sub', 0o700)
[os.removexattr('d/sub', a) for a in os.listxattr('d/sub')]; os.chmod('d/sub', 0o700)
",
        false,
    );
}

#[test]
fn attributes_of_the_machine_are_dropped() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let items = [
        file("f", "")
            .pax("SCHILY.xattr.trusted.md5sum", "x")
            .pax("SCHILY.xattr.security.selinux", "y")
            .pax("SCHILY.xattr.user.kept", "z"),
        symlink("l", "f").pax("SCHILY.xattr.user.never", "z"),
    ];
    let said = place.apply(&tar(&items), &[]);
    assert!(said.before.is_empty(), "{:?}", said.before);
    said.result();
    let got = python(
        "import os, sys; print([a for a in os.listxattr(sys.argv[1]) if a != 'security.selinux'])",
        &[&place.text("target/f")],
    );
    assert_eq!(got, "['user.kept']\n");
    shell(&place.path("target"), "python3 -c \"import os; os.setxattr('f', 'trusted.x', b'1')\"");
    place.diff("target", "out.tar", "none", 0).result();
    let raw = std::fs::read(place.path("out.tar")).unwrap();
    assert!(!raw.windows(8).any(|window| window == b"trusted."));
}

#[test]
fn attributes_that_no_layer_can_hold_are_named() {
    let place = Place::new();
    std::fs::create_dir(place.path("upper")).unwrap();
    std::fs::write(place.path("upper/f"), "").unwrap();
    python("import os, sys; os.setxattr(sys.argv[1], 'user.a=b', b'1')", &[&place.text("upper/f")]);
    let said = place.diff("upper", "out.tar", "none", 0);
    assert_eq!(said.result()["unpackedBytes"], 1536);
    assert_eq!(said.before[0]["code"], "WARN_XATTR_SKIPPED");
}

#[test]
fn special_files_survive() {
    if !is_root() {
        return;
    }
    round_trip(
        "
os.mkfifo('p', 0o640)
for major, minor in [(1, 3), (8, 0), (4095, 1048575), (255, 256)]:
    os.mknod('c%d.%d' % (major, minor), stat.S_IFCHR | 0o666, os.makedev(major, minor)); os.mknod('b%d.%d' % (major, minor), stat.S_IFBLK | 0o60, os.makedev(major, minor))
",
        false,
    );
}

#[test]
fn sizes_survive() {
    round_trip(
        "
for n in [0, 1, 511, 512, 513, 65535, 65536, 262143, 262144, 262145, 1048575, 1048576, 1048577, 3000000]:
    open('s%d' % n, 'wb').write(bytes(i * 7 % 251 for i in range(min(n, 5000))) * (n // 5000 + 1)); os.truncate('s%d' % n, n)
f = open('sparse', 'wb'); f.truncate(200 << 20); f.seek(100 << 20); f.write(b'data' * 1024); f.close()
f = open('tail', 'wb'); f.write(b'head'); f.truncate(5 << 20); f.close()
f = open('hole', 'wb'); f.truncate(7 << 20); f.close()
",
        true,
    );
}

#[test]
fn sparse_files_cost_no_disk() {
    let place = Place::new();
    shell(
        &place.path(""),
        "mkdir upper; truncate -s 1G upper/f; printf data | dd of=upper/f bs=1 seek=600000000 conv=notrunc status=none",
    );
    let said = place.diff("upper", "layer", "zstd", 1);
    assert_eq!(said.result()["unpackedBytes"], (1_u64 << 30) + 512 + 1024);
    let blob = std::fs::read(place.path("layer")).unwrap();
    let mut request = place.request(&blob, "zstd", &[]);
    request["limits"]["maxRatio"] = 100_000.into();
    place.send(&blob, &request).result();
    let blocks = shell(&place.path("target"), "stat -c %b f; cmp f ../upper/f");
    assert!(blocks.trim().parse::<u64>().unwrap() <= 2048, "{blocks}");
}

#[test]
fn sizes_beyond_octal_survive_in_the_header() {
    let place = Place::new();
    shell(&place.path(""), "mkdir upper; truncate -s 9G upper/f");
    // Level 1 of zstd turns 9 GiB of zeros into some hundred KiB; nothing is read from disk.
    place.diff("upper", "layer.zst", "zstd", 1).result();
    let script = "
import subprocess, sys, tarfile
p = subprocess.Popen(['zstd', '-dc', sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
m = tarfile.open(fileobj=p.stdout, mode='r|').next(); print(m.name, m.size, m.pax_headers['size']); p.kill()";
    assert_eq!(python(script, &[&place.text("layer.zst")]), format!("f {0} {0}\n", 9_u64 << 30));
}

#[test]
fn depth_is_not_limited_by_path_max() {
    let place = Place::new();
    let script = "
import os, sys
os.chdir(sys.argv[1]); os.mkdir('upper'); os.chdir('upper')
for i in range(1500): os.mkdir('deep%d' % i); os.chdir('deep%d' % i)
open('end', 'w').write('x'); os.symlink('end', 'link')
";
    python(script, &[&place.text("")]);
    let first = place.diff("upper", "layer", "none", 0);
    assert_eq!(first.result()["entries"], 1502);
    let blob = std::fs::read(place.path("layer")).unwrap();
    place.send(&blob, &place.request(&blob, "none", &[])).result();
    assert_eq!(place.diff("target", "again", "none", 0).result(), first.result());

    // Without the directories' own entries, and then replaced by a file.
    let place2 = Place::new();
    let path = (0..1500).map(|at| format!("deep{at}/")).collect::<String>();
    place2.apply(&tar(&[file("x", "x").pax("path", format!("{path}end")), file("deep0", "y")]), &[]).result();
    assert_eq!(std::fs::read(place2.path("target/deep0")).unwrap(), b"y");
}

#[test]
fn export_writes_the_merged_tree() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    shell(
        &place.path(""),
        "mkdir -p one/d two/d; echo 1 > one/d/a; echo 1 > one/d/b; echo 2 > two/d/b; ln two/d/b two/c; mknod two/d/a c 0 0",
    );
    let lines = place.merged(&["two", "one"]);
    assert_eq!(lines, ["file c 2", "", "dir d", "hard d/b c"]);
    // FROM scratch.
    assert!(place.merged(&[]).is_empty());
}

#[test]
fn diff_refuses_a_name_that_cannot_be_unpacked() {
    let place = Place::new();
    let script = "
import os, sys
os.chdir(sys.argv[1]); os.mkdir('upper'); os.chdir('upper')
for i in range(100): os.mkdir('n' * 200); os.chdir('n' * 200)
";
    python(script, &[&place.text("")]);
    assert_eq!(place.diff("upper", "layer", "none", 0).code(), "ERR_LAYER_UNREPRESENTABLE");
}
