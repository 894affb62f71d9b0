//! The interpreters of foreign programs that are registered with binfmt_misc.

use crate::protocol::Interpreter;
use std::fs;
use std::path::Path;

/// Where binfmt_misc is mounted.
const PLACE: &str = "/proc/sys/fs/binfmt_misc";

/// Those that are switched on, by name; none where the file system is not mounted.
pub(super) fn registered() -> Vec<Interpreter> {
    registered_in(Path::new(PLACE))
}

fn registered_in(place: &Path) -> Vec<Interpreter> {
    // `status` switches all of them.
    if !fs::read_to_string(place.join("status")).is_ok_and(|status| status.trim() == "enabled") {
        return Vec::new();
    }
    let names =
        fs::read_dir(place).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<Interpreter> = names
        .filter(|name| name != "status" && name != "register")
        .filter_map(|name| parse(&fs::read_to_string(place.join(&name)).ok()?, name))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Reads an entry: `enabled`, then lines such as `interpreter /usr/bin/qemu-aarch64-static` and `flags: OCF`.
fn parse(text: &str, name: String) -> Option<Interpreter> {
    let mut lines = text.lines();
    if lines.next() != Some("enabled") {
        return None;
    }
    let rest: Vec<&str> = lines.collect();
    let value = |key: &str| rest.iter().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let path = value("interpreter ")?.to_owned();
    Some(Interpreter { name, path, fixed: value("flags:").is_some_and(|flags| flags.contains('F')) })
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    const ENTRY: &str =
        "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\nmagic 7f45\nmask ffff\n";

    fn of(text: &str) -> Option<Interpreter> {
        parse(text, "qemu-aarch64".into())
    }

    #[test]
    fn an_entry_is_read_with_its_flag() {
        let path = "/usr/bin/qemu-aarch64-static".to_owned();
        let found = Interpreter { name: "qemu-aarch64".into(), path, fixed: true };
        assert_eq!(of(ENTRY), Some(found));
        assert!(!of(&ENTRY.replace("OCF", "OC")).expect("an entry").fixed);
        assert!(!of(&ENTRY.replace("flags: OCF\n", "")).expect("an entry").fixed);
    }

    #[test]
    fn what_is_switched_off_or_no_entry_is_left_out() {
        for text in ["", "disabled\ninterpreter /x\nflags: F\n", "enabled\n", &ENTRY.replace("enabled", "disabled")] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_directory_gives_its_entries_in_order_unless_all_are_switched_off() {
        let place = std::env::temp_dir().join(format!("tsbuild-interpreters-{}", std::process::id()));
        fs::create_dir_all(&place).expect("a directory");
        for (name, text) in [("status", "enabled\n"), ("register", ""), ("qemu-s390x", ENTRY), ("qemu-arm", ENTRY)] {
            fs::write(place.join(name), text).expect("a file");
        }
        let names: Vec<String> = registered_in(&place).into_iter().map(|found| found.name).collect();
        fs::write(place.join("status"), "disabled\n").expect("a file");
        let off = registered_in(&place);
        fs::remove_dir_all(&place).expect("the directory");
        assert_eq!(names, ["qemu-arm", "qemu-s390x"]);
        assert_eq!(off, []);
        assert_eq!(registered_in(Path::new("/nonexistent")), []);
    }
}
