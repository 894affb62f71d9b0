//! `find`: which files of a tree have names that somebody looks for, and which programs have sections of a name. For the lists of
//! what is installed in an image. Symlinks are not followed: what they lead to is found where it is.

use crate::beneath::Links;
use crate::descent::{DIR, Descent};
use crate::elf;
use crate::error::{Failure, Fallible};
use crate::overlay::{self, Marks};
use crate::pattern::{Matcher, State};
use crate::protocol::{FoundFile, FoundSection, Outcome, Tree};
use crate::select::Opened;
use base64::Engine;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Of files, as in a `.dockerignore`.
    pub(crate) patterns: &'a [String],
    /// Of executables.
    pub(crate) sections: &'a [String],
    /// More files or sections are not listed.
    pub(crate) max_files: u64,
    /// Of all sections together.
    pub(crate) max_section_bytes: u64,
}

/// Looks at every file of a tree once, in the order of their names.
///
/// # Errors
/// `ERR_PATTERN_INVALID`; those of reading directories.
pub(crate) fn find(tree: &Tree, wanted: &Wanted<'_>, marks: Marks) -> Fallible<Outcome> {
    if matches!(tree, Tree::Snapshot { .. }) {
        overlay::enter_mount_namespace()?;
    }
    let tree = Opened::open(tree, marks)?;
    let root = tree
        .root
        .open(b"", DIR, Mode::empty(), Links::Refuse)
        .map_err(|errno| Failure::syscall("openat2(/, O_DIRECTORY)".to_owned(), errno))?;
    let patterns = Matcher::new(wanted.patterns.iter().map(String::as_str))?;
    let mut finder =
        Finder { wanted, patterns, found: Found { bytes_left: wanted.max_section_bytes, ..Found::default() } };
    let mut descent = Descent::new(root)?;
    while let Some((name, kind)) = descent.next()? {
        finder.look_at(&mut descent, &name, kind)?;
    }
    let Found { files, sections, incomplete, .. } = finder.found;
    Ok(Outcome::Find { files, sections, incomplete })
}

#[derive(Debug, Default)]
struct Found {
    files: Vec<FoundFile>,
    sections: Vec<FoundSection>,
    bytes_left: u64,
    incomplete: bool,
}

struct Finder<'a> {
    wanted: &'a Wanted<'a>,
    patterns: Matcher,
    found: Found,
}

impl Finder<'_> {
    fn look_at(&mut self, descent: &mut Descent, name: &[u8], kind: FileType) -> Fallible<()> {
        let kind = match kind {
            FileType::Unknown => FileType::from_raw_mode(stat(descent, name)?.st_mode),
            known => known,
        };
        match kind {
            FileType::Directory => self.enter(descent, name),
            FileType::RegularFile => self.file(descent, name),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, descent: &mut Descent, name: &[u8]) -> Fallible<()> {
        let dir = Arc::clone(descent.dir()?);
        match rustix::fs::openat(dir.as_fd(), name, DIR, Mode::empty()) {
            Ok(fd) => descent.enter([descent.full(name), b"/".to_vec()].concat(), fd),
            // Of somebody whom the maps of a rootless build do not know.
            Err(Errno::ACCESS) => {
                self.found.incomplete = true;
                Ok(())
            }
            Err(errno) => Err(descent.failed("openat", name, errno)),
        }
    }

    fn file(&mut self, descent: &Descent, name: &[u8]) -> Fallible<()> {
        let path = descent.full(name);
        let is_wanted = self.patterns.matches(&path, &State::default());
        if !is_wanted && self.wanted.sections.is_empty() {
            return Ok(());
        }
        let stat = stat(descent, name)?;
        // A path that is no text cannot be asked for.
        let Ok(path) = String::from_utf8(path) else {
            self.found.incomplete |= is_wanted;
            return Ok(());
        };
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if is_wanted {
            if self.is_full() {
                self.found.incomplete = true;
            } else {
                self.found.files.push(FoundFile { path: path.clone(), size });
            }
        }
        if !self.wanted.sections.is_empty() && stat.st_mode & 0o111 != 0 && size > 64 {
            self.sections(descent, name, &path)?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        (self.found.files.len() + self.found.sections.len()) as u64 >= self.wanted.max_files
    }

    fn sections(&mut self, descent: &Descent, name: &[u8], path: &str) -> Fallible<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(descent.dir()?.as_fd(), name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ACCESS) => {
                self.found.incomplete = true;
                return Ok(());
            }
            Err(errno) => return Err(descent.failed("openat", name, errno)),
        };
        let failed = |error: &std::io::Error| Failure::io(format!("read({path:?})"), error);
        for section in elf::sections(&file, self.wanted.sections).map_err(|error| failed(&error))? {
            if self.is_full() || section.size > self.found.bytes_left {
                self.found.incomplete = true;
                continue;
            }
            let bytes = elf::part(&file, section.offset, section.size).map_err(|error| failed(&error))?;
            let (Some(bytes), Some(name)) = (bytes, self.wanted.sections.get(section.wanted)) else { continue };
            self.found.bytes_left -= section.size;
            self.found.sections.push(FoundSection {
                path: path.to_owned(),
                name: name.clone(),
                data: base64::engine::general_purpose::STANDARD.encode(bytes),
            });
        }
        Ok(())
    }
}

fn stat(descent: &Descent, name: &[u8]) -> Fallible<Stat> {
    rustix::fs::statat(descent.dir()?.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| descent.failed("newfstatat", name, errno))
}
