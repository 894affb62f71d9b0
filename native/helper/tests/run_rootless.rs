//! `run` as an ordinary user, with and without subordinate ids.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{As, Sandbox, tree};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

fn both() -> impl Iterator<Item = (As, Sandbox)> {
    [As::Rootless, As::SingleId].into_iter().filter_map(|who| Some((who, Sandbox::rootless(who)?)))
}

#[test]
fn rootless_run_gives_the_same_sandbox() {
    for (who, sandbox) in both() {
        for network in ["host", "none"] {
            let mut request = sandbox.shell(
                "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp:)' /proc/self/status; ls /dev | tr '\\n' ' '; \
                 echo x > /dev/null; head -c 1 /dev/zero | wc -c; cat /etc/hosts; hostname; \
                 echo x 2>/dev/null > /proc/sys/kernel/core_pattern || echo protected; ls /sys/firmware | wc -l; \
                 touch /sys/x 2>/dev/null || echo read-only; echo again > /dev/stdout",
            );
            request["network"] = json!(network);
            let done = sandbox.run(request);
            assert_eq!(
                done.ok(),
                "0\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n\
                 core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero 1\n\
                 127.0.0.1\tlocalhost buildsandbox\nbuildsandbox\nprotected\n0\nread-only\nagain\n",
                "{who:?} {network} {done:?}"
            );
            assert_eq!(tree(&sandbox.upper()), Vec::<String>::new());
        }
    }
}

#[test]
fn rootless_run_records_changes_as_the_users_own() {
    for (who, sandbox) in both() {
        fs::write(sandbox.image().join("gone"), "").unwrap();
        sandbox.give(&sandbox.image().join("gone"));
        let done = sandbox.sh("rm /gone; echo new > /tmp/new; mkdir -p /opt/made; exit 3");
        assert_eq!(done.code(), 3, "{who:?} {done:?}");
        let owner = sandbox.upper().metadata().unwrap().uid();
        assert_eq!(sandbox.upper().join("tmp/new").metadata().unwrap().uid(), owner);
        assert!(sandbox.upper().join("gone").symlink_metadata().unwrap().file_type().is_char_device());
        assert_eq!(tree(&sandbox.upper()), ["gone", "opt", "opt/made", "tmp", "tmp/new"]);
        // Files of mapped ids belong to other users outside: the helper is what can remove them.
        let done = sandbox.call(json!({"op": "remove", "paths": [sandbox.upper(), sandbox.path("work")]}));
        assert_eq!(done.last["event"], "result", "{done:?}");
        assert!(!sandbox.upper().exists());
    }
}

#[test]
fn rootless_run_becomes_other_users_with_subordinate_ids() {
    let Some(sandbox) = Sandbox::rootless(As::Rootless) else { return };
    let mut request = sandbox.shell("id; echo $HOME; touch /tmp/mine; stat -c %u:%g /tmp/mine; echo out > /dev/stdout");
    request["user"] = json!("app");
    let done = sandbox.run(request);
    assert_eq!(
        done.ok(),
        "uid=1000(app) gid=1001(app) groups=1001(app),2000(extra),2001(more)\n/home/app\n1000:1001\nout\n"
    );
    let mut request = sandbox.shell("true");
    request["user"] = json!("70000:70000");
    let done = sandbox.run(request);
    assert_eq!((done.error(), &done.last["kind"]), ("ERR_ROOTLESS_IDMAP", &json!("environment")), "{done:?}");
}

#[test]
fn rootless_run_with_one_id_says_what_other_users_need() {
    let Some(sandbox) = Sandbox::rootless(As::SingleId) else { return };
    let mut request = sandbox.shell("true");
    request["user"] = json!("app");
    let done = sandbox.run(request);
    assert_eq!(done.error(), "ERR_ROOTLESS_IDMAP", "{done:?}");
    assert!(done.last["message"].as_str().unwrap().contains("/etc/subuid"), "{done:?}");
}

#[test]
fn rootless_run_refuses_hostile_images_too() {
    let Some(sandbox) = Sandbox::rootless(As::Rootless) else { return };
    for name in ["dev", "proc", "sys"] {
        symlink("/tmp", sandbox.image().join(name)).unwrap();
        assert_eq!(sandbox.sh("true").error(), "ERR_ROOTFS_INVALID", "{name}");
        fs::remove_file(sandbox.image().join(name)).unwrap();
    }
    let mut request = sandbox.shell("true");
    request["cwd"] = json!("/proc/self/fd/3");
    assert_eq!(sandbox.run(request).error(), "ERR_WORKDIR_INVALID");
}

#[test]
fn rootless_run_trusts_certificates_for_the_step_only() {
    let Some(sandbox) = Sandbox::rootless(As::Rootless) else { return };
    let certs = sandbox.image().join("etc/ssl/certs");
    fs::create_dir_all(&certs).unwrap();
    fs::write(certs.join("ca-certificates.crt"), "of the image\n").unwrap();
    sandbox.give(&sandbox.image().join("etc/ssl"));
    let mut request = sandbox.shell("grep -c CANARY $SSL_CERT_FILE; echo more >> /etc/ssl/certs/ca-certificates.crt");
    request["trustCa"] = json!("CANARY");
    assert_eq!(sandbox.run(request).ok(), "1\n");
    let changed = sandbox.upper().join("etc/ssl/certs/ca-certificates.crt");
    assert_eq!(fs::read_to_string(changed).unwrap(), "of the image\nmore\n");
}

#[test]
fn rootless_helper_refuses_ranges_that_were_not_granted() {
    let Some(sandbox) = Sandbox::rootless(As::Rootless) else { return };
    let id = |inside: u32, outside: u32| json!([{"inside": inside, "outside": outside, "length": 10}]);
    let done = sandbox.call_with_map(
        json!({"op": "sync", "paths": ["/"]}),
        &json!({"uids": id(0, 4_000_000_000), "gids": id(0, 4_000_000_000)}),
    );
    assert_eq!((done.error(), &done.last["kind"]), ("ERR_ROOTLESS_IDMAP", &json!("environment")), "{done:?}");
    let message = done.last["message"].as_str().unwrap();
    assert!(message.contains("/etc/subuid") && message.contains("newuidmap"), "{message}");
}
