//! `session` with a network: what a step can reach, and what it cannot. The machine around it is a network namespace of
//! the test's own, so no packet leaves the kernel.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::sandbox::session::{Session, request};
use crate::sandbox::{As, Sandbox};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The address of the machine on its network.
const MACHINE: &str = "192.0.2.1";

/// A machine with one interface, and an address of the clouds' metadata service of its own.
const SET_UP: &str = "ip link add out type veth peer name peer && ip link set lo up && ip link set out up && \
    ip link set peer up && ip addr add 192.0.2.1/24 dev out && ip route add default via 192.0.2.254 && \
    ip -6 addr add 2001:db8::1/64 dev out nodad && ip -6 route add default via 2001:db8::ff dev out && \
    ip addr add 169.254.169.254/32 dev lo && ip -6 addr add fd00:ec2::254/128 dev lo nodad";

/// Runs a test in a thread that has a network namespace of its own; processes that it starts have it too.
fn on_a_machine_of_its_own(test: impl FnOnce() + Send + 'static) {
    if Sandbox::root().is_none() {
        return;
    }
    let script = format!("{SET_UP} && echo ready && exec sleep 1000");
    let mut holder = Command::new("unshare").args(["-n", "sh", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let namespace = File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let thread = std::thread::spawn(move || {
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind)).unwrap();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A service of the machine that listens on every address it has, and writes down who asked it.
struct Canary {
    port: u16,
    seen: Arc<Mutex<Vec<(IpAddr, String)>>>,
}

impl Canary {
    fn new() -> Self {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let address = stream.local_addr().unwrap().ip().to_canonical();
                // A question that is lost on its way must not keep the next one waiting.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let mut text = [0; 64];
                let length = stream.read(&mut text).unwrap_or_default();
                log.lock().unwrap().push((address, String::from_utf8_lossy(&text[..length]).trim().to_owned()));
                let _ = stream.write_all(b"canary\n");
            }
        });
        Self { port, seen }
    }

    /// What was asked, by the address it was asked at.
    fn seen(&self) -> Vec<(IpAddr, String)> {
        self.seen.lock().unwrap().clone()
    }
}

fn each(tools: &[&str], test: impl Fn(&Sandbox, &str)) {
    for sandbox in [Sandbox::root(), Sandbox::rootless(As::Rootless)].into_iter().flatten() {
        for tool in tools {
            if !["/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(tool).exists()) {
                crate::sandbox::skip(&format!("{tool} is not installed"));
                continue;
            }
            test(&sandbox, tool);
        }
    }
}

fn connected<'s>(sandbox: &'s Sandbox, tool: &str, ports: &Value) -> (Session<'s>, Value) {
    let network = json!({"tool": tool, "ports": ports});
    let mut session = Session::start(sandbox, &request(&format!("net-{tool}"), &json!({}), &network));
    let connected = session.next();
    assert_eq!(connected["event"], "connected", "{tool}: {connected}");
    (session, connected)
}

fn step(session: &Session<'_>, script: &str) -> crate::sandbox::Done {
    let mut request = session.shell("step", script);
    request["network"] = json!("session");
    session.run(&request)
}

/// A script that asks each address at a port, saying which.
fn ask(addresses: &[&str], port: u16) -> String {
    let list = addresses.join(" ");
    format!("for a in {list}; do (echo $a | timeout 5 nc -w 2 $a {port}) & done 2>&1; wait")
}

#[test]
fn a_step_reaches_the_network_but_no_service_on_the_hosts_loopback() {
    on_a_machine_of_its_own(|| {
        each(&["pasta", "slirp4netns"], |sandbox, tool| {
            let canary = Canary::new();
            let (session, connected) = connected(sandbox, tool, &json!([]));
            let own = connected["address"].as_str().unwrap();
            let closed = [
                "127.0.0.1",
                "127.0.0.53",
                "127.1.2.3",
                "::1",
                "::ffff:127.0.0.1",
                "0.0.0.0",
                "10.0.2.2",
                "10.0.2.3",
                "10.0.2.1",
                own,
                "10.0.2.255",
                "fd00::2",
                "fd00::1",
                "fd00::3",
                "fe80::1",
                "2001:db8::ff",
                "::",
                "169.254.169.254",
                "169.254.0.1",
                "fd00:ec2::254",
            ];
            let done = step(&session, &ask(&closed, canary.port));
            assert_eq!(canary.seen(), [], "{tool} {sandbox:?} {done:?}", sandbox = sandbox.is_rootless());
            assert!(!done.ok().contains("canary"), "{done:?}");
            // The same service, asked as everyone of the network may. Old versions of pasta lose what is sent at once now
            // and then, so it is asked again; and they may hold the end of the stream back until `timeout` ends it.
            let asked = (MACHINE.parse().unwrap(), MACHINE.to_owned());
            let answered = (0..5)
                .map(|_| step(&session, &ask(&[MACHINE], canary.port)))
                .any(|done| done.stdout.starts_with("canary\n"));
            let seen = canary.seen();
            assert!(answered && seen.contains(&asked), "{tool} {seen:?}");
            assert!(seen.iter().all(|(address, _)| *address == asked.0), "{tool} {seen:?}");
            session.end();
        });
    });
}

#[test]
fn a_step_finds_metadata_addresses_unreachable() {
    on_a_machine_of_its_own(|| {
        each(&["pasta", "slirp4netns"], |sandbox, tool| {
            let (session, _) = connected(sandbox, tool, &json!([]));
            let done = step(
                &session,
                "ip route get 169.254.169.254; ip -6 route get fd00:ec2::254; nc -w 2 169.254.169.254 80",
            );
            let text = format!("{}{}", done.stdout, done.stderr);
            assert!(text.contains("No route to host") || text.contains("unreachable"), "{tool} {text}");
            assert!(!done.stdout.contains("dev out") && !done.stdout.contains("dev tap0"), "{tool} {text}");
            session.end();
        });
    });
}

#[test]
fn a_step_cannot_change_the_network_of_the_next() {
    on_a_machine_of_its_own(|| {
        each(&["pasta"], |sandbox, tool| {
            let (session, _) = connected(sandbox, tool, &json!([]));
            // The kernel takes a second or two to see that nobody else has an address of version 6.
            let look = || step(&session, "ip addr show; ip route; ip -6 route").ok().replace(" tentative", "");
            let before = look();
            let done = step(
                &session,
                "ip route del unreachable 169.254.0.0/16; ip route add 1.2.3.4/32 dev lo; ip addr add 10.0.2.99/24 dev lo; \
                 ip link set lo down; ip link set out down; route add -net 9.0.0.0/8 dev lo; echo 1 > \
                 /proc/sys/net/ipv4/ip_forward; grep CapEff /proc/self/status",
            );
            // CAP_NET_ADMIN is bit 12.
            let effective = done.stdout.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap().to_owned();
            assert_eq!(u64::from_str_radix(&effective, 16).unwrap() & (1 << 12), 0, "{effective}");
            assert_eq!(
                done.stderr.matches("not permitted").count() + done.stderr.matches("Read-only").count(),
                7,
                "{done:?}"
            );
            assert_eq!(look(), before);
            session.end();
        });
    });
}

#[test]
fn a_published_port_leads_into_the_namespace() {
    on_a_machine_of_its_own(|| {
        each(&["pasta"], |sandbox, tool| {
            let ports = json!([{"address": "127.0.0.1", "host": 18_080, "inside": 80, "protocol": "tcp"}]);
            let (session, _) = connected(sandbox, tool, &ports);
            let mut request = session.shell("server", "echo on; echo hello | nc -l -p 80");
            request["network"] = json!("session");
            sandbox.fresh();
            let child = session.start_run(&request);
            let mut heard = String::new();
            for _ in 0..500 {
                let address: SocketAddr = "127.0.0.1:18080".parse().unwrap();
                if let Ok(mut stream) = TcpStream::connect(address) {
                    let _ = stream.write_all(b"hi\n");
                    let _ = stream.read_to_string(&mut heard);
                }
                if !heard.is_empty() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            assert_eq!(heard, "hello\n");
            // Only at that address.
            assert!(TcpStream::connect((MACHINE, 18_080)).is_err());
            sandbox.finish(child);
            session.end();
        });
    });
}

#[test]
fn session_says_what_the_tool_said_when_it_cannot_connect() {
    let Some(sandbox) = Sandbox::root() else { return };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (address, code, says) in
        [("127.0.0.1", "ERR_NETWORK", port.to_string()), ("evil", "ERR_HELPER_INTERNAL", "evil".into())]
    {
        let ports = json!([{"address": address, "host": port, "inside": 80, "protocol": "tcp"}]);
        let network = json!({"tool": "pasta", "ports": ports});
        let done = sandbox.call(request("refused", &json!({}), &network));
        assert_eq!(done.error(), code, "{done:?}");
        let message = done.last["message"].as_str().unwrap();
        assert!(message.contains(&says) && message.len() < 4096, "{message}");
    }
    let network = json!({"tool": "slirp4netns", "ports": [{"address": "127.0.0.1", "host": port, "inside": 80, "protocol": "tcp"}]});
    let done = sandbox.call(request("slirp", &json!({}), &network));
    assert!(done.error() == "ERR_NETWORK" && done.last["message"].as_str().unwrap().contains("passt"), "{done:?}");
}
