//! Archives made by hand.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

/// One entry of an archive, written without any check.
#[derive(Clone)]
pub struct Item {
    pub kind: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub data: Vec<u8>,
    pub mode: u32,
    pub ids: (u32, u32),
    pub mtime: u64,
    pub device: (u32, u32),
    pub pax: Vec<(String, Vec<u8>)>,
}

fn item(kind: u8, name: impl AsRef<[u8]>, link: &str, data: &[u8], mode: u32) -> Item {
    Item {
        kind,
        name: name.as_ref().to_vec(),
        link: link.into(),
        data: data.to_vec(),
        mode,
        ids: (0, 0),
        mtime: 1_600_000_000,
        device: (0, 0),
        pax: Vec::new(),
    }
}

pub fn file(name: impl AsRef<[u8]>, data: &str) -> Item {
    item(b'0', name, "", data.as_bytes(), 0o644)
}

pub fn dir(name: impl AsRef<[u8]>) -> Item {
    item(b'5', name, "", b"", 0o755)
}

pub fn symlink(name: impl AsRef<[u8]>, target: &str) -> Item {
    item(b'2', name, target, b"", 0o777)
}

pub fn hardlink(name: impl AsRef<[u8]>, target: &str) -> Item {
    item(b'1', name, target, b"", 0o644)
}

pub fn fifo(name: impl AsRef<[u8]>) -> Item {
    item(b'6', name, "", b"", 0o600)
}

pub fn device(name: impl AsRef<[u8]>, major: u32, minor: u32) -> Item {
    Item { device: (major, minor), ..item(b'3', name, "", b"", 0o600) }
}

impl Item {
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub fn ids(self, uid: u32, gid: u32) -> Self {
        Self { ids: (uid, gid), ..self }
    }

    pub fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.pax.is_empty() {
            let records: Vec<u8> = self.pax.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
            out.extend(header(&item(b'x', "pax", "", b"", 0o644), records.len()));
            out.extend(&records);
            pad(&mut out);
        }
        out.extend(header(self, self.data.len()));
        out.extend(&self.data);
        pad(&mut out);
        out
    }
}

pub fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let digits = (1..).find(|digits| (rest.len() + digits).to_string().len() == *digits).unwrap();
    [(rest.len() + digits).to_string().into_bytes(), rest].concat()
}

/// A header block whose checksum is right.
pub fn header(item: &Item, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &item.name[..item.name.len().min(100)]);
    put(100, format!("{:07o}", item.mode).as_bytes());
    put(108, format!("{:07o}", item.ids.0).as_bytes());
    put(116, format!("{:07o}", item.ids.1).as_bytes());
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{:011o}", item.mtime).as_bytes());
    put(156, &[item.kind]);
    put(157, &item.link);
    put(257, b"ustar\x0000");
    put(329, format!("{:07o}", item.device.0).as_bytes());
    put(337, format!("{:07o}", item.device.1).as_bytes());
    checksum(&mut block);
    block
}

/// Makes the checksum of a changed header right again.
pub fn checksum(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block[..512].iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(512), 0);
}

/// An archive with its two zero blocks.
pub fn tar(items: &[Item]) -> Vec<u8> {
    let mut out: Vec<u8> = items.iter().flat_map(Item::bytes).collect();
    out.extend([0; 1024]);
    out
}
