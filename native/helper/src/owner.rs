//! Owners as COPY and WORKDIR spell them: `user[:group]`, names or numbers, looked up in the snapshot.

use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io::Read;

/// Larger files are refused: an image could hold anything there.
const MAX_BYTES: u64 = 10 * 1024 * 1024;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Finds the ids of `user[:group]` below `root`. A name alone brings its primary group, a number alone the group of
/// the same number.
///
/// # Errors
/// `ERR_USER_NOT_FOUND` for a name that is in no file, or where the file is missing or not a regular file.
pub(crate) fn look_up(root: &Beneath, spec: &str) -> Fallible<Owner> {
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    let (uid, primary) = match number(user) {
        Some(uid) => (uid, uid),
        None => {
            let (uid, gid) = find(root, "etc/passwd", spec, user)?;
            (uid, gid.ok_or_else(|| not_found(spec, "its line in /etc/passwd names no group"))?)
        }
    };
    let gid = match group {
        None => primary,
        Some(group) => match number(group) {
            Some(gid) => gid,
            None => find(root, "etc/group", spec, group)?.0,
        },
    };
    Ok(Owner { uid, gid })
}

/// An id in decimal digits. The largest number means "unchanged" to the kernel and is no id.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&id| id != u32::MAX)
}

/// The third field of the line of `name`, and the fourth where that is a number.
fn find(root: &Beneath, file: &str, spec: &str, name: &str) -> Fallible<(u32, Option<u32>)> {
    let text = read(root, file).map_err(|why| not_found(spec, &format!("/{file} {why}")))?;
    for line in text.split(|&byte| byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut fields = line.split(':');
        if name.is_empty() || fields.next() != Some(name) {
            continue;
        }
        if let Some(id) = fields.nth(1).and_then(number) {
            return Ok((id, fields.next().and_then(number)));
        }
    }
    Err(not_found(spec, &format!("no {name:?} in /{file} of the destination")))
}

fn read(root: &Beneath, path: &str) -> Result<Vec<u8>, String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = root.open(path.as_bytes(), flags, Mode::empty(), Links::Follow).map_err(|errno| match errno {
        Errno::NOENT => "is missing in the destination".to_owned(),
        // A device: the mount lets none be opened.
        Errno::ACCESS => "is not a regular file".to_owned(),
        _ => format!("cannot be opened: {errno}"),
    })?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| errno.to_string())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("is not a regular file".to_owned());
    }
    let mut text = Vec::new();
    let read = std::fs::File::from(file).take(MAX_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| error.to_string())?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MAX_BYTES) {
        Ok(text)
    } else {
        Err("is larger than 10 MiB".to_owned())
    }
}

fn not_found(spec: &str, why: &str) -> Failure {
    Failure::user("ERR_USER_NOT_FOUND", format!("cannot find the owner {spec:?}: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, Beneath) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nbad\napp:x:100:101:App:/home:/bin/sh\n")
            .unwrap();
        std::fs::write(dir.path().join("etc/group"), "root:x:0:\nstaff:x:50:app\n").unwrap();
        let root = Beneath::open_root(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn look_up_reads_the_files_of_the_destination() {
        let (_dir, root) = fixture();
        for (spec, uid, gid) in [
            ("app", 100, 101),
            ("app:staff", 100, 50),
            ("7", 7, 7),
            ("7:8", 7, 8),
            ("7:staff", 7, 50),
            ("app:0", 100, 0),
            ("root", 0, 0),
        ] {
            assert_eq!(look_up(&root, spec).unwrap(), Owner { uid, gid }, "{spec}");
        }
    }

    #[test]
    fn look_up_fails_when_the_name_is_unknown() {
        let (_dir, root) = fixture();
        for spec in ["nobody", "app:nogroup", "", ":staff", "app:", "4294967295", "-1", "bad", "99999999999"] {
            assert_eq!(look_up(&root, spec).unwrap_err().code, "ERR_USER_NOT_FOUND", "{spec}");
        }
    }

    #[test]
    fn look_up_refuses_what_is_no_regular_file() {
        let (dir, root) = fixture();
        let passwd = dir.path().join("etc/passwd");
        std::fs::remove_file(&passwd).unwrap();
        let missing = look_up(&root, "app").unwrap_err();
        assert!(missing.message.contains("missing"), "{}", missing.message);
        rustix::fs::mknodat(rustix::fs::CWD, &passwd, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(look_up(&root, "app").unwrap_err().code, "ERR_USER_NOT_FOUND");
        std::fs::remove_file(&passwd).unwrap();
        std::fs::File::create(&passwd).unwrap().set_len(2 << 30).unwrap();
        assert_eq!(look_up(&root, "app").unwrap_err().code, "ERR_USER_NOT_FOUND");
    }
}
