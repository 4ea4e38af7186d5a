//! A gzip member, written with a compressor that is kept between scrapes: its window is 300 kB.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// RFC 1952: magic, deflate, no flags, no time, fastest algorithm, written on Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];

/// Level 1 costs a third of level 6 and gives a body a sixth larger.
const LEVEL: u32 = 1;

/// Compresses whole bodies.
pub struct Gzip {
    deflate: Compress,
}

impl Default for Gzip {
    fn default() -> Self {
        Self { deflate: Compress::new(Compression::new(LEVEL), false) }
    }
}

impl Gzip {
    /// Replaces what `out` holds by `body`, compressed.
    pub fn write(&mut self, body: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&HEADER);
        self.deflate.reset();
        // Metrics shrink to a fifth; what does not fit grows the buffer.
        out.reserve(body.len() / 4 + 64);
        loop {
            let rest = &body[narrow(self.deflate.total_in())..];
            let status = self.deflate.compress_vec(rest, out, FlushCompress::Finish);
            match status {
                Ok(Status::StreamEnd) => break,
                Ok(Status::Ok | Status::BufError) => out.reserve(body.len() / 4 + 64),
                Err(error) => unreachable!("deflate takes any input: {error}"),
            }
        }
        let mut crc = Crc::new();
        crc.update(body);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
    }
}

fn narrow(total: u64) -> usize {
    usize::try_from(total).expect("a body that fits into memory")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn bodies_of_all_sizes_come_back() {
        let mut gzip = Gzip::default();
        let mut out = Vec::new();
        for size in [0, 1, 100, 70_000, 1_000_000] {
            let body: Vec<u8> =
                (0..size).map(|i: u32| (i.wrapping_mul(i) >> 3).to_le_bytes()[0]).collect();
            gzip.write(&body, &mut out);
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&out[..]).read_to_end(&mut back).unwrap();
            assert!(back == body, "{size} bytes");
        }
    }
}
