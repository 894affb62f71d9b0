//! The oracle of all layers: random changes on an overlay and on a plain copy; the overlay's layer, applied to the same
//! base, must give what the plain copy has (spec/reliability.md, FS-10).

use crate::fixture::*;

/// Makes `base`, a copy of it, and an overlay over it; changes copy and overlay alike.
const CHANGE: &str = r#"
import ctypes, os, random, shutil, stat, subprocess, sys
root, seed = sys.argv[1], int(sys.argv[2]); os.chdir(root); rng = random.Random(seed)
for d in ['base', 'base/a', 'base/a/b', 'base/c', 'base/a/b/e']: os.mkdir(d)
for f in ['base/f', 'base/a/f', 'base/a/b/g', 'base/c/h', 'base/a/b/e/i']: open(f, 'w').write(f)
os.symlink('a', 'base/l')
subprocess.run(['cp', '-a', 'base', 'plain'], check=True)
for d in ['upper', 'work', 'merged']: os.mkdir(d)
subprocess.run(['mount', '-t', 'overlay', 'none', '-o', 'lowerdir=base,upperdir=upper,workdir=work,redirect_dir=nofollow,metacopy=off', 'merged'], check=True)
names = ['a', 'b', 'c', 'e', 'f', 'g', 'h', 'l', 'n']
def path(): return '/'.join(rng.choice(names) for _ in range(rng.randint(1, 3)))
def remove(p): shutil.rmtree(p) if os.path.isdir(p) and not os.path.islink(p) else os.unlink(p)
def put(p, text, how):
    # Without O_NONBLOCK the open of a pipe waits for a reader.
    fd = os.open(p, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | how, 0o644); os.write(fd, text.encode()); os.close(fd)
ops = {
    'write': lambda p, q: put(p, q, os.O_TRUNC), 'append': lambda p, q: put(p, q, os.O_APPEND), 'mkdir': lambda p, q: os.mkdir(p),
    'remove': lambda p, q: remove(p), 'rename': lambda p, q: os.rename(p, q), 'link': lambda p, q: os.link(p, q, follow_symlinks=False),
    'symlink': lambda p, q: os.symlink(q, p), 'chmod': lambda p, q: os.chmod(p, 0o700 + len(q) % 64, follow_symlinks=True),
    'chown': lambda p, q: os.lchown(p, len(q), 7), 'fifo': lambda p, q: os.mkfifo(p), 'xattr': lambda p, q: os.setxattr(p, 'user.x', q.encode()),
    'rmrf': lambda p, q: remove(p),
}
for _ in range(40):
    op, p, q = rng.choice(sorted(ops)), path(), path()
    # Symlinks are relative and names repeat, so a write through one stays inside both trees.
    os.chdir(root + '/merged')
    try: ops[op](p, q)
    except OSError: continue
    os.chdir(root + '/plain')
    ops[op](p, q)
os.chdir(root)
subprocess.run(['umount', 'merged'], check=True)
"#;

/// What both trees must agree about; times differ by the moment of each change.
const SURVEY: &str = r#"
import os, stat, sys
os.chdir(sys.argv[1]); groups = {}
for base, dirs, files in os.walk('.'):
    dirs.sort()
    for p in sorted(os.path.join(base, n) for n in dirs + files):
        s = os.lstat(p); group = groups.setdefault(s.st_ino, p)
        x = [(a, os.getxattr(p, a, follow_symlinks=False)) for a in os.listxattr(p, follow_symlinks=False) if a.startswith('user.')]
        what = os.readlink(p) if stat.S_ISLNK(s.st_mode) else open(p).read() if stat.S_ISREG(s.st_mode) else ''
        print(p, oct(s.st_mode), s.st_uid, s.st_gid, group, x, what)
"#;

#[test]
fn layers_hold_exactly_what_changed() {
    if !is_root() {
        return;
    }
    for seed in 0..25 {
        let place = Place::new();
        let root = place.text("");
        let changed = std::process::Command::new("unshare")
            .args(["-m", "python3", "-c", CHANGE, &root, &seed.to_string()])
            .output();
        let changed = changed.unwrap();
        assert!(changed.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&changed.stderr));
        place.diff("upper", "layer", "gzip", 1).result();
        let blob = std::fs::read(place.path("layer")).unwrap();
        place.send(&blob, &place.request(&blob, "gzip", &["base"])).result();
        place.merged(&["target", "base"]);
        shell(
            &place.path(""),
            "mkdir out; tar --xattrs --xattrs-include='user.*' -x -p --numeric-owner -f export.tar -C out",
        );
        let (ours, plain) = (python(SURVEY, &[&place.text("out")]), python(SURVEY, &[&place.text("plain")]));
        assert_eq!(ours.lines().collect::<Vec<_>>(), plain.lines().collect::<Vec<_>>(), "seed {seed}");
    }
}
