//! Lists and hashes the files of a raw NTFS volume: for comparisons with other
//! tools, without the containers and partitions around it.
//!
//! ```text
//! ntfs list IMAGE [OFFSET]      the rows of `adit list files`; OFFSET in bytes
//! ntfs hash IMAGE [OFFSET]      path, record, SHA-256 or ! and the reason
//! ntfs mft FILE                 the rows of an $MFT without its volume
//! ntfs time IMAGE [OFFSET]      how long the list takes, and what it reads
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use adit::cli::files;
use adit::model::ReadAt;
use adit::source::Filesystem;
use adit::source::filesystem::ntfs::Ntfs;
use sha2::{Digest, Sha256};

/// Files larger than this are not hashed; bytes.
const MAX_HASHED: u64 = 1 << 30;

struct Volume {
    file: File,
    start: u64,
    size: u64,
    read: AtomicU64,
}

impl ReadAt for Volume {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(offset).min(buf.len() as u64);
        let n = self.file.read_at(&mut buf[..left as usize], self.start + offset)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(what), Some(path)) = (arguments.first(), arguments.get(1)) else {
        eprintln!("ntfs list|hash|mft|time IMAGE [OFFSET]");
        return ExitCode::from(2);
    };
    let start = arguments.get(2).map_or(0, |text| text.parse().expect("an offset in bytes"));
    let file = File::open(path).expect("the image opens");
    let size = file.metadata().unwrap().len() - start;
    let volume = Arc::new(Volume { file, start, size, read: AtomicU64::new(0) });
    let began = Instant::now();
    let opened = match what.as_str() {
        "mft" => Ntfs::from_mft(volume.clone(), "C:\\"),
        _ => Ntfs::open(volume.clone(), "C:\\"),
    };
    let filesystem = match opened {
        Ok(filesystem) => filesystem,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(4);
        }
    };
    match what.as_str() {
        "hash" => hash(&filesystem),
        "time" => {
            files::write(&filesystem, &mut io::sink()).unwrap();
            let read = volume.read.load(Ordering::Relaxed);
            println!("{:.3} s, {read} bytes read", began.elapsed().as_secs_f64());
        }
        _ => {
            for problem in files::write(&filesystem, &mut io::stdout()).unwrap() {
                eprintln!("{}", problem.message);
            }
        }
    }
    ExitCode::SUCCESS
}

fn hash(filesystem: &Ntfs) {
    let mut out = BufWriter::new(io::stdout().lock());
    filesystem.walk(
        &mut |entry| {
            if !entry.is_file() {
                return;
            }
            let id = entry.id.unwrap().number;
            let result = match filesystem.open(&entry) {
                _ if entry.size > MAX_HASHED => "!too large".to_owned(),
                Ok(content) => digest(&*content).unwrap_or_else(|error| format!("!{error}")),
                Err(error) => format!("!{error}"),
            };
            writeln!(out, "{}\t{id}\t{result}", entry.path).unwrap();
        },
        &mut |problem| eprintln!("{}", problem.message),
    );
}

fn digest(content: &dyn ReadAt) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 100_000];
    let mut at = 0;
    loop {
        let n = content.read_at(at, &mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        at += n as u64;
    }
    assert_eq!(at, content.size());
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
