//! Why a file that exists cannot be executed: what its first bytes say.

use crate::error::{Failure, Fallible};
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What the kernel reads of a script's first line.
const LINE_BYTES: u64 = 256;
/// Interpreters that are scripts themselves: the kernel's own limit is five.
const MAX_SCRIPTS: usize = 5;
/// More program headers than any program has.
const MAX_HEADERS: u16 = 128;
/// `PT_INTERP`.
const INTERPRETER: u32 = 3;
/// Machine numbers of ELF, with the names that platforms have.
const MACHINES: [(u16, &str); 9] = [
    (3, "386"),
    (8, "mips64le"),
    (20, "ppc"),
    (21, "ppc64le"),
    (22, "s390x"),
    (40, "arm"),
    (62, "amd64"),
    (183, "arm64"),
    (243, "riscv64"),
];
#[cfg(target_arch = "x86_64")]
const OWN_MACHINE: u16 = 62;

/// What the first bytes of a file make it.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    /// A script with the program that its first line names.
    Script(PathBuf),
    /// An ELF file for this machine number.
    Elf(u16),
    /// Neither, or not readable.
    Other,
}

/// The text for an execve that gave ENOENT although the file is there.
pub(crate) fn missing(path: &CStr) -> String {
    let mut file = as_path(path);
    for _ in 0..MAX_SCRIPTS {
        let Format::Script(interpreter) = format_of(&file) else { break };
        if !interpreter.exists() {
            return format!("the first line of {file:?} names the interpreter {interpreter:?}, which does not exist");
        }
        file = interpreter;
    }
    match loader(&file) {
        Some(loader) => format!("{file:?} needs the loader {loader:?}, which does not exist"),
        None => format!("{file:?} exists, but the interpreter or loader that it names does not"),
    }
}

/// The text for an execve that gave ENOEXEC.
///
/// # Errors
/// `ERR_STEP_PLATFORM` for a program of another machine.
pub(crate) fn format(path: &CStr) -> Fallible<String> {
    let mut file = as_path(path);
    for _ in 0..MAX_SCRIPTS {
        match format_of(&file) {
            Format::Script(interpreter) => file = interpreter,
            Format::Elf(machine) if machine != OWN_MACHINE => return Err(other_machine(&file, machine)),
            Format::Elf(_) => break,
            Format::Other if std::fs::metadata(&file).is_ok_and(|meta| meta.len() == 0) => {
                return Ok(format!("exec format error: {file:?} is empty"));
            }
            Format::Other => {
                return Ok(format!("exec format error: {file:?} is no program, and no script with a \"#!\" line"));
            }
        }
    }
    Ok(format!("exec format error: {file:?} is damaged"))
}

fn other_machine(file: &Path, machine: u16) -> Failure {
    let name = MACHINES.iter().find(|(number, _)| *number == machine).map(|(_, name)| (*name).to_owned());
    let name = name.unwrap_or_else(|| format!("a machine of ELF number {machine}"));
    let text = format!(
        "the program {file:?} is for {name}; this machine has no interpreter for it registered with binfmt_misc"
    );
    Failure::environment("ERR_STEP_PLATFORM", text)
}

fn as_path(path: &CStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}

fn format_of(path: &Path) -> Format {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LINE_BYTES).read_to_end(&mut head));
    match (read, head.as_slice()) {
        (Err(_), _) => Format::Other,
        (_, [b'#', b'!', line @ ..]) => {
            let end = line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len());
            let mut words = line.get(..end).unwrap_or_default().split(|byte| matches!(byte, b' ' | b'\t'));
            match words.find(|word| !word.is_empty()) {
                Some(word) => Format::Script(PathBuf::from(OsStr::from_bytes(word))),
                None => Format::Other,
            }
        }
        (_, [0x7f, b'E', b'L', b'F', _, order, ..]) => match head.get(18..20) {
            Some(&[low, high]) if *order == 2 => Format::Elf(u16::from_be_bytes([low, high])),
            Some(&[low, high]) => Format::Elf(u16::from_le_bytes([low, high])),
            _ => Format::Other,
        },
        _ => Format::Other,
    }
}

/// The loader that a 64-bit program of this machine names.
fn loader(path: &Path) -> Option<PathBuf> {
    let file = File::open(path).ok()?;
    let mut head = [0_u8; 64];
    file.read_exact_at(&mut head, 0).ok()?;
    let half = |bytes: &[u8], at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    if head.get(..5) != Some(b"\x7fELF\x02") || half(&head, 18)? != OWN_MACHINE {
        return None;
    }
    let (table, size) = (word(&head, 32)?, u64::from(half(&head, 54)?));
    for index in 0..half(&head, 56)?.min(MAX_HEADERS) {
        let mut header = [0_u8; 56];
        file.read_exact_at(&mut header, table.checked_add(u64::from(index) * size)?).ok()?;
        if header.get(..4) != Some(&INTERPRETER.to_le_bytes()[..]) {
            continue;
        }
        let length = usize::try_from(word(&header, 32)?).ok()?.min(4096);
        let mut name = vec![0_u8; length];
        file.read_exact_at(&mut name, word(&header, 8)?).ok()?;
        name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(length));
        return Some(PathBuf::from(OsStr::from_bytes(&name)));
    }
    None
}
