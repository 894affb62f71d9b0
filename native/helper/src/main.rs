//! `tsbuild-helper`: the data plane of tsbuild.
//!
//! One JSON request on standard input, JSON lines on standard output, bulk data on passed descriptors. No flags, no
//! configuration, no environment, no network, no policy. In order: sanitise the process, parse the request, validate
//! every path, act, report. docs/dev/native.md explains each step.

mod apply;
mod beneath;
mod cgroup;
mod compress;
mod concat;
mod content;
mod convert;
mod copy;
mod descent;
mod diff;
mod digest;
mod elf;
mod error;
mod export;
mod export_tar;
mod find;
mod fingerprint;
mod finish;
mod maintenance;
mod merge;
mod overlay;
mod owner;
mod pattern;
mod probe;
mod progress;
mod protocol;
mod quote;
mod read;
mod run;
mod sanitise;
mod scan;
mod sealed;
mod select;
mod session;
mod stages;
mod sys;
mod tar;
mod userns;
mod workers;

use error::{Failure, Fallible};
use overlay::Marks;
use protocol::{Envelope, PROTOCOL, Reply, Request};
use rustix::fd::AsFd;
use std::io::{Read, Write};
use std::process::ExitCode;

/// Where [`Envelope::join_user_namespace`] finds it.
const USER_NAMESPACE_FD: i32 = 8;

fn main() -> ExitCode {
    match serve() {
        Ok(last) => {
            report(&last);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            report(&failure.into_reply());
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Fallible<Reply> {
    sanitise::sanitise()?;
    let text = read()?;
    let envelope = parse(&text)?;
    if let Request::Run(_) = &envelope.request {
        sealed::ensure(&text)?;
    }
    let marks = enter_user_namespace(&envelope)?;
    act(envelope.request, marks)
}

/// Enters a new user namespace, that of the session, or none.
fn enter_user_namespace(envelope: &Envelope) -> Fallible<Marks> {
    match (&envelope.id_map, envelope.join_user_namespace) {
        (Some(_), true) => Err(Failure::internal("idMap and joinUserNamespace exclude each other")),
        (Some(map), false) => userns::enter(map).map(|()| Marks::User),
        (None, true) => {
            let namespace = sys::process::take_passed(USER_NAMESPACE_FD)
                .ok_or_else(|| Failure::internal("a user namespace is to be joined, but fd 8 is not open"))?;
            userns::join_user(namespace.as_fd()).map(|()| Marks::User)
        }
        (None, false) => Ok(Marks::Trusted),
    }
}

fn read() -> Fallible<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::internal(format!("cannot read the request: {error}")))?;
    Ok(text)
}

fn parse(text: &str) -> Fallible<Envelope> {
    let envelope = Envelope::read(text)
        .map_err(|error| Failure::internal(format!("the request is not of protocol {PROTOCOL}: {error}")))?;
    if envelope.protocol != PROTOCOL {
        return Err(Failure::internal(format!("the request is of protocol {}, not {PROTOCOL}", envelope.protocol)));
    }
    Ok(envelope)
}

/// Does what is asked and gives the last reply.
fn act(request: Request, marks: Marks) -> Fallible<Reply> {
    let outcome = match request {
        Request::Copy { root, owners, actions, finish } => {
            let outcome = copy::copy(&root, owners.as_ref(), &actions, marks)?;
            return finish::finish(root.upper.as_deref(), outcome, finish, content::Files::default(), marks);
        }
        Request::Run(run) => {
            let outcome = run::run(&run, marks)?;
            return finish::finish(run.root.upper.as_deref(), outcome, run.finish, content::Files::default(), marks);
        }
        Request::Session(session) => session::session(&session),
        Request::Probe {} => probe::probe(),
        Request::Scan { tree, selections, manifest } => scan::scan(&tree, &selections, manifest, marks),
        Request::Read { tree, paths, max_bytes } => read::read(&tree, &paths, max_bytes, marks),
        Request::Find { tree, patterns, sections, max_files, max_section_bytes } => find::find(
            &tree,
            &find::Wanted { patterns: &patterns, sections: &sections, max_files, max_section_bytes },
            marks,
        ),
        Request::Apply { target, lower, compression, digest, size_bytes, diff_id, limits, finish } => {
            let stored = apply::Stored { compression, digest, size_bytes, diff_id, limits };
            let wanted = apply::Wanted {
                content: finish.is_some_and(|finish| finish.content),
                sync: finish.is_some_and(|finish| finish.sync),
            };
            let layer = apply::Layer { target, lower, stored, wanted };
            let (outcome, files) = apply::apply(&layer, marks)?;
            return finish::finish(Some(&layer.target), outcome, finish, files, marks);
        }
        Request::Diff { upper, form } => diff::diff(&upper, form, marks),
        Request::Convert { from, digest, size_bytes, diff_id, to, limits } => {
            convert::convert(&apply::Stored { compression: from, digest, size_bytes, diff_id, limits }, to)
        }
        Request::Concat { parts } => concat::concat(&parts),
        Request::Merge { lower, target } => merge::merge(&lower, &target, marks),
        Request::Export { root, dest } => export::export(&root, &dest, marks),
        Request::Content { trees } => content::digests(&trees, marks),
        Request::Sync { paths } => maintenance::sync(&paths),
        Request::Remove { paths } => maintenance::remove(&paths),
        Request::Usage { paths } => maintenance::usage(&paths),
    };
    outcome.map(|outcome| Reply::Result { outcome })
}

/// Writes one line. A reader that went away is no reason to fail: the parent's death signal ends this process.
pub(crate) fn report(reply: &Reply) {
    if let Ok(mut line) = serde_json::to_vec(reply) {
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
