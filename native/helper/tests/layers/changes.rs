//! The oracle of all layers: random changes on an overlay and on a plain copy; the overlay's layer, applied to the same
//! base, must give what the plain copy has (spec/reliability.md, FS-10).

use super::fixture::*;

/// `TSBUILD_TREE_DIFFS` sequences from `TSBUILD_TREE_DIFF_SEED` on. A failure prints its seed, and the fewest operations that
/// still fail.
#[test]
fn layers_hold_exactly_what_changed() {
    if !is_root() {
        return;
    }
    let given = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seed, count) = (given("TSBUILD_TREE_DIFF_SEED", 0), given("TSBUILD_TREE_DIFFS", 300));
    let place = Place::new();
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/layers/tree_diff.py");
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/conformance/layers/programs");
    // Two at a time: most of it is waiting for the helper.
    let half = count / 2;
    let children = [(seed, half), (seed + half, count - half)].map(|(first, count)| {
        let work = place.text(&format!("work{first}"));
        std::fs::create_dir(&work).unwrap();
        std::process::Command::new("unshare")
            .args(["--mount", "python3", "-B", tests, crate::program::HELPER, programs, &work])
            .args([first.to_string(), count.to_string()])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    let said: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let numbers = said.iter().map(|one| {
        let (out, err) = (String::from_utf8_lossy(&one.stdout), String::from_utf8_lossy(&one.stderr));
        assert!(one.status.success(), "{out}{err}");
        out.trim().parse::<u64>().unwrap()
    });
    assert_eq!(numbers.sum::<u64>(), count);
}
