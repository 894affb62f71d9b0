//! Who a step runs as: `USER` looked up in the image's own passwd and group files, read beneath its root.

use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;

/// A larger passwd or group file is refused.
const MAX_FILE_BYTES: u64 = 10 << 20;
/// The most supplementary groups that the kernel takes (NGROUPS_MAX).
const MAX_GROUPS: usize = 65_536;
/// The largest id: 2^32 - 1 means "no id" to the kernel.
const MAX_ID: u64 = 4_294_967_294;

/// The ids of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// User id.
    pub(crate) uid: u32,
    /// Primary group.
    pub(crate) gid: u32,
    /// Supplementary groups, the primary one included.
    pub(crate) groups: Vec<u32>,
    /// From the passwd file, or `/`.
    pub(crate) home: Vec<u8>,
}

#[derive(Debug)]
struct Account {
    name: Vec<u8>,
    uid: u32,
    gid: u32,
    home: Vec<u8>,
}

/// Looks up `user[:group]`. Empty is 0:0 with root's groups.
///
/// # Errors
/// `ERR_USER_NOT_FOUND` for a name the files do not have, `ERR_USER_INVALID` for an id out of range, a text that is
/// neither name nor number, or a file that is no regular file of at most 10 MiB.
pub(crate) fn look_up(root: &Beneath, text: &str) -> Fallible<Identity> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let uid = number(user)?;
    let gid = group.map(number).transpose()?.flatten();
    let account = find_account(root, user, uid)?;
    let home = match &account {
        Some(account) if !account.home.is_empty() => account.home.clone(),
        _ => b"/".to_vec(),
    };
    let Some(uid) = uid.or(account.as_ref().map(|account| account.uid)) else {
        return Err(unknown("user", user, "passwd"));
    };
    if let Some(group) = group {
        let gid = match gid {
            Some(gid) => gid,
            None => find_group(root, group)?.ok_or_else(|| unknown("group", group, "group"))?,
        };
        return Ok(Identity { uid, gid, groups: vec![gid], home });
    }
    let gid = account.as_ref().map_or(0, |account| account.gid);
    let mut groups = vec![gid];
    if let Some(account) = &account {
        groups.extend(memberships(root, &account.name)?.into_iter().filter(|&id| id != gid));
    }
    if groups.len() > MAX_GROUPS {
        let text = format!("/etc/group of the image puts user {user} into more than {MAX_GROUPS} groups");
        return Err(Failure::user("ERR_USER_INVALID", text));
    }
    Ok(Identity { uid, gid, groups, home })
}

/// Refuses what is no id of a file's owner.
pub(crate) fn check_id(id: u32) -> Fallible<()> {
    if u64::from(id) <= MAX_ID {
        return Ok(());
    }
    Err(Failure::user("ERR_USER_INVALID", format!("the id {id} is not in 0 to {MAX_ID}")))
}

/// A text of digits is an id, always; `None` says it is a name.
fn number(text: &str) -> Fallible<Option<u32>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u64>() {
        Ok(id) if id <= MAX_ID => Ok(u32::try_from(id).ok()),
        _ => Err(Failure::user("ERR_USER_INVALID", format!("the id {text:?} is not in 0 to {MAX_ID}"))),
    }
}

fn unknown(kind: &str, name: &str, file: &str) -> Failure {
    let like_number = name.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+'));
    if like_number || !name.is_ascii() {
        return Failure::user("ERR_USER_INVALID", format!("{kind} {name:?} is neither a name nor a decimal id"));
    }
    Failure::user("ERR_USER_NOT_FOUND", format!("unable to find {kind} {name}: no matching entries in {file} file"))
}

fn find_account(root: &Beneath, name: &str, uid: Option<u32>) -> Fallible<Option<Account>> {
    let text = read(root, "etc/passwd")?;
    let matches = |account: &Account| uid.map_or(account.name == name.as_bytes(), |uid| account.uid == uid);
    Ok(text.split(|&byte| byte == b'\n').filter_map(account).find(matches))
}

fn account(line: &[u8]) -> Option<Account> {
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_vec();
    let mut fields = fields.skip(1);
    // A line whose ids cannot be read is skipped: reading them as 0 would make a typo root.
    let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
    let home = fields.nth(1).unwrap_or_default().to_vec();
    Some(Account { name, uid, gid, home })
}

fn id(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?;
    if text.is_empty() { None } else { number(text).ok().flatten() }
}

fn group(line: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next()?;
    let gid = id(fields.nth(1)?)?;
    Some((name, gid, fields.next().unwrap_or_default()))
}

fn find_group(root: &Beneath, name: &str) -> Fallible<Option<u32>> {
    let text = read(root, "etc/group")?;
    let found = text.split(|&byte| byte == b'\n').filter_map(group).find(|(group, ..)| *group == name.as_bytes());
    Ok(found.map(|(_, gid, _)| gid))
}

fn memberships(root: &Beneath, user: &[u8]) -> Fallible<Vec<u32>> {
    let text = read(root, "etc/group")?;
    let mut ids: Vec<u32> = text
        .split(|&byte| byte == b'\n')
        .filter_map(group)
        .filter(|(_, _, members)| members.split(|&byte| byte == b',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Reads a file of the image; a missing one is empty.
fn read(root: &Beneath, path: &str) -> Fallible<Vec<u8>> {
    let invalid = |what: &str| Failure::user("ERR_USER_INVALID", format!("/{path} of the image {what}"));
    // O_NONBLOCK: opening a FIFO must not hang.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = match root.open(path.as_bytes(), flags, Mode::empty(), Links::Follow) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        // A device, which the mount lets nobody open, or a socket.
        Err(Errno::ACCESS | Errno::NXIO) => return Err(invalid("is not a regular file")),
        Err(Errno::LOOP) => return Err(invalid("is a symlink that leads nowhere")),
        Err(errno) => return Err(Failure::syscall(format!("openat2(root, {path:?})"), errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|errno| Failure::syscall(format!("fstat({path:?})"), errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(invalid("is not a regular file"));
    }
    let mut bytes = Vec::new();
    let mut file = File::from(fd).take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(|error| Failure::io(format!("read({path:?})"), &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(invalid("is larger than 10 MiB"));
    }
    Ok(bytes)
}
