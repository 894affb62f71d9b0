HEAD
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
    assert_eq!(done.stdout, format!("of the image\n\n{PEM}same\n7\n/mine\n"));
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
    assert_eq!(sandbox.run(request).ok(), format!("\n{PEM}444 0\n0\n"));
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
