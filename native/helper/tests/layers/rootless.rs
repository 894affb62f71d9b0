//! The same as an ordinary user, in a user namespace with a single id.

use super::fixture::*;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const USER: &str = "65534";

/// Sends a request as an ordinary user. `None` where this machine allows no user namespace.
fn send(place: &Place, request: &Value, bulk: &str) -> Option<Said> {
    let one = json!([{"inside": 0, "outside": 65534, "length": 1}]);
    let envelope_value =
        json!({"protocol": 1, "idMap": {"uids": one, "gids": one}, "joinUserNamespace": false, "request": request});
    let said = envelope(
        &envelope_value,
        &place.path(bulk),
        &["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--inh-caps=-all"],
    );
    let message = said.last["message"].as_str().unwrap_or_default();
    if said.last["event"] == "error" && message.contains("unshare(") {
        skip(&format!("needs user namespaces: {message}"));
        return None;
    }
    Some(said)
}

/// A place that belongs to the ordinary user, with a copy of the helper's input open to it.
fn place() -> Place {
    let place = Place::new();
    std::fs::set_permissions(place.path(""), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::os::unix::fs::chown(place.path("target"), Some(65534), Some(65534)).unwrap();
    place
}

fn apply(place: &Place, items: &[Item], lower: &[&str]) -> Option<Said> {
    let archive = tar(items);
    std::fs::write(place.path("blob"), &archive).unwrap();
    std::fs::set_permissions(place.path("blob"), std::fs::Permissions::from_mode(0o666)).unwrap();
    send(place, &place.request(&archive, "none", lower), "blob")
}

#[test]
fn rootless_apply_and_diff_round_trip() {
    if !is_root() {
        return;
    }
    let place = place();
    let items = [
        dir("d").mode(0o700),
        file("d/f", "x").mode(0o4755).pax("SCHILY.xattr.user.a", "1"),
        hardlink("d/h", "d/f"),
        symlink("l", "d"),
        fifo("p"),
    ];
    let Some(said) = apply(&place, &items, &[]) else { return };
    said.result();
    let stat = shell(&place.path("target"), "stat -c '%n %a %u' d d/f p");
    assert_eq!(stat, "d 700 65534\nd/f 4755 65534\np 600 65534\n");
    std::fs::write(place.path("out"), "").unwrap();
    std::fs::set_permissions(place.path("out"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let request = json!({"op": "diff", "upper": place.text("target"), "form": {"compression": {"format": "none", "level": 0}, "clampMtime": null}});
    send(&place, &request, "out").unwrap().result();
    let script = "import sys, tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name, oct(m.mode), m.uid, m.gid)";
    let listing = python(script, &[&place.text("out")]);
    assert_eq!(listing, "d 0o700 0 0\nd/f 0o4755 0 0\nd/h 0o4755 0 0\nl 0o777 0 0\np 0o600 0 0\n");
}

#[test]
fn rootless_apply_marks_with_user_attributes() {
    if !is_root() {
        return;
    }
    let place = place();
    shell(&place.path(""), "mkdir -p lower/d; touch lower/gone lower/d/f; chown -R 65534:65534 lower");
    let Some(said) = apply(&place, &[file("d/.wh..wh..opq", ""), file(".wh.gone", "")], &["lower"]) else { return };
    said.result();
    let got = python(
        "import os, sys; os.chdir(sys.argv[1]); print(os.listxattr('d'), oct(os.lstat('gone').st_mode), os.lstat('gone').st_rdev)",
        &[&place.text("target")],
    );
    assert_eq!(got, "['user.overlay.opaque'] 0o20000 0\n");
}

#[test]
fn rootless_apply_refuses_devices_and_unknown_owners() {
    if !is_root() {
        return;
    }
    let Some(said) = apply(&place(), &[device("null", 1, 3)], &[]) else { return };
    assert_eq!(said.code(), "ERR_LAYER_DEVICE_ROOTLESS");
    assert!(said.last["message"].as_str().unwrap().contains("null"));
    let Some(said) = apply(&place(), &[file("f", "").ids(1000, 0)], &[]) else { return };
    assert_eq!(said.code(), "ERR_ROOTLESS_IDMAP");
    assert!(said.last["message"].as_str().unwrap().contains("/etc/subuid"));
}
