//! Destinations that no step has business with, closed in the session's namespace before anything connects it.

use crate::error::{Failure, Fallible};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds tell every machine its secrets: the link-local network, and the address of the same service in IPv6.
const CLOSED: [(IpAddr, u8); 2] = [
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), 128),
];

const NLMSG_ERROR: u16 = 2;
const RTM_NEWROUTE: u16 = 24;
/// NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE.
const FLAGS: u16 = 0x1 | 0x4 | 0x400;
const RTA_DST: u16 = 1;
const RTN_UNREACHABLE: u8 = 7;
const RTPROT_STATIC: u8 = 4;
const RT_TABLE_MAIN: u8 = 254;

/// Adds the routes. A kernel without IPv6 needs none for it.
///
/// # Errors
/// What the kernel said.
pub(crate) fn close() -> Fallible<()> {
    let socket = socket().map_err(|errno| Failure::syscall("socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)", errno))?;
    for (address, prefix) in CLOSED {
        match ask(&socket, &message(address, prefix)) {
            Err(Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::ACCESS) if address.is_ipv6() => {}
            other => other.map_err(|errno| {
                Failure::syscall(format!("sendto(netlink, RTM_NEWROUTE unreachable {address}/{prefix})"), errno)
            })?,
        }
    }
    Ok(())
}

fn socket() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
}

/// Sends one request and waits for its answer.
fn ask(socket: &OwnedFd, message: &[u8]) -> Result<(), Errno> {
    rustix::net::send(socket, message, SendFlags::empty())?;
    let mut answer = [0_u8; 512];
    let (length, _) = rustix::net::recv(socket, answer.as_mut_slice(), RecvFlags::empty())?;
    // nlmsghdr: length, type (2 bytes at 4), flags, sequence, port; after it the negated errno.
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) if length >= 20 => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) if length >= 20 => Err(Errno::from_raw_os_error(-code)),
        _ => Err(Errno::PROTO),
    }
}

/// `nlmsghdr`, `rtmsg` and the attribute `RTA_DST`.
fn message(address: IpAddr, prefix: u8) -> Vec<u8> {
    let (family, bytes) = match address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    let family = u8::try_from(family).unwrap_or_default();
    let mut body = vec![family, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, RTN_UNREACHABLE, 0, 0, 0, 0];
    let length = u16::try_from(bytes.len() + 4).unwrap_or_default();
    body.extend([length.to_ne_bytes(), RTA_DST.to_ne_bytes()].concat());
    body.extend(bytes);
    let length = u32::try_from(body.len() + 16).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([RTM_NEWROUTE.to_ne_bytes(), FLAGS.to_ne_bytes()].concat());
    // A sequence number and a port: the socket carries one request at a time.
    message.extend([0_u8; 8]);
    message.extend(body);
    message
}
