//! Control groups of both versions: where this process may make them, limits, what their processes used, their end.
//!
//! A machine has one hierarchy for all controllers (version 2), or several with one or some controllers each (version
//! 1), or both. What is made in them is a [`SessionCgroup`]: one directory with the controllers that work in it.

pub(crate) mod devices;
pub(crate) mod hierarchy;
pub(crate) mod limits;
pub(crate) mod remove;
pub(crate) mod usage;
pub(crate) mod weights;

use crate::error::{Failure, Fallible};
use crate::protocol::SessionCgroup;
use std::fs;
use std::path::{Path, PathBuf};

impl SessionCgroup {
    /// Whether this controller works in it.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|own| own == controller)
    }

    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.path).join(name)
    }

    /// The text of a file; empty where it cannot be read.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Writes a file in one call, as the kernel wants it.
    pub(crate) fn write(&self, name: &str, text: &str) -> Fallible<()> {
        write(&self.file(name), text)
    }

    /// Makes a child with the same controllers, ready for processes.
    ///
    /// # Errors
    /// A failed `mkdir`; a name that is none.
    pub(crate) fn child(&self, name: &str) -> Fallible<Self> {
        if !is_name(name) {
            return Err(Failure::internal(format!("{name:?} cannot name a cgroup")));
        }
        let path = self.file(name);
        fs::create_dir(&path).map_err(|error| Failure::io(format!("mkdir({path:?})"), &error))?;
        let child = Self { path: path.to_string_lossy().into_owned(), ..self.clone() };
        match child.inherit_cpuset(self) {
            Ok(()) => Ok(child),
            Err(failure) => {
                let _ = fs::remove_dir(&child.path);
                Err(failure)
            }
        }
    }

    /// A cpuset of version 1 begins empty and takes no process before it has processors and memory nodes.
    fn inherit_cpuset(&self, parent: &Self) -> Fallible<()> {
        if self.version == 2 || !self.has("cpuset") {
            return Ok(());
        }
        for name in ["cpuset.cpus", "cpuset.mems"] {
            self.write(name, parent.read(name).trim())?;
        }
        Ok(())
    }
}

/// Whether a text can name a cgroup: one component, of letters that need no escape anywhere.
pub(crate) fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(known)
}

fn write(path: &Path, text: &str) -> Fallible<()> {
    fs::write(path, text).map_err(|error| Failure::io(format!("write({path:?}, {text:?})"), &error))
}
