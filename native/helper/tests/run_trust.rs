//! `run`: certificates that only the step trusts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::sandbox::{Sandbox, every, tree};
use serde_json::json;
use sha1::{Digest, Sha1};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

const NOTHING: Vec<String> = Vec::new();
/// The certificate is the word CANARY.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nQ0FOQVJZ\n-----END CERTIFICATE-----\n";
const BEGIN: &str = "# tsbuild --trust-ca: for this step only\n";
const END: &str = "# tsbuild --trust-ca: end\n";
/// Where Debian and Alpine, Red Hat and SUSE keep their bundle.
const BUNDLES: [&str; 7] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/ssl/cert.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/pki/tls/cert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/ca-bundle.pem",
    "var/lib/ca-certificates/ca-bundle.pem",
];
fn with_bundle(sandbox: &Sandbox) -> std::path::PathBuf {
    let bundle = sandbox.image().join("etc/ssl/certs/ca-certificates.crt");
    fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    fs::write(&bundle, "of the image\n").unwrap();
    symlink("certs/ca-certificates.crt", sandbox.image().join("etc/ssl/cert.pem")).unwrap();
    bundle
}

#[test]
fn run_trusts_certificates_for_the_step_only() {
    let Some(sandbox) = Sandbox::root() else { return };
    with_bundle(&sandbox);
    let mut request = sandbox.shell(
        "cat /etc/ssl/certs/ca-certificates.crt; cmp /etc/ssl/cert.pem $SSL_CERT_FILE && echo same; \
         env | grep ca.pem | wc -l; echo $PIP_CERT; touch $SSL_CERT_FILE || true; echo x >> $SSL_CERT_FILE",
    );
    request["trustCa"] = json!(PEM);
    request["env"] = json!(["PATH=/bin", "PIP_CERT=/mine"]);
    let done = sandbox.run(request);
    assert_eq!(done.stdout, format!("of the image\n{BEGIN}{PEM}{END}same\n7\n/mine\n"));
    assert_eq!(tree(&sandbox.upper()), NOTHING);
}

#[test]
fn run_takes_certificates_out_of_a_bundle_that_the_step_changed() {
    let Some(sandbox) = Sandbox::root() else { return };
    let bundle = with_bundle(&sandbox);
    let in_upper = sandbox.upper().join("etc/ssl/certs/ca-certificates.crt");
    let path = "/etc/ssl/certs/ca-certificates.crt";
    for (script, wanted) in [
        (format!("echo more >> {path}"), "of the image\nmore\n"),
        (format!("chmod 600 {path}"), "of the image\n"),
        (format!("echo fresh > {path}.new; mv {path}.new {path}"), "fresh\n"),
        (format!("sed -i s/image/step/ {path}"), "of the step\n"),
        (format!("cp $SSL_CERT_FILE {path}; echo more >> {path}"), "of the image\nmore\n"),
        (format!("cat {path} {path} > /both; cp /both {path}; rm /both"), "of the image\nof the image\n"),
    ] {
        let mut request = sandbox.shell(&format!("{script}; touch -d @1234567890 {path}"));
        request["trustCa"] = json!(PEM);
        assert_eq!(sandbox.run(request).code(), 0, "{script}");
        assert_eq!(fs::read_to_string(&in_upper).unwrap(), wanted, "{script}");
        assert_eq!(in_upper.metadata().unwrap().mtime(), 1_234_567_890, "{script}");
    }
    assert_eq!(fs::read_to_string(bundle).unwrap(), "of the image\n");
}

#[test]
fn run_gives_certificates_to_an_image_without_a_bundle() {
    let Some(sandbox) = Sandbox::root() else { return };
    let mut request =
        sandbox.shell("cat $CURL_CA_BUNDLE; stat -c '%a %u' $CURL_CA_BUNDLE; ls /etc/ssl 2>/dev/null | wc -l");
    request["trustCa"] = json!(PEM);
    assert_eq!(sandbox.run(request).ok(), format!("{BEGIN}{PEM}{END}444 0\n0\n"));
    assert_eq!(tree(&sandbox.upper()), NOTHING);
}

#[test]
fn run_refuses_a_bundle_that_the_step_made_too_large() {
    let Some(sandbox) = Sandbox::root() else { return };
    with_bundle(&sandbox);
    let mut request = sandbox.shell("truncate -s 64G /etc/ssl/certs/ca-certificates.crt");
    request["trustCa"] = json!(PEM);
    let done = sandbox.run(request);
    assert_eq!(done.error(), "ERR_LAYER_UNREPRESENTABLE", "{done:?}");
    assert_eq!(done.last["kind"], "user");
}

/// A device of the host must not be opened even to see that it is one: for a watchdog that starts it.
#[test]
fn run_opens_no_device_that_the_step_left_in_place_of_a_bundle() {
    let Some(sandbox) = Sandbox::root() else { return };
    with_bundle(&sandbox);
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let node = sandbox.upper().join("etc/ssl/certs/ca-certificates.crt");
    for kind in ["c 1 3", "p"] {
        let mut request = sandbox.shell(&format!("rm {bundle} && mknod {bundle} {kind}"));
        request["trustCa"] = json!(PEM);
        sandbox.fresh();
        fs::create_dir_all(node.parent().unwrap()).unwrap();
        let events = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::NONBLOCK).unwrap();
        let watched = rustix::fs::inotify::WatchFlags::OPEN;
        rustix::fs::inotify::add_watch(&events, node.parent().unwrap(), watched).unwrap();
        assert_eq!(sandbox.call(request).code(), 0, "{kind}");
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = rustix::fs::inotify::Reader::new(&events, &mut buffer);
        while let Ok(event) = reader.next() {
            assert_ne!(event.file_name(), Some(c"ca-certificates.crt"), "{kind}: {event:?}");
        }
        assert!(!fs::symlink_metadata(&node).unwrap().is_file(), "{kind}");
    }
}

/// The step installs the same authority for good, as `update-ca-certificates` writes it.
#[test]
fn run_keeps_the_same_certificate_when_the_step_installs_it() {
    let Some(sandbox) = Sandbox::root() else { return };
    with_bundle(&sandbox);
    fs::write(sandbox.image().join("own.crt"), PEM).unwrap();
    let path = "/etc/ssl/certs/ca-certificates.crt";
    for (script, wanted) in [
        (format!("cat /own.crt >> {path}"), format!("of the image\n{PEM}")),
        (format!("(echo new; cat /own.crt) > {path}.new; mv {path}.new {path}"), format!("new\n{PEM}")),
    ] {
        let mut layers = [json!(null), json!(PEM)].map(|authority| {
            let mut request = sandbox.shell(&script);
            request["trustCa"] = authority;
            assert_eq!(sandbox.run(request).code(), 0, "{script}");
            fs::read_to_string(sandbox.upper().join(&path[1..])).unwrap()
        });
        layers.sort();
        assert_eq!(layers, [wanted.clone(), wanted], "{script}");
    }
}

#[test]
fn run_extends_the_bundles_of_every_distribution() {
    for (who, sandbox) in every() {
        for path in BUNDLES {
            let bundle = sandbox.image().join(path);
            fs::create_dir_all(bundle.parent().unwrap()).unwrap();
            fs::write(&bundle, "of the image").unwrap();
            for parent in bundle.ancestors().take_while(|dir| *dir != sandbox.image()) {
                sandbox.give_one(parent);
            }
            let mut request = sandbox.shell(&format!("grep -c Q0FOQVJZ /{path} $SSL_CERT_FILE; echo more >> /{path}"));
            request["trustCa"] = json!(PEM);
            assert_eq!(sandbox.run(request).ok(), format!("/{path}:1\n/dev/.tsbuild/ca.pem:1\n"), "{who:?}");
            let changed = fs::read_to_string(sandbox.upper().join(path)).unwrap();
            assert_eq!(changed, "of the imagemore\n", "{who:?} {path}");
            fs::remove_file(bundle).unwrap();
        }
    }
}

#[test]
fn run_leaves_what_is_no_bundle_alone() {
    let Some(sandbox) = Sandbox::root() else { return };
    let canary = sandbox.path("canary");
    fs::write(&canary, "of the host\n").unwrap();
    let sparse = |path: &std::path::Path| fs::File::create(path).unwrap().set_len(1 << 30).unwrap();
    type Make<'m> = &'m dyn Fn(&std::path::Path);
    let out = format!("../../../../../../../../../..{}", canary.display());
    let shapes: [(&str, Make<'_>); 6] = [
        ("symlink out", &|path| symlink(&canary, path).unwrap()),
        ("relative symlink out", &|path| symlink(&out, path).unwrap()),
        ("symlink loop", &|path| symlink(path.file_name().unwrap(), path).unwrap()),
        ("FIFO", &|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
        ("directory", &|path| fs::create_dir(path).unwrap()),
        ("1 GiB sparse", &sparse),
    ];
    for path in BUNDLES {
        let bundle = sandbox.image().join(path);
        fs::create_dir_all(bundle.parent().unwrap()).unwrap();
        for (shape, make) in shapes {
            make(&bundle);
            let mut request = sandbox.shell(&format!(
                "cat $SSL_CERT_FILE; stat -c %F /{path} >/dev/null; test ! -f /{path} || stat -c %s /{path}"
            ));
            request["trustCa"] = json!(PEM);
            let size = if shape == "1 GiB sparse" { "1073741824\n" } else { "" };
            assert_eq!(sandbox.run(request).ok(), format!("{BEGIN}{PEM}{END}{size}"), "{path}: {shape}");
            assert_eq!(tree(&sandbox.upper()), NOTHING, "{path}: {shape}");
            if shape == "directory" { fs::remove_dir(&bundle).unwrap() } else { fs::remove_file(&bundle).unwrap() }
        }
    }
    assert_eq!(fs::read_to_string(canary).unwrap(), "of the host\n");
}

/// A store in Java's own format without entries.
fn empty_store() -> Vec<u8> {
    let body = [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 0];
    let mut hash = Sha1::new();
    "changeit".encode_utf16().for_each(|unit| hash.update(unit.to_be_bytes()));
    hash.update(b"Mighty Aphrodite");
    hash.update(body);
    [body.as_slice(), &hash.finalize()].concat()
}

/// An image with a Java: its store is a link to the one of the distribution. Gives that.
fn with_java(sandbox: &Sandbox, store: &[u8]) -> std::path::PathBuf {
    let home = sandbox.image().join("usr/lib/jvm/java-17");
    fs::create_dir_all(home.join("bin")).unwrap();
    fs::create_dir_all(home.join("lib/security")).unwrap();
    fs::write(home.join("bin/keytool"), "").unwrap();
    symlink("/etc/ssl/certs/java/cacerts", home.join("lib/security/cacerts")).unwrap();
    let shared = sandbox.image().join("etc/ssl/certs/java/cacerts");
    fs::create_dir_all(shared.parent().unwrap()).unwrap();
    fs::write(&shared, store).unwrap();
    shared
}

const IN_JAVA: &str = "/usr/lib/jvm/java-17/lib/security/cacerts";

#[test]
fn run_covers_the_trust_store_of_java_for_the_step_only() {
    let Some(sandbox) = Sandbox::root() else { return };
    let store = with_java(&sandbox, &empty_store());
    let mut request = sandbox.shell(&format!("grep -c CANARY {IN_JAVA}; echo \"$JDK_JAVA_OPTIONS\""));
    request["trustCa"] = json!(PEM);
    assert_eq!(sandbox.run(request).ok(), "1\n\n");
    assert_eq!(tree(&sandbox.upper()), NOTHING);
    let in_upper = sandbox.upper().join("etc/ssl/certs/java/cacerts");
    for (script, wanted) in [
        ("chmod 600", empty_store()),
        ("cp -p /etc/ssl/certs/java/cacerts /copy; mv /copy", empty_store()),
        ("echo plain >", b"plain\n".to_vec()),
    ] {
        let mut request = sandbox.shell(&format!("{script} /etc/ssl/certs/java/cacerts"));
        request["trustCa"] = json!(PEM);
        assert_eq!(sandbox.run(request).code(), 0, "{script}");
        assert_eq!(fs::read(&in_upper).unwrap(), wanted, "{script}");
    }
    // Not to be read any more, and the names of the entries are still in it.
    let mut request = sandbox.shell("echo >> /etc/ssl/certs/java/cacerts");
    request["trustCa"] = json!(PEM);
    let done = sandbox.run(request);
    assert_eq!((done.error(), &done.last["kind"]), ("ERR_LAYER_UNREPRESENTABLE", &json!("user")), "{done:?}");
    assert_eq!(fs::read(store).unwrap(), empty_store());
}

#[test]
fn run_names_a_store_of_its_own_where_the_image_has_one_of_another_format() {
    let Some(sandbox) = Sandbox::root() else { return };
    with_java(&sandbox, b"0 PKCS #12");
    let script = format!("cat {IN_JAVA}; echo; echo $JDK_JAVA_OPTIONS; grep -c CANARY /dev/.tsbuild/cacerts");
    let run = |env: serde_json::Value| {
        let mut request = sandbox.shell(&script);
        request["trustCa"] = json!(PEM);
        request["env"] = env;
        let done = sandbox.run(request);
        assert_eq!(tree(&sandbox.upper()), NOTHING);
        done.stdout
    };
    // Without certificates of the image a store would take away what Java trusts.
    assert_eq!(run(json!(["PATH=/bin"])), "0 PKCS #12\n\n");
    with_bundle(&sandbox);
    let option = "-Djavax.net.ssl.trustStore=/dev/.tsbuild/cacerts";
    assert_eq!(run(json!(["PATH=/bin"])), format!("0 PKCS #12\n{option}\n1\n"));
    assert_eq!(run(json!(["PATH=/bin", "JDK_JAVA_OPTIONS=-Dx"])), "0 PKCS #12\n-Dx\n1\n");
}

#[test]
fn run_leaves_trust_stores_alone_without_keytool_and_in_hostile_shapes() {
    let Some(sandbox) = Sandbox::root() else { return };
    let store = with_java(&sandbox, &empty_store());
    let check = |wanted: &str, shape: &str| {
        let mut request = sandbox.shell(&format!("test ! -f {IN_JAVA} || wc -c < {IN_JAVA}"));
        request["trustCa"] = json!(PEM);
        assert_eq!(sandbox.run(request).ok(), wanted, "{shape}");
        assert_eq!(tree(&sandbox.upper()), NOTHING, "{shape}");
    };
    fs::File::options().write(true).open(&store).unwrap().set_len(1 << 30).unwrap();
    check("1073741824\n", "1 GiB sparse");
    fs::remove_file(&store).unwrap();
    assert!(Command::new("mkfifo").arg(&store).status().unwrap().success());
    check("", "FIFO");
    fs::remove_file(&store).unwrap();
    let canary = sandbox.path("canary");
    fs::write(&canary, empty_store()).unwrap();
    symlink(&canary, &store).unwrap();
    check("", "symlink out");
    fs::remove_file(&store).unwrap();
    fs::write(&store, empty_store()).unwrap();
    fs::remove_file(sandbox.image().join("usr/lib/jvm/java-17/bin/keytool")).unwrap();
    check("32\n", "no keytool");
    assert_eq!(fs::read(canary).unwrap(), empty_store());
}
