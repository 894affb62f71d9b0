"""The oracle of all layers: random changes on an overlay and on a plain copy of the same files. What `diff` makes of the
overlay's upper directory, unpacked by `apply` above the same layers, must be the plain copy, field by field.

Arguments: the helper, the directory of survey.py, a work directory, the first seed, how many. Each seed goes through two
rounds; the second changes what the first one's layer gave. A failure is repeated with fewer operations until no one can go."""
import hashlib, json, os, random, shutil, stat, struct, subprocess, sys

helper, programs, work, first, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
sys.path.insert(0, programs)
from survey import mount, mounted, survey, unmount

OPERATIONS = 60
NAMES = [b"a", b"b", b"c", b"d", b"e", b"f", b"link", b"n\xff", b"n\n", b"a" * 150]
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
NO_ID = 0xFFFFFFFF


def acl(rng):
    entries = [(1, 7, NO_ID), (2, rng.randrange(8), 1000), (4, 5, NO_ID), (16, 7, NO_ID), (32, rng.randrange(8), NO_ID)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def path(rng):
    return b"/".join(rng.choice(NAMES) for _ in range(rng.choice([1, 1, 2, 2, 3])))


def content(rng):
    size = rng.choice([0, 1, 511, 512, 513, 5000, 300000])
    return rng.randbytes(min(size, 600)) * (size // 600 + 1) if size else b""


def operations(rng):
    """A list of operations: a name, then paths and values."""
    made = []
    for _ in range(OPERATIONS):
        p, q = path(rng), path(rng)
        made.append(rng.choice([
            ("write", p, content(rng)), ("write", p, content(rng)), ("append", p, content(rng)), ("truncate", p, rng.choice([0, 100, 1 << 20])),
            ("sparse", p, rng.choice([1 << 20, 3 << 20]), content(rng)), ("mkdir", p, rng.choice([0o755, 0o700, 0o1777, 0])),
            ("mkdir", p, 0o755), ("unlink", p), ("rmdir", p), ("rmtree", p), ("rename", p, q), ("rename", p, q), ("link", p, q),
            ("link", p, q), ("symlink", p, q), ("chmod", p, rng.choice([0, 0o644, 0o4755, 0o2711, 0o7777])),
            ("chown", p, rng.choice([0, 1000, 65534, 2**32 - 2]), rng.randrange(3)), ("setxattr", p, "user.x", content(rng)[:3000]),
            ("setxattr", p, "security.capability", CAPABILITY), ("setxattr", p, "system.posix_acl_access", acl(rng)),
            ("setxattr", p, "system.posix_acl_default", acl(rng)), ("removexattr", p, "user.x"), ("fifo", p),
            ("mknod", p, rng.choice([stat.S_IFCHR, stat.S_IFBLK]), rng.randrange(1, 200), rng.randrange(200)),
            ("utime", p, rng.choice([-(2**31), -1, 0, 10**9, 2**31, 2**33 - 1])), ("opaque", p, q.split(b"/")[-1]), ("refile", p, content(rng)),
            ("redir", p, q.split(b"/")[-1]),
        ]))
    return made


def put(p, data, how):
    # Without O_NONBLOCK the open of a pipe waits for a reader.
    fd = os.open(p, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | how, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("no file")
        os.write(fd, data)
    finally:
        os.close(fd)


def sparse(p, at, data):
    put(p, b"", os.O_CREAT)
    with open(p, "r+b") as file:
        file.truncate(at)
        file.seek(at)
        file.write(data)


def remove(p):
    if stat.S_ISDIR(os.lstat(p).st_mode):
        shutil.rmtree(p)
    else:
        os.unlink(p)


def real_directory(p):
    if not stat.S_ISDIR(os.lstat(p).st_mode):
        raise OSError("no directory")


def opaque(p, name):
    real_directory(p)
    shutil.rmtree(p)
    os.mkdir(p, 0o750)
    put(p + b"/" + name, b"again", os.O_CREAT)


def refile(p, data):
    remove(p)
    put(p, data, os.O_CREAT | os.O_EXCL)


def redir(p, name):
    remove(p)
    os.mkdir(p)
    os.mkdir(p + b"/" + name)


def mode_of(p, mode):
    if stat.S_ISLNK(os.lstat(p).st_mode):
        raise OSError("a link")
    os.chmod(p, mode)


def rename(p, q):
    # Onto itself, by whatever way, nothing happens; overlayfs does not even copy it up.
    if os.path.basename(p) == os.path.basename(q) and os.path.samefile(os.path.dirname(p) or b".", os.path.dirname(q) or b"."):
        raise OSError("the same name")
    os.rename(p, q)


DO = {
    "write": lambda p, data: put(p, data, os.O_CREAT | os.O_TRUNC), "append": lambda p, data: put(p, data, os.O_APPEND),
    "truncate": lambda p, size: (put(p, b"", 0), os.truncate(p, size)), "sparse": sparse, "mkdir": os.mkdir, "unlink": os.unlink,
    "rmdir": os.rmdir, "rmtree": lambda p: (real_directory(p), shutil.rmtree(p)), "rename": rename,
    "link": lambda p, q: os.link(p, q, follow_symlinks=False), "symlink": lambda p, q: os.symlink(q, p), "chmod": mode_of, "chown": os.lchown,
    "setxattr": lambda p, name, value: os.setxattr(p, name, value, follow_symlinks=False),
    "removexattr": lambda p, name: os.removexattr(p, name, follow_symlinks=False), "fifo": os.mkfifo,
    "mknod": lambda p, kind, major, minor: os.mknod(p, kind | 0o640, os.makedev(major, minor)),
    "utime": lambda p, seconds: os.utime(p, (0, seconds), follow_symlinks=False), "opaque": opaque, "refile": refile, "redir": redir,
}
# After these a file of a lower layer is another one than before, which parts it from its hard links.
COPIES_UP = {"write", "append", "truncate", "sparse", "rename", "link", "chmod", "chown", "setxattr", "removexattr", "utime"}


def part(p, shared):
    """What overlayfs does to one of several names of a lower file: the others keep the old inode."""
    if os.path.lexists(p) and os.lstat(p).st_ino in shared:
        subprocess.run(["cp", "-a", "--sparse=always", p, b".copy"], check=True)
        os.rename(b".copy", p)


def rename_directory(p, q):
    """As tools do where rename(2) says EXDEV, which overlayfs does for directories of the layers below."""
    real_directory(p)
    if (q + b"/").startswith(p + b"/") or os.path.lexists(q):
        raise OSError("not into itself, not over something")
    subprocess.run(["cp", "-a", p, q], check=True, stderr=subprocess.DEVNULL)
    shutil.rmtree(p)


def change(done, merged, plain):
    """Applies the operations to both trees; one that fails in the overlay is left out. True if both did the same."""
    linked = [path for path in (os.path.join(plain, name) for name in walk(plain))
              if os.lstat(path).st_nlink > 1 and not stat.S_ISDIR(os.lstat(path).st_mode)]
    # Held open, so that no new file gets the inode number of one that is gone.
    held = [os.open(path, os.O_PATH | os.O_NOFOLLOW) for path in linked]
    shared = {os.fstat(fd).st_ino for fd in held}
    for name, p, *rest in done:
        act = DO[name]
        os.chdir(merged)
        try:
            act(p, *rest)
        except OSError as error:
            if name != "rename" or error.errno != 18:
                continue
            act = rename_directory
            try:
                act(p, *rest)
            except (OSError, subprocess.CalledProcessError):
                continue
        os.chdir(plain)
        if name in COPIES_UP:
            part(p, shared)
        act(p, *rest)
    os.chdir("/")
    for fd in held:
        os.close(fd)


def same_times(merged, plain):
    """Both trees changed at different moments: the plain one gets the times of the other."""
    entries = [e for e in walk(plain)] + [b""]
    for entry in entries:
        s = os.lstat(os.path.join(merged, entry) if entry else merged)
        os.utime(os.path.join(plain, entry) if entry else plain, ns=(s.st_atime_ns, s.st_mtime_ns), follow_symlinks=False)


def walk(root):
    for base, directories, files in os.walk(root, topdown=False):
        for name in directories + files:
            yield os.path.relpath(os.path.join(base, name), root)


def ask(request, bulk, how):
    fd = os.open(bulk, how, 0o600)
    envelope = {"protocol": 1, "idMap": None, "joinUserNamespace": False, "request": request}
    try:
        # The helper reads or writes the blob on descriptor 3.
        command = ["sh", "-c", 'exec "$0" 3<&%d %d<&-' % (fd, fd), helper] if fd != 3 else [helper]
        done = subprocess.run(command, input=json.dumps(envelope).encode(), capture_output=True, pass_fds=[fd])
    finally:
        os.close(fd)
    last = json.loads(done.stdout.splitlines()[-1])
    if last["event"] != "result":
        raise AssertionError("%s: %s" % (request["op"], last))


def base_files(root):
    os.mkdir(root)
    for d in [b"a", b"a/b", b"a/b/e", b"c", b"d"]:
        os.mkdir(os.path.join(root, d))
    for f in [b"f", b"a/f", b"a/b/d", b"c/n\xff", b"a/b/e/c", b"d/e"]:
        put(os.path.join(root, f), f, os.O_CREAT)
    os.link(root + b"/f", root + b"/c/f")
    os.link(root + b"/a/f", root + b"/a/b/f")
    os.symlink(b"a", root + b"/link")
    os.symlink(b"../c", root + b"/d/link")
    os.setxattr(root + b"/f", "user.x", b"base")
    os.mkfifo(root + b"/b")


def compare(seed, rounds, place):
    """None, or how the trees differ after one of the rounds."""
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    at = lambda name: os.path.join(place, name)
    base_files(at(b"base"))
    subprocess.run(["cp", "-a", at(b"base"), at(b"plain")], check=True)
    lower = [at(b"base")]
    for number, done in enumerate(rounds):
        upper, merged, target = (at(b"%s%d" % (name, number)) for name in (b"upper", b"merged", b"target"))
        for directory in (upper, merged, target, upper + b".work"):
            os.mkdir(directory)
        text = [os.fsdecode(one) for one in lower]
        mount(os.fsdecode(merged), text, ",upperdir=%s,workdir=%s.work" % (os.fsdecode(upper), os.fsdecode(upper)))
        try:
            change(done, merged, at(b"plain"))
            same_times(merged, at(b"plain"))
        finally:
            os.chdir("/")
            unmount(os.fsdecode(merged))
        ask({"op": "diff", "upper": os.fsdecode(upper), "form": {"compression": {"format": "none", "level": 0}, "clampMtime": None}}, at(b"layer"), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        blob = open(at(b"layer"), "rb").read()
        limits = {"maxBytes": 1 << 36, "maxEntries": 1000000, "maxRatio": 1000}
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        ask({"op": "apply", "target": os.fsdecode(target), "lower": text, "compression": "none", "digest": digest, "sizeBytes": len(blob), "diffId": digest, "limits": limits, "finish": None}, at(b"layer"), os.O_RDONLY)
        lower.insert(0, target)
        difference = differ(mounted([os.fsdecode(one) for one in lower]), survey(at(b"plain")))
        if difference:
            return "round %d: %s" % (number, difference)
    return None


def differ(ours, plain):
    left, right = ({entry["path"]: fields(entry) for entry in tree} for tree in (ours, plain))
    return [(path, left.get(path), right.get(path)) for path in sorted({*left, *right}) if left.get(path) != right.get(path)]


def fields(entry):
    # A layer says nothing about the root, and has whole seconds.
    if entry["path"] == ".":
        return None
    # It holds attributes of files and directories alone.
    xattrs = entry["xattrs"] if entry["kind"] in ("file", "dir") else {}
    return {**entry, "xattrs": xattrs, "mtimeNs": int(entry["mtimeNs"]) // 10**9}


def shrink(seed, rounds, place):
    """Leaves operations out as long as it still fails."""
    rounds = [list(done) for done in rounds]
    for done in rounds:
        for at in reversed(range(len(done))):
            left = done.pop(at)
            try:
                failed = compare(seed, rounds, place)
            except AssertionError as error:
                failed = error
            if not failed:
                done.insert(at, left)
    return rounds


os.umask(0)
did = 0
for seed in range(first, first + count):
    rng = random.Random(seed)
    rounds = [operations(rng), operations(rng)]
    place = os.fsencode(os.path.join(work, "tree-diff"))
    try:
        failure = compare(seed, rounds, place)
    except AssertionError as error:
        failure = str(error)
    if failure:
        small = shrink(seed, rounds, place)
        print("seed %d: %s\nsmallest: %s\n%s" % (seed, failure, small, compare(seed, small, place)))
        sys.exit(1)
    did += 1
    shutil.rmtree(place)
print(did)
