//! Reads files that others are writing until two readings agree.
//!
//! A hive of which one half is older than the other may say what never was. What a parser
//! read is therefore read once more, past everything that was kept: if it is all the same,
//! all of it was there at one moment, the one between the two readings. Else the parser
//! begins again: by then the hive is whole, or its header says that its logs are to be
//! applied. A file that never stands still is said to be torn.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::model::ReadAt;

/// Readings of one file at most; each is checked by one more.
pub const READINGS: usize = 3;
/// Between them, for what is being written to be finished.
const PAUSE: Duration = Duration::from_millis(100);
/// Readings noted of one file; more are not checked.
const MAX_NOTED: usize = 1 << 20;
/// Bytes read at once to check.
const CHUNK: usize = 1 << 20;

/// What a torn file is called in problems.csv.
pub fn torn() -> String {
    format!("changed while it was read, {READINGS} times over: it may be of more than one moment")
}

/// Reads until a reading is whole, [`READINGS`] times at most: the last one, and whether
/// it is torn as well.
pub fn until_whole<T>(mut read: impl FnMut() -> (T, bool)) -> (T, bool) {
    let mut last = read();
    for _ in 1..READINGS {
        if !last.1 {
            break;
        }
        thread::sleep(PAUSE);
        last = read();
    }
    last
}

/// A file and what completes it, with a note of what is read of them.
pub struct Watch<'a> {
    file: Noted<'a>,
    sidecars: Vec<Noted<'a>>,
}

/// What is not any more as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    pub file: bool,
    /// A log that completes a hive grows without doing harm.
    pub sidecars: bool,
}

impl<'a> Watch<'a> {
    pub fn new(file: &'a dyn ReadAt, sidecars: &'a [Box<dyn ReadAt>]) -> Self {
        let sidecars = sidecars.iter().map(|sidecar| Noted::new(&**sidecar)).collect();
        Self { file: Noted::new(file), sidecars }
    }

    pub fn file(&self) -> &dyn ReadAt {
        &self.file
    }

    pub fn sidecars(&self) -> Vec<&dyn ReadAt> {
        self.sidecars.iter().map(|sidecar| sidecar as &dyn ReadAt).collect()
    }

    /// Reads everything once more that was read.
    pub fn changed(&self) -> Changed {
        Changed { file: self.file.changed(), sidecars: self.sidecars.iter().any(Noted::changed) }
    }
}

struct Noted<'a> {
    bytes: &'a dyn ReadAt,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Checksums by offset and length.
    parts: BTreeMap<(u64, usize), u32>,
    /// Whether the same place was read twice and was not the same.
    differs: bool,
}

impl<'a> Noted<'a> {
    fn new(bytes: &'a dyn ReadAt) -> Self {
        Self { bytes, seen: Mutex::default() }
    }

    fn changed(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = Vec::new();
        seen.differs
            || seen.parts.iter().any(|((offset, length), was)| {
                // What cannot be read any more was said to be so by the reading itself.
                self.checksum(*offset, *length, &mut buffer).is_ok_and(|is| is != *was)
            })
    }

    fn checksum(&self, offset: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<u32> {
        buffer.resize(buffer.len().max(length.min(CHUNK)), 0);
        let (mut sum, mut done) = (crc32fast::Hasher::new(), 0_usize);
        while done < length {
            let wanted = length.saturating_sub(done).min(CHUNK);
            let part = buffer.get_mut(..wanted).unwrap_or_default();
            let n = self.bytes.read_at(offset.saturating_add(done as u64), part)?;
            if n == 0 {
                break;
            }
            sum.update(part.get(..n).unwrap_or_default());
            done = done.saturating_add(n);
        }
        Ok(sum.finalize())
    }
}

impl ReadAt for Noted<'_> {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read_at(offset, buf)?;
        let sum = crc32fast::hash(buf.get(..n).unwrap_or_default());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let room = seen.parts.len() < MAX_NOTED;
        match seen.parts.get(&(offset, n)) {
            Some(was) => seen.differs |= *was != sum,
            None if room && n > 0 => drop(seen.parts.insert((offset, n), sum)),
            None => {}
        }
        Ok(n)
    }

    fn data_from(&self, offset: u64) -> u64 {
        self.bytes.data_from(offset)
    }

    fn forget(&self) {
        self.bytes.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A file whose first byte is another from the reading of that number on, counted
    /// from 0.
    struct Changing {
        from: usize,
        readings: AtomicUsize,
    }

    impl ReadAt for Changing {
        fn size(&self) -> u64 {
            4096
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let mut bytes = vec![7; 4096];
            if self.readings.fetch_add(1, Ordering::Relaxed) >= self.from {
                bytes[0] = 8;
            }
            bytes.read_at(offset, buf)
        }
    }

    fn changing(from: usize) -> Changing {
        Changing { from, readings: AtomicUsize::new(0) }
    }

    #[test]
    fn a_change_is_seen_where_something_was_read() {
        let changed = |offset: u64, file: Changing| {
            let watch = Watch::new(&file, &[]);
            assert_eq!(watch.file().read_at(offset, &mut [0; 1000]).unwrap(), 1000);
            watch.changed().file
        };
        assert!(changed(0, changing(1)));
        assert!(!changed(0, changing(9)));
        assert!(!changed(1000, changing(1)), "elsewhere");
        assert!(!changed(0, changing(0)), "before");
    }

    #[test]
    fn what_is_read_twice_need_not_be_read_again() {
        let file = changing(1);
        let watch = Watch::new(&file, &[]);
        for _ in 0..2 {
            watch.file().read_at(0, &mut [0; 10]).unwrap();
        }
        assert!(watch.changed().file);
        assert_eq!(file.readings.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn sidecars_are_told_apart_and_ends_are_no_change() {
        let file = vec![0; 100];
        let log: Vec<Box<dyn ReadAt>> = vec![Box::new(changing(1)), Box::new(vec![1; 9])];
        let watch = Watch::new(&file, &log);
        assert_eq!(watch.file().read_at(90, &mut [0; 50]).unwrap(), 10);
        for sidecar in watch.sidecars() {
            sidecar.read_at(0, &mut [0; 100]).unwrap();
        }
        assert_eq!(watch.changed(), Changed { file: false, sidecars: true });
    }

    #[test]
    fn readings_end_with_a_whole_one_or_after_a_few() {
        let readings = |torn: usize| {
            let mut n = 0;
            until_whole(|| {
                n += 1;
                (n, n <= torn)
            })
        };
        assert_eq!(readings(0), (1, false));
        assert_eq!(readings(1), (2, false));
        assert_eq!(readings(9), (READINGS, true));
    }
}
