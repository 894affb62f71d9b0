//! Where mounts go in the image: what the request mounts, and the step's `/etc/hosts` and `/etc/resolv.conf`.

use super::rootfs::Scaffold;
use super::sources::Prepared;
use super::stubs::{self, Kind, Place, Stubs};
use super::{device, tree};
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::protocol::Run;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// Everything that will be attached, with its place in the image.
#[derive(Debug)]
pub(crate) struct Plan {
    entries: Vec<(Prepared, Place)>,
}

/// Resolves every target in the image and adds the mount points that it lacks to the stubs.
///
/// # Errors
/// `ERR_MOUNT_TARGET_RESERVED` for targets that belong to the sandbox, `ERR_ROOTFS_INVALID` for an image whose
/// `/proc`, `/sys` or `/dev` is no directory, or where a target is of the wrong kind.
pub(crate) fn plan(
    run: &Run,
    sources: Vec<Prepared>,
    scaffold: &Scaffold,
    view: &Beneath,
    stubs: &mut Stubs<'_>,
) -> Fallible<Plan> {
    for name in ["proc", "sys", "dev"] {
        plan_kernel_dir(name, view, stubs)?;
    }
    let mut entries = Vec::new();
    for (name, text) in [("hosts", &run.hosts), ("resolv.conf", &run.resolv_conf)] {
        let target = format!("/etc/{name}");
        let tree = scaffold.file(name, text.as_bytes())?;
        let place = stubs::resolve(view, target.as_bytes())?;
        if is_reserved(&place) || is_below(&place, b"dev") || place.components.is_empty() {
            let text = format!("\"{target}\" of the image leads to \"/{}\"", String::from_utf8_lossy(&place.path()));
            return Err(Failure::user("ERR_ROOTFS_INVALID", text));
        }
        entries.push((Prepared { tree, kind: Kind::File, target, readonly: true }, place));
    }
    for prepared in sources {
        let place = stubs::resolve_among(view, prepared.target.as_bytes(), &|place| {
            place == [b"dev".to_vec()] || entries.iter().any(|(_, earlier): &(_, Place)| earlier.components == place)
        })?;
        if is_reserved(&place) {
            let text = format!("the mount target {:?} belongs to the sandbox", prepared.target);
            return Err(Failure::user("ERR_MOUNT_TARGET_RESERVED", text));
        }
        entries.push((prepared, place));
    }
    plan_stubs(&entries, stubs)?;
    Ok(Plan { entries })
}

fn plan_kernel_dir(name: &str, view: &Beneath, stubs: &mut Stubs<'_>) -> Fallible<()> {
    let place = stubs::resolve(view, name.as_bytes())?;
    match place.found {
        Some(FileType::Directory) if place.components == [name.as_bytes()] => Ok(()),
        None if place.components == [name.as_bytes()] => stubs.add(&place, Kind::Directory),
        _ => Err(Failure::user("ERR_ROOTFS_INVALID", format!("\"/{name}\" of the image is not a directory"))),
    }
}

/// Adds the mount points that lie in the image itself; those inside other mounts are made when these are attached.
fn plan_stubs(entries: &[(Prepared, Place)], stubs: &mut Stubs<'_>) -> Fallible<()> {
    for (index, (prepared, place)) in entries.iter().enumerate() {
        let covered = is_below(place, b"dev")
            || entries.iter().take(index).any(|(_, earlier)| {
                place.components.starts_with(&earlier.components) && place.components != earlier.components
            });
        if covered {
            continue;
        }
        match place.found {
            None => stubs.add(place, prepared.kind)?,
            Some(found) if (found == FileType::Directory) == (prepared.kind == Kind::Directory) => {}
            Some(_) => return Err(wrong_kind(prepared)),
        }
    }
    Ok(())
}

fn wrong_kind(prepared: &Prepared) -> Failure {
    let (source, target) = match prepared.kind {
        Kind::Directory => ("a directory", "a file"),
        Kind::File => ("a file", "a directory"),
    };
    let text = format!("the mount target {:?} is {target} in the image, but its source is {source}", prepared.target);
    Failure::user("ERR_ROOTFS_INVALID", text)
}

fn is_below(place: &Place, top: &[u8]) -> bool {
    place.components.first().is_some_and(|first| first == top)
}

/// `/`, `/dev` itself and what the sandbox has there, but for `/dev/shm`; and everything of `/proc` and `/sys`.
fn is_reserved(place: &Place) -> bool {
    let of_dev = || place.components.get(1).is_none_or(|name| device::is_own(name));
    place.components.is_empty()
        || is_below(place, b"dev") && of_dev()
        || is_below(place, b"proc")
        || is_below(place, b"sys")
}

impl Plan {
    /// Attaches everything, in order.
    pub(crate) fn attach(self, root: &Beneath) -> Fallible<()> {
        for (prepared, place) in self.entries {
            let path = place.path();
            let point = match open_point(root, &path) {
                Err(Errno::NOENT) => {
                    stubs::make(root, &path, prepared.kind, None).and_then(|()| open_point(root, &path))
                }
                other => other,
            };
            let point = point.map_err(|errno| no_point(&prepared.target, errno))?;
            let what = format!("{}, {:?}", if prepared.readonly { "read-only" } else { "writable" }, prepared.target);
            tree::attach(prepared.tree.as_fd(), point.as_fd(), &what)?;
        }
        Ok(())
    }
}

/// The failure to open or make a mount point inside another mount.
fn no_point(target: &str, errno: Errno) -> Failure {
    let call = format!("openat2(root, {target:?}, O_PATH|O_NOFOLLOW)");
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::EXIST => {
            Failure::user("ERR_ROOTFS_INVALID", format!("{call}: a symlink or file lies on the way to the mount point"))
        }
        Errno::ROFS => Failure::user(
            "ERR_ROOTFS_INVALID",
            format!("{call}: the mount point is missing and lies inside another mount that is read-only"),
        ),
        _ => Failure::syscall(call, errno),
    }
}

fn open_point(root: &Beneath, path: &[u8]) -> Result<OwnedFd, Errno> {
    let point = root.open(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty(), Links::Refuse)?;
    // A last symlink is opened itself, for that is what O_PATH with O_NOFOLLOW is for.
    match FileType::from_raw_mode(rustix::fs::fstat(&point)?.st_mode) {
        FileType::Symlink => Err(Errno::LOOP),
        _ => Ok(point),
    }
}
