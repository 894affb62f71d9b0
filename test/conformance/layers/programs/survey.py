"""Describes file trees: reads a JSON list of {"root": DIR} or {"lower": [TOP, …, LOWEST]} from standard input and writes
the files of each as a JSON list. Stacks are mounted, so this runs in a mount namespace of its own."""
import ctypes, hashlib, json, os, resource, stat, sys, tempfile

libc = ctypes.CDLL(None, use_errno=True)


def text(raw):
    """Bytes as ASCII; what is not printable as \\xNN."""
    return "".join(chr(b) if 32 <= b < 127 else "\\x%02x" % b for b in raw)


def kind_of(mode):
    for name in ("REG", "DIR", "LNK", "FIFO", "CHR", "BLK", "SOCK"):
        if getattr(stat, "S_IS" + name)(mode):
            return {"REG": "file", "DIR": "dir", "LNK": "link", "FIFO": "fifo", "CHR": "char", "BLK": "block", "SOCK": "socket"}[name]


def content(fd, name, size):
    """Digest of all bytes, and the bytes themselves where they are few. Holes are not read: their place counts as zeros."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
    digest, at = hashlib.sha256(), 0
    try:
        if size <= 1 << 24:
            data = os.read(handle, size + 1)
            while len(data) < size:
                data += os.read(handle, size - len(data))
            return hashlib.sha256(data).hexdigest(), text(data) if size <= 40 else None
        while at < size:
            try:
                start = os.lseek(handle, at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(handle, start, os.SEEK_HOLE)
            while start < end:
                os.lseek(handle, start, os.SEEK_SET)
                piece = os.read(handle, min(1 << 20, end - start))
                if piece.strip(b"\0"):
                    # By 4 KiB, since what a file system takes for a hole differs.
                    for offset in range(0, len(piece), 4096):
                        part = piece[offset:offset + 4096]
                        if part.strip(b"\0"):
                            digest.update(b"%d " % (start + offset) + part)
                start += len(piece)
            at = end
        return digest.hexdigest(), None
    finally:
        os.close(handle)


def attributes(fd, name):
    """Extended attributes; those of overlayfs and of the machine are none of the tree's."""
    path = "/proc/self/fd/%d/" % fd
    path = os.fsencode(path) + name
    found = {}
    for attribute in os.listxattr(path, follow_symlinks=False):
        if not attribute.startswith(("trusted.", "user.overlay.", "security.selinux")):
            found[text(os.fsencode(attribute))] = os.getxattr(path, attribute, follow_symlinks=False).hex()
    return found


def survey(root):
    entries, inodes = [], {}

    def describe(fd, name, path):
        s = os.stat(name, dir_fd=fd, follow_symlinks=False)
        entry = {
            "path": text(path), "kind": kind_of(s.st_mode), "mode": s.st_mode & 0o7777, "uid": s.st_uid, "gid": s.st_gid,
            "mtimeNs": str(s.st_mtime_ns), "xattrs": attributes(fd, name),
        }
        if entry["kind"] != "dir":
            first = inodes.setdefault((s.st_dev, s.st_ino), entry["path"])
            if first != entry["path"]:
                entry["same"] = first
        if entry["kind"] == "file":
            entry["size"] = s.st_size
            entry["digest"], entry["text"] = content(fd, name, s.st_size)
        if entry["kind"] == "link":
            entry["link"] = text(os.readlink(name, dir_fd=fd))
        if entry["kind"] in ("char", "block"):
            entry["device"] = [os.major(s.st_rdev), os.minor(s.st_rdev)]
        entries.append(entry)
        return entry["kind"] == "dir"

    def walk(fd, path):
        for name in sorted(os.fsencode(n) for n in os.listdir(fd)):
            below = path + b"/" + name if path else name
            if describe(fd, name, below):
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                try:
                    walk(inner, below)
                finally:
                    os.close(inner)

    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        describe(fd, b".", b".")
        walk(fd, b"")
    finally:
        os.close(fd)
    return entries


def mount(place, lower, writable=""):
    """Mounts layers as tsbuild does; `writable` holds the further options of one that may be changed."""
    options = "lowerdir=%s,redirect_dir=nofollow,metacopy=off%s" % (":".join(lower), writable)
    if libc.mount(b"overlay", os.fsencode(place), b"overlay", 0 if writable else 1, os.fsencode(options)) != 0:
        raise OSError(ctypes.get_errno(), "mount %s" % options)


def unmount(place):
    if libc.umount2(os.fsencode(place), 0) != 0:
        raise OSError(ctypes.get_errno(), "umount %s" % place)


def mounted(lower):
    place = tempfile.mkdtemp(prefix="tsbuild-survey-")
    mount(place, lower)
    try:
        return survey(place)
    finally:
        unmount(place)
        os.rmdir(place)


if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    plans = json.load(sys.stdin)
    json.dump([survey(p["root"]) if "root" in p else mounted(p["lower"]) for p in plans], sys.stdout)
