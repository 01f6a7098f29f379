//! Reads what the recorder wrote.

use std::{fs, path::Path};

/// One disk call.
#[derive(Clone, Debug)]
pub enum Call {
    Open {
        fd: u32,
        path: String,
        created: bool,
        truncated: bool,
        directory: bool,
    },
    Write {
        fd: u32,
        offset: u64,
        data: Vec<u8>,
    },
    Truncate {
        fd: u32,
        size: u64,
    },
    SyncBegins {
        fd: u32,
        token: u64,
    },
    SyncEnded {
        token: u64,
    },
    Unlink {
        path: String,
    },
    Rename {
        old: String,
        new: String,
    },
}

/// All calls, in the order in which they took effect.
pub fn read(path: &Path) -> Vec<Call> {
    let octets = fs::read(path).unwrap();
    let mut rest = &octets[..];
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(24);
        let fd = u32::from_ne_bytes(head[4..8].try_into().unwrap());
        let number = u64::from_ne_bytes(head[8..16].try_into().unwrap());
        let length = u64::from_ne_bytes(head[16..24].try_into().unwrap());
        let (data, tail) = tail.split_at(length as usize);
        rest = tail;
        calls.push(call(head[0], fd, number, data));
    }
    calls
}

fn call(op: u8, fd: u32, number: u64, data: &[u8]) -> Call {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    match op {
        b'O' => Call::Open {
            fd,
            path: text(data),
            created: number & 1 != 0,
            truncated: number & 2 != 0,
            directory: number & 4 != 0,
        },
        b'W' => Call::Write {
            fd,
            offset: number,
            data: data.to_vec(),
        },
        b'T' => Call::Truncate { fd, size: number },
        b'S' => Call::SyncBegins { fd, token: number },
        b'E' => Call::SyncEnded { token: number },
        b'U' => Call::Unlink { path: text(data) },
        b'R' => {
            let end = data.iter().position(|octet| *octet == 0).unwrap();
            Call::Rename {
                old: text(&data[..end]),
                new: text(&data[end + 1..]),
            }
        }
        other => panic!("unknown record {other}"),
    }
}
