//! A file system whose server does not answer until it is told to.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Mounted by hand: there is no server but this.
pub(crate) struct Silent {
    device: File,
}

/// What it says of itself once it answers.
pub(crate) const BLOCKS: u64 = 1000;
pub(crate) const BLOCK_SIZE: u32 = 512;

/// Of linux/fuse.h.
const STATFS: u32 = 17;
const INIT: u32 = 26;
const REQUEST_HEADER: usize = 40;
const NO_SUCH_CALL: i32 = -38;

impl Silent {
    /// Nothing where the machine has no FUSE.
    pub(crate) fn mount(at: &Path) -> Option<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        // Standard input becomes the connection of the mount.
        let status = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "silent"])
            .arg(at)
            .stdin(Stdio::from(device.try_clone().unwrap()))
            .status()
            .unwrap();
        status.success().then_some(Self { device })
    }

    /// Answers from now on, until the file system is unmounted; what asked before is answered too.
    pub(crate) fn answer(mut self) {
        std::thread::spawn(move || {
            let mut request = vec![0; 256 * 1024];
            while let Ok(length) = self.device.read(&mut request) {
                assert!(length >= REQUEST_HEADER, "{length}");
                let number = |at: usize| u32::from_ne_bytes(*request[at..].first_chunk().unwrap());
                let unique = &request[8..16];
                let reply = match number(4) {
                    INIT => reply(unique, 0, &init(number(REQUEST_HEADER + 4))),
                    STATFS => reply(unique, 0, &statfs()),
                    _ => reply(unique, NO_SUCH_CALL, &[]),
                };
                // A caller that was killed does not wait any more.
                let _ = self.device.write(&reply);
            }
        });
    }
}

fn reply(unique: &[u8], error: i32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    [&length.to_ne_bytes()[..], &error.to_ne_bytes(), unique, body].concat()
}

/// `struct fuse_init_out`: version 7 of the protocol and nothing beyond it.
fn init(minor: u32) -> Vec<u8> {
    let mut body = [7u32.to_ne_bytes(), minor.to_ne_bytes()].concat();
    body.resize(64, 0);
    // The largest write: a page.
    body[20..24].copy_from_slice(&4096u32.to_ne_bytes());
    body
}

/// `struct fuse_kstatfs`: blocks, of which half are free, and inodes; sizes after them.
fn statfs() -> Vec<u8> {
    let numbers = [BLOCKS, BLOCKS / 2, BLOCKS / 4, 100, 50];
    let mut body: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
    for number in [BLOCK_SIZE, 255, BLOCK_SIZE] {
        body.extend_from_slice(&number.to_ne_bytes());
    }
    body.resize(80, 0);
    body
}
