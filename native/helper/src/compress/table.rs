//! The table of contents of an estargz.

use crate::error::{Failure, Fallible};
use crate::protocol::Reply;
use crate::quote::quote;
use crate::tar::{Entry, Kind};
use base64::Engine as _;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// One row: a file, or a further chunk of one. Members are left out where they are empty, as the format has it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    modtime: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    link_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_minor: Option<u32>,
    /// Values in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    /// Of the whole content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    /// Of the member that the chunk begins; known once that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) chunk_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) chunk_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunk_digest: Option<String>,
    /// The number of the member, counted from 0.
    #[serde(skip)]
    pub(super) member: Option<usize>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Row {
    /// What a tar entry says. A name that is no UTF-8 cannot be told in JSON: the tar has it, and a warning says so.
    pub(super) fn of(entry: &Entry) -> Self {
        let name = text(&entry.path);
        if name.as_bytes() != entry.path {
            let (code, path) = ("WARN_ESTARGZ_NAME".to_owned(), quote(&entry.path));
            let message = format!("{path} has another name to those who read the layer lazily: it is no UTF-8");
            crate::report(&Reply::Warning { code, message });
        }
        let device = matches!(entry.kind, Kind::Character | Kind::Block).then_some(entry.device);
        let encode = |value: &Vec<u8>| base64::engine::general_purpose::STANDARD.encode(value);
        Self {
            name,
            kind: match entry.kind {
                Kind::Regular => "reg",
                Kind::Hardlink => "hardlink",
                Kind::Symlink => "symlink",
                Kind::Character => "char",
                Kind::Block => "block",
                Kind::Directory => "dir",
                Kind::Fifo => "fifo",
            },
            size: entry.size,
            modtime: time(entry.mtime.seconds),
            link_name: text(&entry.link),
            mode: Some(entry.mode),
            uid: Some(entry.uid),
            gid: Some(entry.gid),
            dev_major: device.map(|(major, _)| major),
            dev_minor: device.map(|(_, minor)| minor),
            xattrs: entry.xattrs.iter().map(|(name, value)| (text(name), encode(value))).collect(),
            ..Self::default()
        }
    }

    /// A further chunk of a file.
    pub(super) fn chunk(file: &Self) -> Self {
        Self { name: file.name.clone(), kind: "chunk", ..Self::default() }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// RFC 3339 in UTC. `None`, which means "unknown", for 1970 itself and for years that have not four digits.
fn time(unix: i64) -> Option<String> {
    let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (unix != 0 && (0..=9999).contains(&year))
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// The Gregorian date of a day since 1970-01-01. Years are counted from March, so that the leap day ends one.
fn date(days: i64) -> (i64, i64, i64) {
    // 0000-03-01 is 719,468 days before 1970; 400 years have 146,097 days.
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months have 153 days, from March on.
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    let calendar = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(calendar <= 2), calendar, day - first + 1)
}

/// The rows, turned into text as soon as their places are known.
#[derive(Debug, Default)]
pub(super) struct Table {
    waiting: VecDeque<Row>,
    text: Vec<u8>,
}

impl Table {
    /// Adds a row. `starts` are the places of the members written so far.
    pub(super) fn push(&mut self, row: Row, starts: &[u64]) {
        self.waiting.push_back(row);
        self.settle(starts);
    }

    /// The JSON text.
    pub(super) fn finish(mut self, starts: &[u64]) -> Fallible<Vec<u8>> {
        self.settle(starts);
        if !self.waiting.is_empty() {
            return Err(Failure::internal("a file of an estargz has no member"));
        }
        Ok([br#"{"version":1,"entries":["#, &self.text[..], b"]}"].concat())
    }

    fn settle(&mut self, starts: &[u64]) {
        while let Some(row) = self.waiting.front_mut() {
            if let Some(member) = row.member {
                let Some(&start) = starts.get(member) else { return };
                row.offset = Some(start);
            }
            if !self.text.is_empty() {
                self.text.push(b',');
            }
            // A struct of texts and numbers always has a JSON form.
            let _ = serde_json::to_writer(&mut self.text, row);
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn time_is_rfc_3339() {
        let known = [
            (1, "1970-01-01T00:00:01Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ];
        for (unix, text) in known {
            assert_eq!(time(unix).as_deref(), Some(text));
        }
        assert_eq!([time(0), time(253_402_300_800), time(i64::MAX), time(i64::MIN)], [None, None, None, None]);
    }
}
