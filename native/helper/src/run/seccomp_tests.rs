//! The filter, run as the kernel would, and the page that lists it.

use super::*;

/// Runs the program as the kernel would, for one call.
fn verdict(program: &[sock_filter], arch: u32, number: u32, argument: u64) -> u32 {
    let mut data = [0_u8; 64];
    data[0..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    data[16..24].copy_from_slice(&argument.to_le_bytes());
    let (mut at, mut value) = (0, 0_u32);
    loop {
        let instruction = program[at];
        let k = instruction.k;
        at += 1;
        let (jt, jf) = (usize::from(instruction.jt), usize::from(instruction.jf));
        match u32::from(instruction.code) {
            code if code == BPF_LD | BPF_W | BPF_ABS => {
                let from = k as usize;
                value = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
            }
            code if code == BPF_JMP | BPF_JA => at += k as usize,
            code if code == BPF_JMP | BPF_JEQ | BPF_K => at += if value == k { jt } else { jf },
            code if code == BPF_JMP | BPF_JGT | BPF_K => at += if value > k { jt } else { jf },
            code if code == BPF_JMP | BPF_JGE | BPF_K => at += if value >= k { jt } else { jf },
            code if code == BPF_JMP | BPF_JSET | BPF_K => at += if value & k != 0 { jt } else { jf },
            code if code == BPF_RET | BPF_K => return k,
            code => panic!("instruction {code:#x}"),
        }
    }
}

const ALLOWED_VERDICT: u32 = SECCOMP_RET_ALLOW;
const EPERM: u32 = SECCOMP_RET_ERRNO | 1;
const ENOSYS: u32 = SECCOMP_RET_ERRNO | 38;

#[test]
fn filter_gives_every_number_the_verdict_of_the_list() {
    let program = filter(Security::Sandbox).unwrap();
    assert!(program.len() < 4096);
    let conditional: Vec<u32> = CONDITIONAL.iter().map(|(number, _)| narrow(*number)).collect();
    for number in (0..600).filter(|number| !conditional.contains(number)) {
        let wanted = match number {
            _ if ALLOWED.contains(&c_long::from(number)) => ALLOWED_VERDICT,
            0..=NEWEST => EPERM,
            _ => ENOSYS,
        };
        assert_eq!(verdict(&program, ARCH, number, 0), wanted, "{number}");
    }
}

#[test]
fn filter_looks_at_the_first_argument_where_it_decides() {
    let program = filter(Security::Sandbox).unwrap();
    let row = |number: c_long, argument: u64| verdict(&program, ARCH, narrow(number), argument);
    for bit in 0..32_u32 {
        let namespace = CLONE_NAMESPACES & (1 << bit) != 0;
        let wanted = if namespace { EPERM } else { ALLOWED_VERDICT };
        assert_eq!(row(libc::SYS_clone, 1 << bit), wanted, "clone flag {bit}");
    }
    for family in 0..64 {
        let refused = REFUSED_FAMILIES.contains(&family) || family > NEWEST_FAMILY;
        let wanted = if refused { EPERM } else { ALLOWED_VERDICT };
        let family = u64::from(family);
        assert_eq!(row(libc::SYS_socket, family), wanted, "family {family}");
    }
    // The kernel takes the family as a 32-bit value, so the upper half must not hide it.
    assert_eq!(row(libc::SYS_socket, (1 << 32) | 38), EPERM);
    for (persona, wanted) in [(0, ALLOWED_VERDICT), (8, ALLOWED_VERDICT), (0xffff_ffff, ALLOWED_VERDICT), (1, EPERM)] {
        assert_eq!(row(libc::SYS_personality, persona), wanted, "{persona:#x}");
    }
    assert_eq!(row(libc::SYS_clone3, 0), ENOSYS);
}

#[test]
fn filter_refuses_other_architectures() {
    let program = filter(Security::Sandbox).unwrap();
    assert_eq!(verdict(&program, 0x4000_0003, narrow(libc::SYS_read), 0), ENOSYS);
    assert_eq!(verdict(&program, ARCH, 0x4000_0000, 0), ENOSYS);
}

/// What a call gives, as the page says it.
fn word(program: &[sock_filter], number: u32) -> &'static str {
    if CONDITIONAL.iter().any(|(conditional, check)| narrow(*conditional) == number && *check != Check::Missing) {
        return "by argument";
    }
    match verdict(program, ARCH, number, 0) {
        ALLOWED_VERDICT => "allowed",
        EPERM => "EPERM",
        ENOSYS => "ENOSYS",
        other => panic!("{number} gives {other:#x}"),
    }
}

fn page() -> String {
    let programs = [Security::Sandbox, Security::Minimal].map(|security| filter(security).unwrap());
    let names: Vec<(u32, &str)> = include_str!("seccomp_names.txt")
        .lines()
        .map(|line| line.split_once(' ').map(|(number, name)| (number.parse().unwrap(), name)).unwrap())
        .collect();
    let allowed = |program| names.iter().filter(|(number, _)| word(program, *number) != "EPERM").count() - 1;
    let list = |values: &[u32]| values.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let hex = PERSONALITIES.map(|value| format!("`{value:#x}`")).join(", ");
    let mut text = format!(
        "# System calls of a step\n\n\
         Generated from `native/helper/src/run/seccomp.rs` by its tests (`UPDATE_GOLDEN=1 cargo test seccomp`); do not edit.\n\n\
         Of {} calls that the list knows, {} are allowed in a step, {} with `--security=minimal`. A step with\n\
         `--security=insecure` has no filter. The list is that of Docker's default profile for the same capabilities.\n\
         Newer kernels ask no filter about `uretprobe` and `uprobe`.\n\n\
         | call | argument | gives |\n| --- | --- | --- |\n\
         | `clone` | a flag of `{CLONE_NAMESPACES:#x}`: any new namespace | EPERM |\n\
         | `socket` | the families {}, and any above {NEWEST_FAMILY} | EPERM |\n\
         | `personality` | anything but {hex} | EPERM |\n\
         | any number above {NEWEST}, x32 and 32-bit calls | | ENOSYS |\n\n\
         | number | call | sandbox | minimal |\n| ---: | --- | --- | --- |\n",
        names.len(),
        allowed(&programs[0]),
        allowed(&programs[1]),
        list(&REFUSED_FAMILIES),
    );
    for (number, name) in &names {
        let words = programs.each_ref().map(|program| word(program, *number));
        text.push_str(&format!("| {number} | `{name}` | {} | {} |\n", words[0], words[1]));
    }
    text
}

#[test]
fn docs_reference_seccomp_md_is_what_the_table_gives() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/seccomp.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap() == page(), "run \"UPDATE_GOLDEN=1 cargo test seccomp\"");
}

#[test]
fn every_allowed_number_has_a_name_and_none_is_above_the_newest() {
    let names = include_str!("seccomp_names.txt");
    for number in ALLOWED {
        assert!(narrow(*number) <= NEWEST);
        assert!(names.lines().any(|line| line.split(' ').next() == Some(&number.to_string())), "{number}");
    }
}
