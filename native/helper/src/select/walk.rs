//! The one walk over a source tree, on several threads where it is large.

use super::node::{Dir, Kind, Meta, Node, Walked, xattrs_of};
use super::tree::Opened;
use super::{join, read_failure};
use crate::beneath::Links;
use crate::error::{Failure, Fallible};
use crate::pattern::{Matcher, State};
use crate::workers;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A second thread is started once this many entries were seen.
const SPREAD_AT: u64 = 400;

/// Which entries of a tree are wanted.
#[derive(Debug)]
pub(crate) struct Filters<'f> {
    /// By the path in the tree.
    pub(crate) ignore: &'f Matcher,
    /// By the path below the walk's root.
    pub(crate) exclude: &'f Matcher,
    /// The same; what it does not match is not wanted.
    pub(crate) include: Option<&'f Matcher>,
}

/// What a directory hands down to its contents.
#[derive(Debug, Clone, Default)]
struct States {
    ignore: State,
    exclude: State,
    include: State,
}

#[derive(Debug)]
struct Job {
    place: usize,
    path: Vec<u8>,
    /// The length of the walk's root in `path`, with its slash.
    root: usize,
    states: States,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Vec<Job>,
    active: usize,
    dirs: Vec<Option<Dir>>,
    looked_at: u64,
    failure: Option<Failure>,
}

struct Walk<'w> {
    tree: &'w Opened,
    filters: &'w Filters<'w>,
    queue: Mutex<Queue>,
    more: Condvar,
}

/// Reads everything wanted below the directory `path`, whose own ignore state is `state`.
pub(crate) fn walk(tree: &Opened, path: &[u8], state: &State, filters: &Filters<'_>) -> Fallible<Walked> {
    let root = if path.is_empty() { 0 } else { path.len() + 1 };
    let states = States { ignore: state.clone(), ..States::default() };
    let job = Job { place: 0, path: path.to_vec(), root, states };
    let queue = Queue { jobs: vec![job], dirs: vec![None], ..Queue::default() };
    let walk = Walk { tree, filters, queue: Mutex::new(queue), more: Condvar::new() };
    std::thread::scope(|scope| {
        walk.work(|| {
            for _ in 1..workers::threads() {
                scope.spawn(|| walk.work(|| {}));
            }
        });
    });
    let queue = walk.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = queue.failure {
        return Err(failure);
    }
    let mut dirs: Vec<Dir> = queue.dirs.into_iter().map(Option::unwrap_or_default).collect();
    prune(&mut dirs);
    let meta = tree.root.open(path, OFlags::PATH, Mode::empty(), Links::Refuse);
    let stat = meta.and_then(rustix::fs::fstat).map_err(|errno| read_failure("fstat", path, errno))?;
    Ok(Walked { dirs, root: Some(tree.meta(&stat)), looked_at: queue.looked_at })
}

/// The walk of something that is no directory.
pub(crate) fn single(tree: &Opened, path: &[u8], meta: Meta) -> Fallible<Walked> {
    let at = path.iter().rposition(|&byte| byte == b'/');
    let (parent, name) = match at {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&b""[..], path),
    };
    let digest = if meta.kind == Kind::File { tree.fingerprints.known(parent).find(name, &meta) } else { None };
    let node = Node { name: name.into(), meta, link: None, digest, dir: None, implied: false };
    let dir = Dir { path: parent.to_vec(), nodes: vec![node], xattrs: Vec::new() };
    Ok(Walked { dirs: vec![dir], root: None, looked_at: 1 })
}

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: Box<[u8]>,
    pub(crate) is_dir: bool,
}

impl AsRef<[u8]> for Listed {
    fn as_ref(&self) -> &[u8] {
        &self.name
    }
}

/// Opens and reads a directory; the names are sorted by their bytes.
pub(crate) fn list(tree: &Opened, path: &[u8]) -> Fallible<(OwnedFd, Vec<Listed>)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let dir =
        tree.root.open(path, flags, Mode::empty(), Links::Refuse).map_err(|errno| read_failure("open", path, errno))?;
    let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
    let mut names = Vec::new();
    let mut reader = RawDir::new(&dir, &mut buffer);
    while let Some(entry) = reader.next() {
        let entry = entry.map_err(|errno| read_failure("getdents64", path, errno))?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            match stat_at(&dir, name) {
                Ok(stat) => kind = FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(read_failure("fstatat", &join(path, name), errno)),
            }
        }
        names.push(Listed { name: name.into(), is_dir: kind == FileType::Directory });
    }
    names.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok((dir, names))
}

fn stat_at(dir: &OwnedFd, name: &[u8]) -> Result<Stat, Errno> {
    rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
}

/// What the filters make of an entry.
enum Verdict {
    /// Left out, with everything below.
    Drop,
    /// Taken.
    Take,
    /// A directory that is taken if something below it is.
    Perhaps,
}

impl Walk<'_> {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes jobs until there is none and no other thread could make one.
    fn work(&self, spread: impl FnOnce()) {
        let mut spread = Some(spread);
        let mut queue = self.lock();
        loop {
            if queue.failure.is_some() {
                break;
            }
            let Some(job) = queue.jobs.pop() else {
                if queue.active == 0 {
                    break;
                }
                queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.active += 1;
            let many = queue.looked_at > SPREAD_AT && queue.jobs.len() > 1;
            drop(queue);
            if many && let Some(spread) = spread.take() {
                spread();
            }
            let done = self.read(&job);
            queue = self.lock();
            queue.active -= 1;
            match done {
                Ok(read) => self.file(&mut queue, &job, read),
                Err(failure) => drop(queue.failure.get_or_insert(failure)),
            }
        }
        drop(queue);
        self.more.notify_all();
    }

    /// Puts a directory in its place and its subdirectories into the queue.
    fn file(&self, queue: &mut Queue, job: &Job, read: Read) {
        let Read { mut dir, below, looked_at } = read;
        queue.looked_at += looked_at;
        for (at, states) in below {
            if let Some(node) = dir.nodes.get_mut(at) {
                let place = queue.dirs.len();
                queue.dirs.push(None);
                node.dir = Some(place);
                queue.jobs.push(Job { place, path: join(&job.path, &node.name), root: job.root, states });
                self.more.notify_one();
            }
        }
        if let Some(slot) = queue.dirs.get_mut(job.place) {
            *slot = Some(dir);
        }
    }

    fn read(&self, job: &Job) -> Fallible<Read> {
        let (fd, names) = list(self.tree, &job.path)?;
        let xattrs = xattrs_of(fd.as_fd()).map_err(|errno| read_failure("flistxattr", &job.path, errno))?;
        let mut known = self.tree.fingerprints.known(&job.path);
        known.note_gone(&names);
        let mut read = Read {
            looked_at: u64::try_from(names.len()).unwrap_or_default(),
            dir: Dir { path: job.path.clone(), nodes: Vec::with_capacity(names.len()), xattrs },
            below: Vec::new(),
        };
        let mut path = job.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        let stem = path.len();
        for listed in names {
            path.truncate(stem);
            path.extend_from_slice(&listed.name);
            let (verdict, states) = self.judge(&path, job, listed.is_dir);
            let implied = match verdict {
                Verdict::Drop => continue,
                Verdict::Take => false,
                Verdict::Perhaps => true,
            };
            let stat = match stat_at(&fd, &listed.name) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(read_failure("fstatat", &path, errno)),
            };
            let meta = self.tree.meta(&stat);
            if listed.is_dir != (meta.kind == Kind::Dir) {
                return Err(super::changed(&path));
            }
            if let Some(states) = states {
                read.below.push((read.dir.nodes.len(), states));
            }
            let digest = if meta.kind == Kind::File { known.find(&listed.name, &meta) } else { None };
            let link = match meta.kind {
                Kind::Link => Some(read_link(&fd, &listed.name, &path)?),
                _ => None,
            };
            read.dir.nodes.push(Node { name: listed.name, meta, link, digest, dir: None, implied });
        }
        Ok(read)
    }

    /// Asks the three filters; for a directory that is read also gives what its contents inherit.
    fn judge(&self, path: &[u8], job: &Job, is_dir: bool) -> (Verdict, Option<States>) {
        let Filters { ignore, exclude, include } = *self.filters;
        let relative = path.get(job.root..).unwrap_or_default();
        if !is_dir {
            let taken = !ignore.matches(path, &job.states.ignore)
                && !exclude.matches(relative, &job.states.exclude)
                && include.is_none_or(|include| include.matches(relative, &job.states.include));
            return (if taken { Verdict::Take } else { Verdict::Drop }, None);
        }
        let states = States {
            ignore: ignore.enter(path, &job.states.ignore),
            exclude: exclude.enter(relative, &job.states.exclude),
            include: include.map(|include| include.enter(relative, &job.states.include)).unwrap_or_default(),
        };
        let hidden = states.ignore.is_match;
        let excluded = states.exclude.is_match;
        let left_out = include.is_some() && !states.include.is_match;
        let dead = (hidden && !ignore.may_except_below(path))
            || (excluded && !exclude.may_except_below(relative))
            || (left_out && include.is_some_and(|include| !include.may_match_below(relative)));
        let verdict = match (dead, hidden || excluded || left_out) {
            (true, _) => Verdict::Drop,
            (false, true) => Verdict::Perhaps,
            (false, false) => Verdict::Take,
        };
        let states = (!dead).then_some(states);
        (verdict, states)
    }
}

/// One directory, read.
struct Read {
    dir: Dir,
    /// Which nodes are directories, with what they inherit.
    below: Vec<(usize, States)>,
    looked_at: u64,
}

fn read_link(dir: &OwnedFd, name: &[u8], path: &[u8]) -> Fallible<Box<[u8]>> {
    rustix::fs::readlinkat(dir, OsStr::from_bytes(name), Vec::new()).map(|target| target.into_bytes().into()).map_err(
        |errno| match errno {
            Errno::INVAL => super::changed(path),
            _ => read_failure("readlinkat", path, errno),
        },
    )
}

/// Takes implied directories away that turned out to hold nothing. A directory stands after its parent in `dirs`, so
/// going backwards meets contents first.
fn prune(dirs: &mut [Dir]) {
    let mut empty = vec![false; dirs.len()];
    for at in (0..dirs.len()).rev() {
        let Some(dir) = dirs.get_mut(at) else { continue };
        let gone = |node: &Node| node.dir.and_then(|place| empty.get(place)).copied().unwrap_or(false);
        dir.nodes.retain(|node| !(node.implied && gone(node)));
        if let Some(slot) = empty.get_mut(at) {
            *slot = dir.nodes.is_empty();
        }
    }
}
