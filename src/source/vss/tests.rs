//! Made volumes of 64 blocks, whole and damaged; a real one is compared with
//! libvshadow by `tests/compare/vss.py`.

use super::layout::{BLOCK_BYTES, OVERLAY_UNIT};
use super::*;

const BLOCK: usize = 16 << 10;
const IDENTIFIER: [u8; 16] = [
    0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52,
];
const CATALOG: u64 = 2;
const FORWARD: u32 = 1;
const OVERLAY: u32 = 2;
const UNUSED: u32 = 4;
const MADE: u64 = 133_549_647_900_000_000;

/// A volume in the making: every block holds its own number until told otherwise.
struct Volume {
    bytes: Vec<u8>,
    entries: usize,
}

impl Volume {
    fn new() -> Self {
        let bytes = (0..64u8).flat_map(|n| std::iter::repeat_n(n, BLOCK)).collect();
        let mut volume = Self { bytes, entries: 0 };
        volume.put(0x1e00, &head(1, 0x1e00, 0, CATALOG * BLOCK_BYTES));
        volume.block(CATALOG, 2, 0, &[]);
        volume
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn words(&mut self, at: usize, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(at, &bytes);
    }

    /// A metadata block with its content.
    fn block(&mut self, number: u64, kind: u32, next: u64, content: &[u8]) {
        let at = usize::try_from(number).unwrap() * BLOCK;
        self.put(at, &vec![0; BLOCK]);
        self.put(at, &head(kind, number * BLOCK_BYTES, next * BLOCK_BYTES, 0));
        self.put(at + 128, content);
    }

    /// A snapshot whose four metadata blocks start at `first`.
    fn snapshot(mut self, first: u64, created: u64, list: &[[u64; 5]], unused: &[u64]) -> Self {
        let id = [u8::try_from(first).unwrap(); 16];
        let at = usize::try_from(CATALOG).unwrap() * BLOCK + 128 * (1 + 2 * self.entries);
        self.entries += 1;
        self.words(at, &[2, 64 * BLOCK_BYTES, 0, 0, 0, 0x40, created]);
        self.put(at + 16, &id);
        let place = |n| (first + n) * BLOCK_BYTES;
        self.words(at + 128, &[3, place(0), 0, 0, place(1), 0, place(2), 0, 0, place(3)]);
        self.put(at + 128 + 16, &id);
        let descriptor = |[original, relative, copy, flags, parts]: &[u64; 5]| {
            let words = [original, relative, copy].map(|n| (n * BLOCK_BYTES).to_le_bytes());
            let last = (flags | parts << 32).to_le_bytes();
            [words.concat(), last.to_vec()].concat()
        };
        let content: Vec<u8> = list.iter().flat_map(descriptor).collect();
        self.block(first, 3, 0, &content);
        self.block(first + 1, 4, 0, &[[0; 16], [0xab; 16]].concat());
        let mut bits = [0u8; 8];
        for block in unused {
            bits[usize::try_from(block / 8).unwrap()] |= 1 << (block % 8);
        }
        self.block(first + 2, 6, 0, &bits);
        self.block(first + 3, 6, 0, &[0xff; 8]);
        self
    }

    fn open(self) -> (Vec<Snapshot>, Vec<Problem>) {
        let volume: Arc<dyn ReadAt> = Arc::new(self.bytes);
        snapshots(&volume).unwrap()
    }
}

fn head(kind: u32, at: u64, next: u64, further: u64) -> Vec<u8> {
    let mut head = IDENTIFIER.to_vec();
    head.extend([1u32, kind].into_iter().flat_map(u32::to_le_bytes));
    head.extend([0, at, next, further].into_iter().flat_map(u64::to_le_bytes));
    head
}

/// The first byte of every 512 of a block, runs of one value counted.
fn shown(snapshot: &Snapshot, block: u64) -> Vec<(u8, usize)> {
    let mut bytes = vec![0; BLOCK];
    assert_eq!(snapshot.bytes.read_at(block * BLOCK_BYTES, &mut bytes).unwrap(), BLOCK);
    let mut runs: Vec<(u8, usize)> = Vec::new();
    for part in bytes.chunks(usize::try_from(OVERLAY_UNIT).unwrap()) {
        assert!(part.iter().all(|byte| *byte == part[0]));
        match runs.last_mut() {
            Some((value, count)) if *value == part[0] => *count += 1,
            _ => runs.push((part[0], 1)),
        }
    }
    runs
}

fn check(snapshot: &Snapshot, expected: &[(u64, &[(u8, usize)])]) {
    for (block, runs) in expected {
        assert_eq!(shown(snapshot, *block), *runs, "snapshot {}, block {block}", snapshot.number);
    }
}

/// Three snapshots, listed out of order.
fn three() -> Volume {
    let new = |flags: u32| u64::from(flags);
    Volume::new()
        .snapshot(4, MADE + 20, &[[30, 0, 40, 0, 0], [31, 33, 0, new(FORWARD), 0]], &[])
        .snapshot(8, MADE + 30, &[[32, 0, 42, 0, 0], [33, 0, 43, 0, 0]], &[34, 35, 32])
        .snapshot(
            12,
            MADE + 10,
            &[
                [30, 0, 44, new(OVERLAY), 0xff],
                [30, 1, 44, new(OVERLAY), 0x8000_0000],
                [36, 0, 45, 0, 0],
                [36, 0, 46, 0, 0],
                [37, 0, 47, new(UNUSED), 0],
                [38, 30, 0, new(FORWARD), 0],
            ],
            &[34],
        )
}

#[test]
fn a_snapshot_is_completed_by_later_ones() {
    let (found, problems) = three().open();
    assert_eq!(problems, []);
    let told: Vec<_> = found.iter().map(|s| (s.number, s.id.to_string(), s.size)).collect();
    let size = 64 * BLOCK_BYTES;
    assert_eq!(told[0], (1, "0c0c0c0c-0c0c-0c0c-0c0c-0c0c0c0c0c0c".into(), size));
    assert_eq!(told[1], (2, "04040404-0404-0404-0404-040404040404".into(), size));
    assert!(found.iter().all(|s| s.copy_id == Some(Guid([0xab; 16])) && !s.damaged));
    assert_eq!(found[0].created, from_filetime(MADE + 10));
    // The latest: its own copies, zeros for what was in no use, else the volume.
    check(&found[2], &[(32, &[(42, 32)]), (33, &[(43, 32)]), (34, &[(0, 32)]), (30, &[(30, 32)])]);
    // The one before: its copies, what it forwards to as the latest has it.
    check(&found[1], &[(30, &[(40, 32)]), (31, &[(43, 32)]), (32, &[(42, 32)]), (34, &[(34, 32)])]);
    // The oldest: overlays above what the next one has, the last of two copies.
    let overlaid: &[(u8, usize)] = &[(44, 8), (40, 23), (44, 1)];
    check(&found[0], &[(30, overlaid), (36, &[(46, 32)]), (37, &[(37, 32)]), (38, &[(40, 32)])]);
    // Its overlay is nothing to others.
    check(&found[1], &[(36, &[(36, 32)])]);
}

#[test]
fn a_copy_of_a_forwarders_target_belongs_to_its_original() {
    let list = [[20, 21, 0, 1, 0], [21, 0, 50, 0, 0], [22, 22, 0, 1, 0]];
    let (found, problems) = Volume::new().snapshot(4, MADE, &list, &[21]).open();
    assert_eq!(problems, []);
    check(&found[0], &[(20, &[(50, 32)]), (21, &[(0, 32)]), (22, &[(22, 32)])]);
}

#[test]
fn any_piece_is_the_same_from_any_thread() {
    let (found, _) = three().open();
    let bytes = &found[0].bytes;
    let mut whole = vec![0; 64 * BLOCK];
    assert_eq!(bytes.read_at(0, &mut whole).unwrap(), whole.len());
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let whole = &whole;
            scope.spawn(move || {
                for round in 0..200usize {
                    let at = (round * 7919 + thread * 104_729) % whole.len();
                    let mut piece = vec![0; (round * 613) % 50_000];
                    let n = bytes.read_at(at as u64, &mut piece).unwrap();
                    assert_eq!(n, piece.len().min(whole.len() - at));
                    assert!(piece[..n] == whole[at..at + n]);
                }
            });
        }
    });
    assert_eq!(bytes.read_at(64 * BLOCK_BYTES, &mut [0; 9]).unwrap(), 0);
}

#[test]
fn volumes_without_snapshots_have_none() {
    for bytes in [Vec::new(), vec![0; 0x1e10], vec![0; 1 << 20]] {
        let volume: Arc<dyn ReadAt> = Arc::new(bytes);
        let (found, problems) = snapshots(&volume).unwrap();
        assert!(found.is_empty() && problems.is_empty());
    }
    let mut volume = Volume::new();
    volume.words(0x1e00 + 48, &[0]);
    let (found, problems) = volume.open();
    assert!(found.is_empty() && problems.is_empty());
}

#[test]
fn damage_is_told_where_it_is() {
    let told = |volume: Volume| {
        let (found, problems) = volume.open();
        let damaged: Vec<bool> = found.iter().map(|s| s.damaged).collect();
        let at = problems.iter().map(|p| match p.locator {
            Some(Locator::Offset(at)) => at / BLOCK_BYTES,
            _ => panic!("no offset"),
        });
        (damaged, at.collect::<Vec<_>>())
    };
    // A block list that is gone: its snapshot and those before it.
    let mut volume = three();
    volume.put(4 * BLOCK, &[0; 16]);
    assert_eq!(told(volume), (vec![true, true, false], vec![4]));
    // A list that leads to itself, a bitmap of another type, a block elsewhere.
    let mut volume = three();
    volume.words(12 * BLOCK + 40, &[12 * BLOCK_BYTES]);
    volume.put(10 * BLOCK + 20, &[5]);
    volume.words(5 * BLOCK + 32, &[7]);
    assert_eq!(told(volume), (vec![true, true, true], vec![10, 5, 12]));
    // A catalog behind the end.
    let mut volume = three();
    volume.words(0x1e00 + 48, &[1 << 60]);
    assert_eq!(told(volume), (Vec::new(), vec![1 << 46]));
    // A copy behind the end is no end of the file.
    let (found, _) = Volume::new().snapshot(4, MADE, &[[30, 0, 90, 0, 0]], &[]).open();
    let mut byte = [0];
    assert!(found[0].bytes.read_at(30 * BLOCK_BYTES, &mut byte).is_err());
}

#[test]
fn altered_volumes_never_stop_it() {
    let good = three().bytes;
    let metadata = [0x1e00, 2 * BLOCK, 4 * BLOCK, 8 * BLOCK, 10 * BLOCK, 12 * BLOCK];
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % (below as u64)).unwrap()
    };
    for _ in 0..150 {
        let mut bytes = good.clone();
        for _ in 0..=next(12) {
            let at = metadata[next(metadata.len())] + next(600);
            bytes[at] = [0, 1, 0xff, 0x7f, 0x80][next(5)];
        }
        if next(4) == 0 {
            bytes.truncate(next(good.len()));
        }
        let volume: Arc<dyn ReadAt> = Arc::new(bytes);
        let (found, _) = snapshots(&volume).unwrap();
        for snapshot in found {
            let mut piece = vec![0; 3 * BLOCK];
            for at in (0..snapshot.size.min(1 << 21)).step_by(3 * BLOCK) {
                let _ = snapshot.bytes.read_at(at, &mut piece);
            }
        }
    }
}
