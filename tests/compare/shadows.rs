//! Lists the shadow copies of a raw NTFS volume, or writes the bytes of one to
//! stdout: `cargo run --example shadows -- VOLUME [NUMBER [BYTES_AT_ONCE]]`. For
//! comparisons with other tools (`tests/compare`).

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use adit::model::ReadAt;
use adit::source::vss;

/// An open file.
struct Opened(Mutex<File>, u64);

impl ReadAt for Opened {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.0.lock().map_err(|_| io::Error::other("poisoned"))?;
        file.seek(SeekFrom::Start(offset))?;
        file.read(buf)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: shadows VOLUME [NUMBER [BYTES_AT_ONCE]]")?;
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let volume: Arc<dyn ReadAt> = Arc::new(Opened(Mutex::new(file), size));
    let (snapshots, problems) = vss::snapshots(&volume)?;
    for problem in problems {
        eprintln!("{problem:?}");
    }
    let Some(number) = arguments.next() else {
        for s in snapshots {
            let created = s.created.map(|at| format!("{at:.7}")).unwrap_or_default();
            let copy = s.copy_id.map(|id| id.to_string()).unwrap_or_default();
            println!("{} {} {copy} {created} {} {}", s.number, s.id, s.size, s.damaged);
        }
        return Ok(());
    };
    let number: u32 = number.parse()?;
    let at_once: usize = arguments.next().map_or(Ok(1 << 20), |n| n.parse())?;
    let found = snapshots.into_iter().find(|s| s.number == number).ok_or("no such snapshot")?;
    let mut buffer = vec![0; at_once.max(1)];
    let mut out = io::stdout().lock();
    let mut at = 0u64;
    loop {
        let n = found.bytes.read_at(at, &mut buffer)?;
        if n == 0 {
            break;
        }
        out.write_all(buffer.get(..n).unwrap_or_default())?;
        at = at.saturating_add(n as u64);
    }
    Ok(())
}
