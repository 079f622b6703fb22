//! A volume of the running system as bytes at any offset.
//!
//! Windows reads a volume only in whole sectors: offset, length and the place in
//! memory must be multiples of one. Here all three are multiples of 4 KiB, which no
//! sector in use exceeds; only the last read may end earlier, with the volume.
//!
//! Small reads are gathered in blocks that are kept for a while, since the system
//! keeps nothing of what is read raw. A volume that is written meanwhile may
//! therefore be seen as it was some seconds ago, as it may by any reader.

use std::io;
use std::sync::Arc;

use crate::model::ReadAt;
use crate::source::container::Cache;

/// What offsets, lengths and buffers are multiples of; bytes.
const ALIGNMENT: usize = 4096;
/// Read at once for small reads, and kept; bytes.
const BLOCK: usize = 64 << 10;
/// Kept blocks; bytes.
const KEPT: usize = 8 << 20;
/// The most that is asked of the system at once; bytes.
const MAX_READ: usize = 1 << 20;

/// What reads whole sectors: an offset and a buffer, both aligned, to the bytes read.
pub(super) trait Sectors: Send + Sync {
    /// Bytes read; fewer than asked only at the volume's end.
    ///
    /// # Errors
    ///
    /// That of the operating system.
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
}

/// A volume read in whole sectors.
pub(super) struct Aligned<S> {
    sectors: S,
    size: u64,
    cache: Cache,
}

impl<S: Sectors> Aligned<S> {
    /// A volume of `size` bytes, a multiple of its sectors.
    pub(super) fn new(sectors: S, size: u64) -> Self {
        Self { sectors, size, cache: Cache::new(KEPT, BLOCK) }
    }

    /// The bytes from an aligned offset on, as many as there are up to `len`.
    fn fetch(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(left);
        let mut room = vec![0; len.saturating_add(ALIGNMENT)];
        // Without an aligned place (which no allocation lacks) the system says no itself.
        let start = Some(room.as_ptr().align_offset(ALIGNMENT)).filter(|at| *at < ALIGNMENT);
        let start = start.unwrap_or_default();
        let mut filled = 0_usize;
        while filled < len {
            let at = offset.saturating_add(filled as u64);
            let from = start.saturating_add(filled);
            let rest = room.get_mut(from..start.saturating_add(len)).unwrap_or_default();
            match self.sectors.read(at, rest) {
                Ok(0) => break,
                Ok(n) => filled = filled.saturating_add(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        room.truncate(start.saturating_add(filled));
        room.drain(..start.min(room.len()));
        Ok(room)
    }

    /// A small read, from blocks that are kept.
    fn by_blocks(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0_usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let number = at / BLOCK as u64;
            let load = || self.fetch(number.saturating_mul(BLOCK as u64), BLOCK);
            let block: Arc<Vec<u8>> = self.cache.get(number, load)?;
            let within = usize::try_from(at % BLOCK as u64).unwrap_or_default();
            let n = give(&block, within, rest);
            if n == 0 {
                break;
            }
            filled = filled.saturating_add(n);
        }
        Ok(filled)
    }

    /// A large read, straight from the volume.
    fn straight(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0_usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let within = usize::try_from(at % ALIGNMENT as u64).unwrap_or_default();
            let wanted = within.saturating_add(rest.len()).min(MAX_READ);
            let start = at.saturating_sub(within as u64);
            let bytes = self.fetch(start, wanted.next_multiple_of(ALIGNMENT))?;
            let n = give(&bytes, within, rest);
            if n == 0 {
                break;
            }
            filled = filled.saturating_add(n);
        }
        Ok(filled)
    }
}

/// Copies what there is at `within`; how much that was.
fn give(bytes: &[u8], within: usize, to: &mut [u8]) -> usize {
    let from = bytes.get(within..).unwrap_or_default();
    let n = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..n), from.get(..n)) {
        to.copy_from_slice(from);
    }
    n
}

impl<S: Sectors> ReadAt for Aligned<S> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let n = left.min(buf.len());
        let Some(buf) = buf.get_mut(..n).filter(|buf| !buf.is_empty()) else { return Ok(0) };
        if n < BLOCK { self.by_blocks(offset, buf) } else { self.straight(offset, buf) }
    }

    fn forget(&self) {
        self.cache.clear();
    }
}

/// Bytes of a volume as its boot sector says them, where the system does not: NTFS,
/// exFAT and FAT. NTFS keeps one sector more, with the copy of its boot sector.
pub(super) fn size_in(boot: &[u8]) -> Option<u64> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(boot.get(at..)?.first_chunk().copied()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(boot.get(at..)?.first_chunk().copied()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(boot.get(at..)?.first_chunk().copied()?));
    let sector = u64::from(u16_at(11)?);
    match boot.get(3..11)? {
        b"NTFS    " => u64_at(40)?.checked_add(1)?.checked_mul(sector),
        b"EXFAT   " => u64_at(72)?.checked_mul(1_u64.checked_shl(u32::from(*boot.get(108)?))?),
        _ if boot.get(510..512)? == b"\x55\xaa" => match u16_at(19)? {
            0 => u64::from(u32_at(32)?).checked_mul(sector),
            sectors => u64::from(sectors).checked_mul(sector),
        },
        _ => None,
    }
    .filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that insists on alignment, as Windows does.
    struct Strict(Vec<u8>);

    impl Sectors for Strict {
        fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let end = offset + buf.len() as u64 == self.0.len() as u64;
            assert!(offset.is_multiple_of(4096) && buf.as_ptr().align_offset(512) == 0);
            let multiple = if end { 512 } else { 4096 };
            assert!(buf.len().is_multiple_of(multiple), "{}", buf.len());
            // It may give less than asked, in whole sectors.
            let n = if buf.len() > 8192 { 8192 } else { buf.len() };
            self.0.read_at(offset, &mut buf[..n])
        }
    }

    fn volume(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at / 7 % 251) as u8).collect()
    }

    #[test]
    fn any_offset_and_length_reads_as_a_file_would() {
        let bytes = volume(3 * BLOCK + 512 * 5);
        let device = Aligned::new(Strict(bytes.clone()), bytes.len() as u64);
        let ends = bytes.len();
        for offset in
            [0, 1, 511, 4095, 4096, BLOCK - 1, BLOCK, ends - 513, ends - 1, ends, ends + 9]
        {
            for len in [0, 1, 512, 5000, BLOCK - 1, BLOCK, 2 * BLOCK + 3, ends] {
                let (mut got, mut expected) = (vec![0; len], vec![0; len]);
                let n = device.read_at(offset as u64, &mut got).unwrap();
                assert_eq!(n, bytes.read_at(offset as u64, &mut expected).unwrap());
                assert_eq!(got[..n], expected[..n], "{len} bytes at {offset}");
            }
        }
    }

    #[test]
    fn a_device_shorter_than_its_boot_sector_says_ends_where_it_ends() {
        let bytes = volume(2 * BLOCK);
        let device = Aligned::new(Strict(bytes.clone()), 4 * BLOCK as u64);
        let mut got = vec![0; 4 * BLOCK];
        assert_eq!(device.read_at(0, &mut got).unwrap(), 2 * BLOCK);
        assert_eq!(device.read_at(3 * BLOCK as u64, &mut got[..100]).unwrap(), 0);
    }

    #[test]
    fn boot_sectors_tell_the_size() {
        let with = |parts: &[(usize, &[u8])]| {
            let mut boot = vec![0; 512];
            for (at, bytes) in parts {
                boot[*at..*at + bytes.len()].copy_from_slice(bytes);
            }
            size_in(&boot)
        };
        let sector: (usize, &[u8]) = (11, &[0, 2]);
        assert_eq!(with(&[(3, b"NTFS    "), sector, (40, &[9])]), Some(5120));
        assert_eq!(with(&[(3, b"EXFAT   "), (72, &[8]), (108, &[9])]), Some(4096));
        assert_eq!(with(&[(3, b"MSDOS5.0"), sector, (32, &[4]), (510, b"\x55\xaa")]), Some(2048));
        assert_eq!(with(&[(3, b"MSDOS5.0"), sector, (19, &[2]), (510, b"\x55\xaa")]), Some(1024));
        assert_eq!(with(&[sector]), None);
        assert_eq!(with(&[(3, b"NTFS    "), sector, (40, &[255; 8])]), None);
        assert_eq!(size_in(&[]), None);
    }
}
