//! The device controller of version 1: what Docker allows, and nothing else.

use crate::error::Fallible;
use crate::protocol::SessionCgroup;

/// Every node may be made, as packages do. Opened are: null, zero, full, random, urandom, tty, console, ptmx, ptys.
const ALLOWED: [&str; 11] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// Denies all other devices to what will run in this cgroup. A second wall: every mount of a step is `nodev` already.
pub(crate) fn restrict(one: &SessionCgroup) -> Fallible<()> {
    one.write("devices.deny", "a")?;
    ALLOWED.iter().try_for_each(|rule| one.write("devices.allow", rule))
}
