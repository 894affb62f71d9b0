//! The first process of the step's pid namespace. It builds the sandbox, starts the step, reaps whatever is orphaned,
//! passes signals on and reports the end. When it dies, by the supervisor's death too, the kernel kills the rest.

use super::ca::{self, Changed, Extended};
use super::device::Devices;
use super::exec::{self, Program, Streams, Walls};
use super::java;
use super::kernel::{self, KernelTrees};
use super::mapping::Mapping;
use super::report::Note;
use super::rootfs::{self, Scaffold};
use super::stdio::Inside;
use super::stubs::{self, Kind, Stubs};
use super::user::{self, Identity};
use super::{device, mounts, sources, tree, ulimits};
use crate::beneath::{Beneath, Links};
use crate::error::{Failure, Fallible};
use crate::overlay::Marks;
use crate::protocol::{Network, Run};
use crate::sys::process::{self, Ended, Side, Waited};
use crate::userns;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Signal, Uid};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// The signals that are passed on to the step.
const FORWARDED: [i32; 6] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
const SUPERVISED: [i32; 7] =
    [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
/// Added to the step's badness when memory runs out.
const OOM_SCORE: &str = "500";

/// What init was given.
#[derive(Debug)]
pub(crate) struct Init<'r> {
    /// The request.
    pub(crate) run: &'r Run,
    /// Which overlay marks this user may use.
    pub(crate) marks: Marks,
    /// How the step's ids are the machine's.
    pub(crate) mapping: &'r Mapping<'r>,
    /// Where it reports.
    pub(crate) status: OwnedFd,
    /// The step's standard descriptors.
    pub(crate) stdio: Inside,
    /// Where the supervisor says, by one byte, that this process is in its cgroups.
    pub(crate) admitted: OwnedFd,
    /// The network namespace of the session.
    pub(crate) network: Option<OwnedFd>,
}

impl Init<'_> {
    /// Does everything. Does not return.
    pub(crate) fn be(self) -> ! {
        let note = match self.supervise() {
            Ok(note) => note,
            Err(failure) => Note::failed(&failure),
        };
        note.send(self.status.as_fd());
        process::exit_now(0)
    }

    fn supervise(&self) -> Fallible<Note> {
        self.die_with_supervisor()?;
        process::block_signals(&SUPERVISED);
        // Out of the terminal's process group: what the user types reaches the step through the supervisor only.
        rustix::process::setsid().map_err(|errno| Failure::syscall("setsid()", errno))?;
        let walls = Walls {
            marks: self.marks,
            security: self.run.security,
            no_new_privileges: self.run.no_new_privileges,
            limits: ulimits::resolve(&self.run.ulimits)?,
            status: self.status.as_fd(),
        };
        let (program, identity, streams, changed) = self.build()?;
        if !kernel::cgroup_is_unified() {
            self.be_admitted()?;
        }
        Note::Started { changed }.send(self.status.as_fd());
        match process::fork().map_err(|errno| Failure::syscall("fork()", errno))? {
            Side::Child => exec::become_step(&program, &identity, &streams, &walls),
            Side::Parent(pid) => Ok(wait_for(pid)),
        }
    }

    fn die_with_supervisor(&self) -> Fallible<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|errno| Failure::syscall("prctl(PR_SET_PDEATHSIG, SIGKILL)", errno))?;
        // It may have died before the call. Its death closes the pipe's only reading end.
        let mut polled = [PollFd::new(&self.status, PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let _ = rustix::event::poll(&mut polled, Some(&now));
        if polled.iter().any(|fd| fd.revents().contains(PollFlags::ERR)) {
            return Err(Failure::internal("the supervisor is gone"));
        }
        Ok(())
    }

    /// The sandbox, in the order that docs/dev/native.md gives.
    fn build(&self) -> Fallible<(Program, Identity, Streams, Changed)> {
        let run = self.run;
        if kernel::cgroup_is_unified() {
            self.be_admitted()?;
        }
        self.enter_network()?;
        self.wear_ids()?;
        self.unshare()?;
        rootfs::make_private()?;
        let kernel_trees = KernelTrees::new(run.network, self.marks, run.security)?;
        kernel_trees.prefer_for_oom(OOM_SCORE)?;

        let scaffold = Scaffold::raise()?;
        let layers = self.mapping.layers(&run.root, &scaffold)?;
        let view = rootfs::view(&layers, self.marks)?;
        let sources = sources::prepare(&run.mounts, &scaffold, self.marks, self.mapping)?;
        let devices = Devices::new(&scaffold, self.marks, run.security, self.mapping)?;
        let mut stubs = Stubs::new(scaffold.stub_layer()?, &view);
        let plan = mounts::plan(run, sources, &scaffold, &view, &mut stubs)?;
        let extended = run.trust_ca.as_ref().map(|pem| ca::extend(&view, &mut stubs, &run.env, pem)).transpose()?;
        let root = rootfs::mount(layers, self.marks, &scaffold, stubs)?;
        device::allow(root.root(), run.security, self.marks, self.mapping)?;

        if let Some(extended) = &extended {
            devices.add_certificates(&extended.bundle, extended.store.as_deref())?;
        }
        kernel_trees.attach(&root, &scaffold, run)?;
        let null = devices.attach(&root, run, self.mapping)?;
        let streams = self.stdio.open(&root)?;
        plan.attach(&root)?;
        kernel::mask(&root, &scaffold, null.as_fd(), run.security)?;

        let identity = user::look_up(&root, &run.user)?;
        let owner = self.mapping.owner(&identity)?;
        own_streams(&streams, owner)?;
        let program = Program::new(&run.argv, &environment(run, &identity, extended.as_ref()))?;
        let cwd = working_directory(&root, &run.cwd, owner)?;
        if run.readonly {
            rootfs::make_read_only(&root)?;
        }
        rootfs::enter(&root)?;
        enter_directory(&cwd, &run.cwd)?;
        self.enter_user_namespace()?;
        Ok((program, identity, streams, extended.map(|Extended { changed, .. }| changed).unwrap_or_default()))
    }

    /// Waits until this process is in its cgroups. On machines of version 1 that takes long and goes on beside
    /// [`Init::build`]; a new cgroup namespace shows what the process was in when it was made.
    fn be_admitted(&self) -> Fallible<()> {
        match rustix::io::read(&self.admitted, &mut [0]) {
            Ok(1) => Ok(()),
            Ok(_) => Err(Failure::internal("the supervisor is gone")),
            Err(errno) => Err(Failure::syscall("read(cgroup pipe)", errno)),
        }
    }

    /// Enters the session's network namespace: before anything looks at interfaces, `sysfs` among them.
    fn enter_network(&self) -> Fallible<()> {
        match (&self.network, self.run.network) {
            (Some(fd), Network::Session) => userns::join(fd.as_fd(), LinkNameSpaceType::Network),
            (None, Network::Session) => Err(Failure::internal("the network is the session's, but fd 7 is not open")),
            _ => Ok(()),
        }
    }

    /// Before anything is made, the root of `/dev/mqueue` among it, which comes with the ipc namespace.
    fn wear_ids(&self) -> Fallible<()> {
        if !self.mapping.is_there() {
            return Ok(());
        }
        self.mapping.wear()?;
        self.die_with_supervisor()
    }

    /// The last thing: what comes before needs real root.
    fn enter_user_namespace(&self) -> Fallible<()> {
        if !self.mapping.is_there() {
            return Ok(());
        }
        self.mapping.enter(self.run.security)?;
        self.die_with_supervisor()
    }

    fn unshare(&self) -> Fallible<()> {
        let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
        match self.mapping.network() {
            Some(network) => userns::join(network, LinkNameSpaceType::Network)?,
            None => flags.set(UnshareFlags::NEWNET, self.run.network == Network::None),
        }
        if kernel::cgroup_is_unified() {
            flags |= UnshareFlags::NEWCGROUP;
        }
        process::unshare(flags).map_err(|errno| tree::denied(format!("unshare({flags:?})"), errno))?;
        rustix::system::sethostname(self.run.hostname.as_bytes())
            .map_err(|errno| Failure::syscall(format!("sethostname({:?})", self.run.hostname), errno))?;
        if self.run.network == Network::None {
            loopback_up().map_err(|errno| Failure::syscall("ioctl(SIOCSIFFLAGS, \"lo\", IFF_UP)", errno))?;
        }
        Ok(())
    }
}

fn own_streams(streams: &Streams, (uid, gid): (u32, u32)) -> Fallible<()> {
    for fd in [&streams.input, &streams.output, &streams.error] {
        let group = (!streams.terminal).then_some(Gid::from_raw(gid));
        rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), group).map_err(|errno| {
            let call = format!("fchown(pipe, {uid}, {gid})");
            if errno == Errno::INVAL { exec::unmapped(&call, errno) } else { Failure::syscall(call, errno) }
        })?;
    }
    Ok(())
}

fn loopback_up() -> Result<(), Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    crate::sys::tree::loopback_up(socket.as_fd())
}

fn environment(run: &Run, identity: &Identity, trusted: Option<&Extended>) -> Vec<Vec<u8>> {
    let mut env: Vec<Vec<u8>> = run.env.iter().map(|entry| entry.clone().into_bytes()).collect();
    let missing = |env: &[Vec<u8>], name: &str| {
        !env.iter().any(|entry| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")))
    };
    if missing(&env, "HOME") {
        env.push([b"HOME=".as_slice(), &identity.home].concat());
    }
    if let Some(trusted) = trusted {
        for name in ca::VARIABLES {
            if missing(&env, name) {
                env.push(format!("{name}={}", ca::STEP_BUNDLE).into_bytes());
            }
        }
        if trusted.store.is_some() && missing(&env, java::VARIABLE) {
            let (variable, store) = (java::VARIABLE, java::STEP_STORE);
            env.push(format!("{variable}=-Djavax.net.ssl.trustStore={store}").into_bytes());
        }
    }
    env
}

/// Opens the working directory, made where missing. No descriptor link and no way out of the root can name it.
fn working_directory(root: &Beneath, path: &str, owner: (u32, u32)) -> Fallible<OwnedFd> {
    let open = |path: &[u8]| root.open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty(), Links::Follow);
    let opened = match open(path.as_bytes()) {
        // The kernel followed every link on the way, none of them magic, and found nothing at the end: where that is
        // inside the root, the directory is made.
        Err(Errno::NOENT) => {
            let place = stubs::resolve(root, path.as_bytes())?.path();
            stubs::make(root, &place, Kind::Directory, Some(owner)).and_then(|()| open(&place))
        }
        other => other,
    };
    opened.map_err(|errno| match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::NOENT | Errno::EXIST | Errno::XDEV | Errno::NAMETOOLONG => Failure::user(
            "ERR_WORKDIR_INVALID",
            format!("the working directory {path:?} is no directory of the image: {errno}"),
        ),
        _ => Failure::syscall(format!("openat2(root, {path:?}, O_PATH|O_DIRECTORY)"), errno),
    })
}

fn enter_directory(cwd: &OwnedFd, path: &str) -> Fallible<()> {
    rustix::process::fchdir(cwd).map_err(|errno| Failure::syscall(format!("fchdir({path:?})"), errno))?;
    let now = rustix::process::getcwd(Vec::new()).map_err(|errno| Failure::syscall("getcwd()", errno))?;
    // The kernel writes "(unreachable)" before a directory that lies outside the root.
    if now.to_bytes().starts_with(b"/") {
        return Ok(());
    }
    Err(Failure::user("ERR_WORKDIR_INVALID", format!("the working directory {path:?} is outside the image")))
}

/// Reaps children and passes signals on until the step ends, then ends what it left behind.
fn wait_for(step: i32) -> Note {
    let ended = loop {
        let signal = process::wait_signal(&SUPERVISED);
        if FORWARDED.contains(&signal) {
            process::kill(step, signal);
        }
        if let Some(ended) = reap(step) {
            break ended;
        }
    };
    process::kill(-1, libc::SIGKILL);
    while process::wait_child(-1, true) != Waited::NoChild {}
    Note::ended(ended, process::children_used())
}

/// Waits for everything that has ended; returns how the step did, if it is among them.
fn reap(step: i32) -> Option<Ended> {
    let mut found = None;
    while let Waited::Gone(pid, ended) = process::wait_child(-1, false) {
        if pid == step {
            found = Some(ended);
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// What stands in backticks at the head of each numbered item of the section about init.
    fn documented() -> Vec<String> {
        let text = include_str!("../../../../docs/dev/native.md");
        let section = text.split("## `run`: the order inside init").nth(1).unwrap().split("\n## ").next().unwrap();
        let item = |line: &str| line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        section
            .lines()
            .filter(|line| item(line))
            .flat_map(|line| {
                let head = line.split(" — ").next().unwrap();
                head.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn build_does_what_the_document_lists_in_that_order() {
        let source = include_str!("init.rs");
        let build = source.split("fn build(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
        let mut rest = build;
        let documented = documented();
        assert!(documented.len() >= 18, "{documented:?}");
        for call in documented {
            let at = rest.find(&format!("{call}(")).unwrap_or_else(|| panic!("{call} is not called, or earlier"));
            rest = &rest[at..];
        }
    }

    #[test]
    fn environment_adds_only_what_is_missing() {
        let run: Run = serde_json::from_str(
            r#"{"root": {"lower": [], "upper": null, "work": null}, "argv": [], "env": ["HOMEX=1", "PIP_CERT="], "cwd": "/",
                "user": "", "hostname": "", "network": "none", "hosts": "", "resolvConf": "", "mounts": [],
                "trustCa": null, "stdin": false, "cgroups": [], "id": "", "finish": null,
                "readonly": false, "shmSizeBytes": null, "ulimits": [], "security": "sandbox", "noNewPrivileges": false,
                "userNamespace": null, "terminal": false, "stopGraceMs": 0,
                "limits": {"memoryBytes": null, "memorySwapBytes": null, "cpuShares": null, "cpuPeriodMicros": null,
                "cpuQuotaMicros": null, "cpusetCpus": null, "cpusetMems": null, "pids": null, "ioWeight": null}}"#,
        )
        .unwrap();
        let identity = Identity { uid: 0, gid: 0, groups: vec![0], home: b"/h".to_vec() };
        let env = environment(&run, &identity, None);
        assert_eq!(env, [b"HOMEX=1".to_vec(), b"PIP_CERT=".to_vec(), b"HOME=/h".to_vec()]);
        let mut trusted = Extended { bundle: Vec::new(), store: None, changed: Changed::default() };
        let env = environment(&run, &identity, Some(&trusted));
        assert_eq!(env.len(), 3 + ca::VARIABLES.len() - 1);
        assert_eq!(env.iter().filter(|entry| entry.starts_with(b"PIP_CERT=")).count(), 1);
        trusted.store = Some(Vec::new());
        let env = environment(&run, &identity, Some(&trusted));
        let java = b"JDK_JAVA_OPTIONS=-Djavax.net.ssl.trustStore=/dev/.tsbuild/cacerts";
        assert_eq!(env.last().map(Vec::as_slice), Some(java.as_slice()));
    }
}
