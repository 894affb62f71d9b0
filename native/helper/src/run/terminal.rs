//! The step's pseudo-terminal, of its own devpts instance.
//!
//! Init opens it by descriptor and sends the master to the supervisor; no name of the image is looked up on the way. The
//! supervisor carries bytes between the master and the user's terminal and follows the size of the latter. That one is
//! made raw here, for Node's own raw mode still rewrites line ends, and is put back by the caller, who outlives us.

use super::exec::Streams;
use super::pump::{Carrier, Listener, Stream};
use super::stdio::Typed;
use super::tree;
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::sys::process;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, SendAncillaryBuffer, SendAncillaryMessage};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, SpecialCodeIndex, Winsize};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS_MAGIC: i64 = 0x1cd1;
/// Where no terminal says another size.
const USUAL_SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// Init's part.
#[derive(Debug)]
pub(crate) struct Pending {
    supervisor: OwnedFd,
    size: Winsize,
}

/// The supervisor's part.
#[derive(Debug)]
pub(crate) struct Screen {
    init: OwnedFd,
    typed: Option<OwnedFd>,
    shown: Option<OwnedFd>,
    changes: OwnedFd,
}

/// Makes both. From here on no change of the size is missed: `SIGWINCH` says that there is one.
pub(crate) fn wire(typed: Option<OwnedFd>, shown: Option<OwnedFd>) -> Fallible<(Pending, Screen)> {
    process::block_signals(&[libc::SIGWINCH]);
    let changes =
        process::signal_fd(&[libc::SIGWINCH]).map_err(|errno| Failure::syscall("signalfd(SIGWINCH)", errno))?;
    let (init, supervisor) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(|errno| Failure::syscall("socketpair(AF_UNIX, SOCK_STREAM)", errno))?;
    let screen = Screen { init, typed, shown, changes };
    let size = screen.size().unwrap_or(USUAL_SIZE);
    Ok((Pending { supervisor, size }, screen))
}

impl Pending {
    /// Opens the terminal, puts it at `/dev/console` as well, and lets the supervisor have its other side.
    pub(crate) fn open(&self, root: &Beneath) -> Fallible<Streams> {
        let master = root
            .open(b"dev/pts/ptmx", OFlags::RDWR | OFlags::NOCTTY, Mode::empty(), Links::Refuse)
            .map_err(|errno| Failure::syscall("openat2(root, \"dev/pts/ptmx\", O_RDWR|O_NOCTTY)", errno))?;
        let kind = rustix::fs::fstatfs(&master).map_err(|errno| Failure::syscall("fstatfs(ptmx)", errno))?.f_type;
        if kind != DEVPTS_MAGIC {
            return Err(Failure::internal("\"/dev/pts\" of the step is no devpts"));
        }
        rustix::pty::unlockpt(&master).map_err(|errno| Failure::syscall("ioctl(ptmx, TIOCSPTLCK, 0)", errno))?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)
            .map_err(|errno| Failure::syscall("ioctl(ptmx, TIOCGPTPEER)", errno))?;
        rustix::termios::tcsetwinsize(&slave, self.size)
            .map_err(|errno| Failure::syscall("ioctl(pts, TIOCSWINSZ)", errno))?;
        attach_console(root, slave.as_fd())?;
        send(self.supervisor.as_fd(), master.as_fd())?;
        Streams::of_terminal(slave)
    }
}

fn attach_console(root: &Beneath, slave: BorrowedFd<'_>) -> Fallible<()> {
    let fail = |errno| Failure::syscall("openat2(root, \"dev/console\", O_CREAT)", errno);
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let point = root.open(b"dev/console", flags, Mode::from_raw_mode(0o600), Links::Refuse).map_err(fail)?;
    tree::attach(tree::copy_of(slave, "pts")?.as_fd(), point.as_fd(), "pts, \"/dev/console\"")
}

fn send(socket: BorrowedFd<'_>, master: BorrowedFd<'_>) -> Fallible<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [master];
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    rustix::net::sendmsg(socket, &[IoSlice::new(b"m")], &mut ancillary, SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(|errno| Failure::syscall("sendmsg(SCM_RIGHTS)", errno))
}

/// `None` if the other side was closed.
fn receive(socket: BorrowedFd<'_>) -> Fallible<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8];
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(|errno| Failure::syscall("recvmsg(SCM_RIGHTS)", errno))?;
    Ok(ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    }))
}

impl Screen {
    /// Waits for the terminal; nothing if init ended before.
    pub(crate) fn connect(self, signals: &OwnedFd, listener: &mut dyn Listener) -> Fallible<Vec<Box<dyn Carrier>>> {
        let Some(master) = self.wait(signals, listener)? else { return Ok(Vec::new()) };
        rustix::io::ioctl_fionbio(&master, true).map_err(|errno| Failure::syscall("ioctl(ptmx, FIONBIO)", errno))?;
        let user = self.user().map(duplicate).transpose()?;
        let Self { typed, shown, changes, .. } = self;
        let mut carriers: Vec<Box<dyn Carrier>> =
            vec![Box::new(Stream::of_terminal(duplicate(master.as_fd())?, shown))];
        if let Some(typed) = typed {
            make_raw(typed.as_fd())?;
            carriers.push(Box::new(Typed::new(typed, duplicate(master.as_fd())?, end_of_input(master.as_fd()))));
        }
        if let Some(user) = user {
            carriers.push(Box::new(Size { changes, user, master }));
        }
        Ok(carriers)
    }

    fn wait(&self, signals: &OwnedFd, listener: &mut dyn Listener) -> Fallible<Option<OwnedFd>> {
        loop {
            let mut polled = [PollFd::new(&self.init, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
            match rustix::event::poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Failure::syscall("poll()", errno)),
            }
            let [init, signal] = polled.map(|fd| !fd.revents().is_empty());
            if signal {
                listener.signal();
            }
            if init {
                return receive(self.init.as_fd());
            }
        }
    }

    /// The user's terminal, if there is one.
    fn user(&self) -> Option<BorrowedFd<'_>> {
        [&self.typed, &self.shown].into_iter().flatten().map(AsFd::as_fd).find(|fd| rustix::termios::isatty(fd))
    }

    fn size(&self) -> Option<Winsize> {
        self.user().and_then(|user| rustix::termios::tcgetwinsize(user).ok()).filter(|size| size.ws_col > 0)
    }
}

fn duplicate(fd: BorrowedFd<'_>) -> Fallible<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|errno| Failure::syscall("fcntl(F_DUPFD_CLOEXEC)", errno))
}

/// Hands every byte on as it is typed and shows every byte as it comes: the step's terminal does the rest.
fn make_raw(user: BorrowedFd<'_>) -> Fallible<()> {
    let Ok(mut attributes) = rustix::termios::tcgetattr(user) else { return Ok(()) };
    attributes.make_raw();
    rustix::termios::tcsetattr(user, OptionalActions::Now, &attributes)
        .map_err(|errno| Failure::syscall("ioctl(5, TCSETS)", errno))
}

/// What a terminal sends for the end of input: once for a line that is not ended, once for the end.
fn end_of_input(master: BorrowedFd<'_>) -> Vec<u8> {
    let code = rustix::termios::tcgetattr(master).map_or(4, |it| it.special_codes[SpecialCodeIndex::VEOF]);
    vec![code; 2]
}

/// Gives the step's terminal the size of the user's.
#[derive(Debug)]
struct Size {
    changes: OwnedFd,
    user: OwnedFd,
    master: OwnedFd,
}

impl Carrier for Size {
    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        Some((self.changes.as_fd(), PollFlags::IN))
    }

    fn advance(&mut self) {
        // One siginfo is 128 bytes; a signal is pending once.
        let _ = rustix::io::read(&self.changes, &mut [0_u8; 128]);
        if let Ok(size) = rustix::termios::tcgetwinsize(&self.user) {
            let _ = rustix::termios::tcsetwinsize(&self.master, size);
        }
    }

    fn finish(&mut self, _: &OwnedFd) {}
}
