//! Whole volumes: what is listed of small ones, and that damage ends nothing.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{EvidencePath, ReadAt};
use crate::source::{Entry, Filesystem, Kind, State};

use super::{Format, OpenError, exfat, ext, fat, recognize};

const SAMPLES: [&str; 7] = [
    "ext/ext2",
    "ext/ext4",
    "ext/ext4-inline",
    "fat/fat12",
    "fat/fat16",
    "fat/fat32",
    "exfat/exfat",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/source")
}

fn sample(name: &str) -> Vec<u8> {
    let packed = std::fs::read(folder().join(format!("{name}.img.gz"))).unwrap();
    let mut volume = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut volume).unwrap();
    volume
}

fn open(volume: Vec<u8>) -> Option<Box<dyn Filesystem>> {
    fn boxed<T: Filesystem + 'static>(opened: Result<T, OpenError>) -> Option<Box<dyn Filesystem>> {
        opened.ok().map(|tree| Box::new(tree) as Box<dyn Filesystem>)
    }
    let volume: Arc<dyn ReadAt> = Arc::new(volume);
    match recognize(&*volume).format? {
        Format::Ext => boxed(ext::open(volume, "/")),
        Format::Fat => boxed(fat::open(volume, "E:\\")),
        Format::ExFat => boxed(exfat::open(volume, "E:\\")),
        Format::Ntfs => None,
    }
}

fn walk(tree: &dyn Filesystem) -> (Vec<Entry>, Vec<String>) {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    tree.walk(&mut |entry| entries.push(entry), &mut |problem| {
        let at = problem.locator.map(|at| format!(" {at}")).unwrap_or_default();
        let path = problem.path.unwrap_or_default();
        problems.push(format!("{path}{at}: {}", problem.message));
    });
    (entries, problems)
}

/// The first 64 KiB of a file, or why there are none.
fn read(tree: &dyn Filesystem, entry: &Entry) -> Result<Vec<u8>, String> {
    let bytes = tree.open(entry).map_err(|error| error.to_string())?;
    let mut buf = vec![0; 64 << 10];
    let n = bytes.read_at(0, &mut buf).map_err(|error| error.to_string())?;
    buf.truncate(n);
    Ok(buf)
}

fn rendered(tree: &dyn Filesystem) -> String {
    let mut text = String::new();
    let (entries, problems) = walk(tree);
    for entry in entries {
        let times = entry.times;
        let times = [times.created, times.modified, times.changed, times.accessed]
            .map(|at| at.map_or("-".to_owned(), |at| at.to_string()));
        let id = entry.id.map_or("-".to_owned(), |id| id.number.to_string());
        let content = match read(tree, &entry) {
            Ok(bytes) => format!("{:08x}", crc32fast::hash(&bytes)),
            Err(_) => "-".to_owned(),
        };
        write!(text, "{}  {:?} {:?} {} {id} ", entry.path, entry.kind, entry.state, entry.size)
            .unwrap();
        write!(text, "{} {content}", times.join(" ")).unwrap();
        if let Some(target) = entry.link_target {
            write!(text, " -> {target}").unwrap();
        }
        text.push('\n');
    }
    for problem in problems {
        writeln!(text, "! {problem}").unwrap();
    }
    text
}

#[test]
fn volumes_are_listed_whole() {
    for name in SAMPLES {
        let found = rendered(&*open(sample(name)).unwrap());
        let file = folder().join(format!("{name}.expected"));
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if std::env::var_os("ADIT_WRITE_EXPECTED").is_some() {
            std::fs::write(&file, &found).unwrap();
        } else {
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
fn every_present_path_leads_back_to_its_entry() {
    for name in SAMPLES {
        let tree = open(sample(name)).unwrap();
        for entry in walk(&*tree).0.into_iter().filter(|entry| entry.state == State::Present) {
            assert_eq!(tree.entry(&entry.path).as_ref(), Some(&entry), "{name}");
            let other = EvidencePath::new(entry.path.as_str().to_uppercase());
            let found = tree.entry(&other).is_some_and(|found| found == entry);
            assert_eq!(found, tree.case_insensitive() || other == entry.path, "{name}: {other}");
        }
        for absent in ["", "/", "E:\\", "E:\\removed one.bin", "/removed one.bin", "/nothing"] {
            assert_eq!(tree.entry(&EvidencePath::new(absent)), None, "{name}: {absent}");
        }
    }
}

#[test]
fn only_files_are_opened_and_what_is_lost_is_said_to_be() {
    for name in SAMPLES {
        let tree = open(sample(name)).unwrap();
        for entry in walk(&*tree).0 {
            let found = read(&*tree, &entry);
            let left = entry.state == State::Present || {
                use crate::source::Remains::{Likely, Whole};
                matches!(entry.state, State::Deleted(Likely | Whole))
            };
            assert_eq!(found.is_ok(), entry.is_file() && left, "{name}: {} {found:?}", entry.path);
            if let Ok(bytes) = found {
                assert_eq!(bytes.len() as u64, entry.size, "{name}: {}", entry.path);
            }
        }
    }
}

/// The place of those bytes in a volume.
fn place(volume: &[u8], bytes: &[u8]) -> usize {
    volume.windows(bytes.len()).position(|window| window == bytes).unwrap()
}

#[test]
fn a_folder_that_holds_itself_is_read_once() {
    let mut volume = sample("fat/fat12");
    // The folder's own entry is the first in it; make a removed one's place name it again.
    let own = place(&volume, b".          \x10");
    let cluster = [volume[own + 26], volume[own + 27]];
    let inner = place(&volume[own..], b"ARATHE~1TXT") + own;
    volume[inner + 11] = 0x10;
    volume[inner + 26..inner + 28].copy_from_slice(&cluster);
    let (entries, problems) = walk(&*open(volume).unwrap());
    assert!(entries.len() < 20, "{}", entries.len());
    assert!(problems.iter().any(|problem| problem.contains("holds itself")), "{problems:?}");

    let mut volume = sample("ext/ext4");
    let name = place(&volume, b"A rather long name.txt");
    volume[name - 8] = 2; // the root's inode
    let (entries, problems) = walk(&*open(volume).unwrap());
    assert!(entries.len() < 20, "{}", entries.len());
    // The name says file, the inode says directory: the inode is believed.
    assert!(problems.iter().any(|problem| problem.contains("holds itself")), "{problems:?}");
}

#[test]
fn a_chain_that_comes_back_is_an_error_where_it_does() {
    let mut volume = sample("fat/fat12");
    let entry = place(&volume, b"ARATHE~1TXT");
    let cluster = usize::from(u16::from_le_bytes([volume[entry + 26], volume[entry + 27]]));
    volume[entry + 28..entry + 32].copy_from_slice(&30_000u32.to_le_bytes());
    // The second cluster's successor becomes the first cluster.
    let at = 512 + (cluster + 1) * 3 / 2;
    let old = u16::from_le_bytes([volume[at], volume[at + 1]]);
    let to = u16::try_from(cluster).unwrap();
    let new = if cluster.is_multiple_of(2) { old & 0xf | to << 4 } else { old & 0xf000 | to };
    volume[at..at + 2].copy_from_slice(&new.to_le_bytes());
    let tree = open(volume).unwrap();
    let entry = tree.entry(&EvidencePath::new("e:\\FOLDER\\a rather long name.TXT")).unwrap();
    assert!(read(&*tree, &entry).is_err(), "the third cluster is lost");
    let mut start = [0; 1024];
    assert_eq!(tree.open(&entry).unwrap().read_at(0, &mut start).unwrap(), 1024);
}

/// Numbers that are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

/// Opens, walks and reads, whatever comes of it.
fn endure(volume: Vec<u8>) {
    let limit = volume.len();
    let Some(tree) = open(volume) else { return };
    let (entries, problems) = walk(&*tree);
    assert!(entries.len() <= limit && problems.len() <= limit, "more names than bytes");
    for entry in entries.iter().take(200) {
        // Refused or read: both are well, as long as it ends.
        let _either = read(&*tree, entry);
        let _either = tree.entry(&entry.path);
    }
}

/// How many damaged copies of each sample are tried.
fn mutations() -> usize {
    std::env::var("ADIT_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[test]
fn damaged_volumes_are_endured() {
    for name in SAMPLES {
        let volume = sample(name);
        let used: Vec<usize> = (0..volume.len()).filter(|at| volume[*at] != 0).collect();
        let mut random = Random(7);
        for _ in 0..mutations() {
            let mut damaged = volume.clone();
            for _ in 0..=random.below(12) {
                // Mostly where something stands, and near it.
                let near = used[random.below(used.len())] + random.below(8);
                let at = if random.below(8) == 0 { random.below(volume.len()) } else { near };
                let value = [0, 0xff, 0x80, 0x7f, 1][random.below(5)];
                let flip = 1u8 << random.below(8);
                if let Some(byte) = damaged.get_mut(at) {
                    *byte = if random.below(2) == 0 { value } else { *byte ^ flip };
                }
            }
            endure(damaged);
        }
        for _ in 0..10 {
            endure(volume[..random.below(volume.len())].to_vec());
        }
    }
}

#[test]
fn absurd_numbers_in_headers_are_refused_or_endured() {
    for name in SAMPLES {
        let volume = sample(name);
        let (start, end) = if name.starts_with("ext") { (1024, 1024 + 0x160) } else { (0, 112) };
        for at in (start..end).step_by(2) {
            for value in [0, 0xff] {
                let mut damaged = volume.clone();
                damaged[at..(at + 4).min(end)].fill(value);
                endure(damaged);
            }
        }
    }
    assert!(walk(&*open(sample("ext/ext2")).unwrap()).0.iter().any(|e| e.kind == Kind::Link));
}
