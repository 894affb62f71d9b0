//! A snapshot that archives are added to.

use crate::files_support::{Bench, call_in_shell, call_lines, copy_action, listing, with};
use serde_json::{Value, json};
use std::io::Write;

pub use crate::files_support::{can_mount, expect_error, expect_result, plant};
pub use crate::tar_support::*;

/// A context, an image and what ADD makes of them.
pub struct Add {
    pub bench: Bench,
    pub action: Value,
}

impl Add {
    /// ADD of these sources; the image has these entries.
    pub fn of(lower: &[&str], sources: &[&str], dest: &str) -> Self {
        let bench = Bench::new().lower(lower);
        let action = with(copy_action(bench.directory(&[]), sources, dest), "unpack", json!(true));
        Self { bench, action }
    }

    /// ADD of one archive of these entries.
    pub fn tar(lower: &[&str], items: &[Item], dest: &str) -> Self {
        Self::of(lower, &["a.tar"], dest).file("a.tar", &tar(items))
    }

    /// Puts a file into the context.
    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.bench.path("context").join(name), bytes).unwrap();
        self
    }

    pub fn with(self, field: &str, value: Value) -> Self {
        Self { action: with(self.action, field, value), ..self }
    }

    /// The request, for a new run.
    pub fn request(&self) -> Value {
        let work = self.bench.path("work");
        let _ = std::fs::remove_dir_all(&work);
        std::fs::create_dir(work).unwrap();
        self.bench.copy_request(std::slice::from_ref(&self.action))
    }

    /// All lines of the answer; the host must be as it was.
    pub fn run(&self) -> (Vec<Value>, Value) {
        let answer = call_lines(&self.request());
        self.bench.check_host();
        answer
    }

    /// The last line of the answer when a shell starts the helper.
    pub fn run_in_shell(&self, script: &str) -> Value {
        call_in_shell(script, &self.request()).1
    }

    /// The whole file system after it.
    pub fn merged(&self) -> Vec<String> {
        expect_result(self.run().1);
        let _ = std::fs::remove_dir_all(self.bench.path("merged"));
        self.bench.merged()
    }

    /// What it changed.
    pub fn changes(&self) -> Vec<String> {
        expect_result(self.run().1);
        listing(&self.bench.path("upper"))
    }

    /// The message of the error with this code, which must be the user's.
    pub fn error(&self, code: &str) -> String {
        let reply = self.run().1;
        expect_error(&reply, code);
        assert_eq!(reply["kind"], "user", "{reply}");
        let message = reply["message"].as_str().unwrap().to_owned();
        let host = self.bench.path("");
        assert!(!message.contains(host.to_str().unwrap()), "a host path leaks: {message}");
        message
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A compressor, and the suffix that its files have.
pub type Compression = (&'static str, fn(&[u8]) -> Vec<u8>);

/// Every compression; the first is none.
pub fn compressions() -> [Compression; 5] {
    [("tar", <[u8]>::to_vec), ("gz", gzip), ("bz2", bzip2), ("xz", xz), ("zst", zstd)]
}

/// Text that does not compress well, the same on every machine.
pub fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + (state >> 58) as u8)
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}
