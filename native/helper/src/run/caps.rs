//! The capabilities of a step: Docker's fourteen, nine of them, or all that this program has.

use crate::error::{Failure, Fallible};
use crate::protocol::Security;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Docker's: `a80425fb`.
const STEP: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::AUDIT_WRITE)
    .union(CapabilitySet::SETFCAP);

/// Missing from `minimal`: what builds seldom need and attacks use.
const SELDOM: CapabilitySet = CapabilitySet::MKNOD
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::AUDIT_WRITE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::SETFCAP);

/// What uid 0 of a step holds, and the bounding set of every user.
pub(crate) fn of(security: Security) -> Fallible<CapabilitySet> {
    match security {
        Security::Sandbox => Ok(STEP),
        Security::Minimal => Ok(STEP.difference(SELDOM)),
        Security::Insecure => rustix::thread::capabilities(None)
            .map(|sets| sets.permitted)
            .map_err(|errno| Failure::syscall("capget()", errno)),
    }
}

/// Takes every other capability out of the bounding set, so that no program file can give it back.
pub(crate) fn limit_bounding_set(held: CapabilitySet) -> Fallible<()> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if held.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Past the newest capability of this kernel.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(Failure::syscall(format!("prctl(PR_CAPBSET_DROP, {bit})"), errno)),
        }
    }
    Ok(())
}

/// Raises CAP_SYS_ADMIN again after a change of user ids that kept the permitted set; the seccomp filter needs it.
pub(crate) fn raise_admin(held: CapabilitySet) -> Fallible<()> {
    let sets = CapabilitySets {
        effective: CapabilitySet::SYS_ADMIN,
        permitted: CapabilitySet::SYS_ADMIN.union(held),
        inheritable: CapabilitySet::empty(),
    };
    set(sets)
}

/// Leaves exactly what the step has: for uid 0 `held`, for others nothing. Ambient and inheritable are empty.
pub(crate) fn drop_to_step(root: bool, held: CapabilitySet) -> Fallible<()> {
    let held = if root { held } else { CapabilitySet::empty() };
    set(CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() })
}

fn set(sets: CapabilitySets) -> Fallible<()> {
    rustix::thread::set_capabilities(None, sets)
        .map_err(|errno| Failure::syscall(format!("capset({:#x})", sets.permitted.bits()), errno))
}
