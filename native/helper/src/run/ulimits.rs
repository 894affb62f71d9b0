//! The resource limits of a step's processes.

use crate::error::{Failure, Fallible};
use crate::protocol::Ulimit;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

/// Names as docker has them.
const NAMES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// Open files a step may have: what Docker's daemon gives, for some programs close every possible descriptor.
const OPEN_FILES: (u64, u64) = (1024, 524_288);

/// A limit by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    name: &'static str,
    resource: Resource,
    value: Rlimit,
}

/// The limits of a step: those asked for, of one name the last, and the sandbox's own where nothing is asked.
///
/// # Errors
/// `ERR_STEP_INVALID` for an unknown name and for a soft limit above the hard one.
pub(crate) fn resolve(asked: &[Ulimit]) -> Fallible<Vec<Limit>> {
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).min(OPEN_FILES.1);
    let files = Rlimit { current: Some(OPEN_FILES.0.min(hard)), maximum: Some(hard) };
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let mut limits = vec![
        Limit { name: "core", resource: Resource::Core, value: none },
        Limit { name: "nofile", resource: Resource::Nofile, value: files },
    ];
    for ulimit in asked {
        let limit = parse(ulimit)?;
        limits.retain(|earlier| earlier.name != limit.name);
        limits.push(limit);
    }
    Ok(limits)
}

fn parse(ulimit: &Ulimit) -> Fallible<Limit> {
    let Some(&(name, resource)) = NAMES.iter().find(|(name, _)| *name == ulimit.name) else {
        let known = NAMES.map(|(name, _)| name).join(", ");
        return Err(invalid(ulimit, &format!("the name is none of {known}")));
    };
    if ulimit.soft.unwrap_or(u64::MAX) > ulimit.hard.unwrap_or(u64::MAX) {
        return Err(invalid(ulimit, "the soft limit is above the hard one"));
    }
    Ok(Limit { name, resource, value: Rlimit { current: ulimit.soft, maximum: ulimit.hard } })
}

fn invalid(ulimit: &Ulimit, why: &str) -> Failure {
    let text = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    let (soft, hard) = (text(ulimit.soft), text(ulimit.hard));
    Failure::user("ERR_STEP_INVALID", format!("the ulimit \"{}={soft}:{hard}\" cannot be set: {why}", ulimit.name))
}

/// Sets the limits of this process.
///
/// # Errors
/// `ERR_STEP_INVALID` for a hard limit above our own, which only real root may raise.
pub(crate) fn apply(limits: &[Limit]) -> Fallible<()> {
    for limit in limits {
        rustix::process::setrlimit(limit.resource, limit.value).map_err(|errno| refused(limit, errno))?;
    }
    Ok(())
}

fn refused(limit: &Limit, errno: Errno) -> Failure {
    let Limit { name, resource, value } = *limit;
    let text = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    let own = text(rustix::process::getrlimit(resource).maximum);
    let asked = Ulimit { name: name.to_owned(), soft: value.current, hard: value.maximum };
    match errno {
        Errno::PERM => {
            invalid(&asked, &format!("the hard limit of the builder itself is {own}, and it may not raise it"))
        }
        Errno::INVAL => invalid(&asked, "this machine does not allow the value"),
        _ => Failure::syscall(format!("setrlimit({name}, {asked:?})"), errno),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ulimit(name: &str, soft: Option<u64>, hard: Option<u64>) -> Ulimit {
        Ulimit { name: name.into(), soft, hard }
    }

    #[test]
    fn resolve_replaces_the_sandboxs_own_singly_and_keeps_the_last_of_a_name() {
        let limits = resolve(&[ulimit("nofile", Some(1), Some(2)), ulimit("nofile", Some(3), None)]).unwrap();
        let seen: Vec<_> = limits.iter().map(|limit| (limit.name, limit.value.current, limit.value.maximum)).collect();
        assert_eq!(seen, [("core", Some(0), Some(0)), ("nofile", Some(3), None)]);
    }

    #[test]
    fn resolve_refuses_what_it_does_not_know() {
        for (asked, text) in [
            (ulimit("NOFILE", Some(1), Some(1)), "core, cpu, data"),
            (ulimit("as", Some(1), Some(1)), "the name is none of"),
            (ulimit("nofile", Some(2), Some(1)), "\"nofile=2:1\" cannot be set: the soft limit is above"),
            (ulimit("core", None, Some(1)), "\"core=unlimited:1\""),
        ] {
            let failure = resolve(&[asked]).unwrap_err();
            assert_eq!(failure.code, "ERR_STEP_INVALID");
            assert!(failure.message.contains(text), "{}", failure.message);
        }
    }
}
