//! The lines of a layer's manifest. Fields and escapes are those of the scan's.

use crate::scan::{escape, hex};
use rustix::fs::{FileType, Stat};
use std::io::Write;

/// One line on its way.
#[derive(Debug)]
pub(super) struct Line {
    text: Vec<u8>,
}

impl Line {
    /// Begins with kind, mode and owner.
    pub(super) fn new(letter: u8, stat: &Stat) -> Self {
        let mut text = vec![letter];
        // Some file systems have other modes of symlinks, which nobody can change and no layer brings back.
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let mode = if is_link { 0o777 } else { stat.st_mode & 0o7777 };
        let _ = write!(text, " {mode:04o} {}:{}", stat.st_uid, stat.st_gid);
        Self { text }
    }

    /// Of a regular file.
    pub(super) fn content(&mut self, stat: &Stat, sha256: &[u8; 32]) {
        let _ = write!(self.text, " {} {}", stat.st_size, hex(sha256));
    }

    /// Of a symlink.
    pub(super) fn target(&mut self, target: &[u8]) {
        self.text.push(b' ');
        escape(&mut self.text, target);
    }

    /// Of a device.
    pub(super) fn device(&mut self, stat: &Stat) {
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let _ = write!(self.text, " {major}:{minor}");
    }

    /// Extended attributes, sorted by name.
    pub(super) fn xattrs(&mut self, xattrs: &[(Vec<u8>, Vec<u8>)]) {
        for (name, value) in xattrs {
            self.text.extend_from_slice(b" x=");
            escape(&mut self.text, name);
            let _ = write!(self.text, "={}", hex(value));
        }
    }

    /// Another name of the file whose first name is `first`.
    pub(super) fn same_as(&mut self, first: &[u8]) {
        self.text.extend_from_slice(b" =/");
        escape(&mut self.text, first);
    }

    /// Ends with the name.
    pub(super) fn end(mut self, path: &[u8]) -> Vec<u8> {
        end(&mut self.text, path);
        self.text
    }
}

/// A line that says something of a name alone.
pub(super) fn mark(letter: u8, path: &[u8]) -> Vec<u8> {
    let mut text = vec![letter];
    end(&mut text, path);
    text
}

fn end(text: &mut Vec<u8>, path: &[u8]) {
    text.extend_from_slice(b" /");
    escape(text, path);
    text.push(b'\n');
}
