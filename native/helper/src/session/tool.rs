//! The program that connects a network namespace, and the first process of the pid namespace it runs in.
//!
//! The program changes its credentials, which clears a death signal, and may leave its parent. In a pid namespace it
//! cannot outlive the session all the same: the first process of it keeps its death signal, and takes the rest with it.

use crate::error::{Failure, Fallible};
use crate::overlay;
use crate::protocol::{NetworkTool, Port, PortProtocol, SessionNetwork};
use crate::run::{attach_at, make_private, tree};
use crate::sys::process::{self, Waited};
use crate::userns;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, OwnedFd};
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use rustix::process::Signal;
use rustix::thread::UnshareFlags;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};

/// The address of the steps: what pasta is told, and what slirp4netns gives.
const ADDRESS_PASTA: &str = "10.0.2.15";
const ADDRESS_SLIRP4NETNS: &str = "10.0.2.100";
const NETMASK: &str = "255.255.255.0";
const GATEWAY: &str = "10.0.2.2";
/// Their name server, which is the host's.
pub(crate) const DNS: &str = "10.0.2.3";
/// Said when the network is there.
pub(crate) const READY: u8 = 0;

/// Where the namespace gets a path, in a mount namespace of the program's own.
const PLACE: &str = "/sys";
const NAMESPACE: &str = "/sys/net";

/// A program that is installed, and what it is to do.
#[derive(Debug)]
pub(crate) struct Tool {
    kind: NetworkTool,
    path: PathBuf,
    ports: Vec<Port>,
    /// The process whose network namespace is connected.
    session: i32,
}

impl Tool {
    /// Finds it in the directories of the system.
    ///
    /// # Errors
    /// `ERR_TOOL_MISSING`; an address of a port that is none.
    pub(crate) fn find(request: &SessionNetwork) -> Fallible<Self> {
        let (name, package) = names(request.tool);
        let path = userns::find_tool(name).ok_or_else(|| {
            let text = format!("{name} is not installed; run \"apt-get install {package}\"");
            Failure::environment("ERR_TOOL_MISSING", text)
        })?;
        if let Some(port) = request.ports.iter().find(|port| port.address.parse::<IpAddr>().is_err()) {
            return Err(Failure::internal(format!("{:?} is no address", port.address)));
        }
        let session = rustix::process::getpid().as_raw_nonzero().get();
        Ok(Self { kind: request.tool, path, ports: request.ports.clone(), session })
    }

    /// As people know it.
    pub(crate) fn name(&self) -> &'static str {
        names(self.kind).0
    }

    /// The address that the steps get.
    pub(crate) fn address(&self) -> &'static str {
        match self.kind {
            NetworkTool::Pasta => ADDRESS_PASTA,
            NetworkTool::Slirp4netns => ADDRESS_SLIRP4NETNS,
        }
    }

    /// Becomes the first process of the program's pid namespace: starts it once `made` says that the namespace is
    /// there, says [`READY`] on `status` when it is connected, or why not, and ends with it.
    pub(crate) fn be_init(&self, status: OwnedFd, made: OwnedFd) -> ! {
        if let Err(failure) = self.connect(&status, made) {
            let _ = rustix::io::write(&status, failure.message.as_bytes());
            process::exit_now(1)
        }
        let _ = rustix::io::write(&status, &[READY]);
        while process::wait_child(-1, true) != Waited::NoChild {}
        process::exit_now(0)
    }

    fn connect(&self, status: &OwnedFd, made: OwnedFd) -> Fallible<()> {
        die_with_session(status)?;
        close_streams()?;
        match rustix::io::read(&made, &mut [0]) {
            Ok(1) => {}
            _ => return Err(Failure::internal("the namespace was not made")),
        }
        drop(made);
        self.name_namespace()?;
        match self.kind {
            NetworkTool::Pasta => self.start_pasta(),
            NetworkTool::Slirp4netns => self.start_slirp4netns(),
        }
    }

    /// Gives the namespace a path that needs no right over the session's process. pasta drops such rights before it
    /// opens the namespace, and newer versions close descriptors that they inherit.
    fn name_namespace(&self) -> Fallible<()> {
        process::unshare(UnshareFlags::NEWNS).map_err(|errno| userns::denied("unshare(CLONE_NEWNS)", errno))?;
        make_private()?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let path = format!("/proc/{}/ns/net", self.session);
        let namespace = rustix::mount::open_tree(rustix::fs::CWD, path.as_str(), flags)
            .map_err(|errno| Failure::syscall(format!("open_tree({path:?}, OPEN_TREE_CLONE)"), errno))?;
        let place = overlay::tmpfs(&[("mode", "0755")], MountAttrFlags::empty())?;
        attach_at(place.as_fd(), PLACE)?;
        File::create(NAMESPACE).map_err(|error| Failure::io(format!("creat({NAMESPACE:?})"), &error))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(namespace.as_fd(), "", rustix::fs::CWD, NAMESPACE, flags)
            .map_err(|errno| tree::denied(format!("move_mount(namespace, {NAMESPACE:?})"), errno))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// pasta leaves its parent when it is ready.
    fn start_pasta(&self) -> Fallible<()> {
        let mut command = self.command();
        // No port of either side is forwarded but those asked for, and no address of the namespace is the host's.
        command.args(["--netns-only", "--runas", "0", "--config-net", "--no-map-gw", "-T", "none", "-U", "none"]);
        command.args(["-a", ADDRESS_PASTA, "-n", NETMASK, "-g", GATEWAY, "--dns-forward", DNS]);
        for (option, protocol) in [("-t", PortProtocol::Tcp), ("-u", PortProtocol::Udp)] {
            let ports: Vec<&Port> = self.ports.iter().filter(|port| port.protocol == protocol).collect();
            if ports.is_empty() {
                command.args([option, "none"]);
            }
            for Port { address, host, inside, .. } in ports {
                command.args([option, &format!("{address}/{host}:{inside}")]);
            }
        }
        command.args(["--netns", NAMESPACE]);
        let mut child = command.spawn().map_err(|error| Failure::io(format!("execve({:?})", self.path), &error))?;
        let mut said = Vec::new();
        if let Some(errors) = child.stderr.take() {
            // Ends with pasta's parent: what it leaves behind has no standard descriptors.
            let _ = errors.take(64 << 10).read_to_end(&mut said);
        }
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(Failure::environment("ERR_NETWORK", last_lines(&said))),
        }
    }

    /// slirp4netns says it on a descriptor and goes on.
    fn start_slirp4netns(&self) -> Fallible<()> {
        if !self.ports.is_empty() {
            let text = "ports are published by pasta only; run \"apt-get install passt\"";
            return Err(Failure::environment("ERR_NETWORK", text));
        }
        let mut command = self.command();
        command.args(["--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--ready-fd=1"]);
        command.args(["--netns-type=path", NAMESPACE, "tap0"]).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Failure::io(format!("execve({:?})", self.path), &error))?;
        let ready = |mut out: ChildStdout| out.read(&mut [0]).is_ok_and(|length| length == 1);
        let connected = child.stdout.take().is_some_and(ready);
        let mut said = Vec::new();
        if let Some(mut errors) = child.stderr.take() {
            if connected {
                // It goes on complaining, and a closed pipe would end it.
                std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
                return Ok(());
            }
            let _ = errors.take(64 << 10).read_to_end(&mut said);
        }
        Err(Failure::environment("ERR_NETWORK", last_lines(&said)))
    }
}

/// The program and the package that has it.
fn names(tool: NetworkTool) -> (&'static str, &'static str) {
    match tool {
        NetworkTool::Pasta => ("pasta", "passt"),
        NetworkTool::Slirp4netns => ("slirp4netns", "slirp4netns"),
    }
}

/// The end of a complaint, which says most.
fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join("; ")
}

fn die_with_session(status: &OwnedFd) -> Fallible<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| Failure::syscall("prctl(PR_SET_PDEATHSIG, SIGKILL)", errno))?;
    // It may have died before the call. Its death closes the pipe's only reading end.
    let mut polled = [PollFd::new(status, PollFlags::empty())];
    let _ = rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    if polled.iter().any(|fd| fd.revents().contains(PollFlags::ERR)) {
        return Err(Failure::internal("the session is gone"));
    }
    Ok(())
}

/// Standard output and error are the session's.
fn close_streams() -> Fallible<()> {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|error| Failure::io("open(\"/dev/null\")", &error))?;
    (0..3).try_for_each(|number| {
        process::dup_onto(null.as_fd(), number)
            .map_err(|errno| Failure::syscall(format!("dup2(null, {number})"), errno))
    })
}

/// Brings the loopback interface of this process's namespace up.
pub(crate) fn loopback_up() -> Fallible<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(|socket| crate::sys::tree::loopback_up(socket.as_fd()))
        .map_err(|errno| Failure::syscall("ioctl(SIOCSIFFLAGS, \"lo\", IFF_UP)", errno))
}
