//! A record of a transaction log.
//!
//! ```text
//! record = kind:u8, …          as long as its kind and the sizes within say
//! change = kind:u8, session:u16, database:u8, page:u32, time after:u64, time before:u64,
//!          transaction:u32, level:u8, line:u16, flags:u8, …
//! node   = change, number:u32, root:u32, object:u32, …
//! ```
//!
//! Source: log format 8.4000 (Windows 8 and later) of the engine's published headers.

use crate::parse::bytes::{piece, u16_at, u32_at, u64_at};

/// Bytes of what begins every change, and every change of a node.
const CHANGE: usize = 32;
const NODE: usize = 44;
const SPLIT: usize = 102;
const MERGE: usize = 88;
const MOVE: usize = 96;
/// The change is of a tree of free space.
const SPACE: u8 = 0x08;
/// What a list of emptied pages has for each.
const EMPTIED: usize = 16;
/// A replaced value's size; the upper bit: its parts have long headers.
const SIZE_MASK: u16 = 0x7fff;

/// A size that is added to a record's fixed part: where it stands, and its bytes.
#[derive(Clone, Copy)]
enum Size {
    Short(usize),
    Masked(usize),
    Long(usize),
}

/// Fixed bytes of a record of that kind, and the sizes of what follows.
fn layout(kind: u8) -> Option<(usize, &'static [Size])> {
    use Size::{Long, Masked, Short};
    Some(match kind {
        // Nothing, the end, marks.
        0 | 4 | 17 | 23 => (1, &[]),
        1 => (568, &[]),
        2 | 18 => (18, &[]),
        3 => (9, &[]),
        5..=7 | 21 | 79 => (4, &[]),
        8 | 9 | 53 => (8, &[]),
        10 => (7, &[]),
        11..=13 => (11, &[]),
        14 => (43, &[Short(40)]),
        15 => (75, &[Short(72)]),
        16 => (7, &[Short(4)]),
        22 | 61 => (5, &[Short(3)]),
        24 => (CHANGE + 24, &[]),
        25 => (CHANGE + 16, &[]),
        26 => (CHANGE + 28, &[]),
        27 => (SPLIT, &[Short(96), Short(98), Short(100)]),
        28 => (MERGE, &[Short(86)]),
        29 => (NODE + 6, &[Short(44), Short(46), Short(48)]),
        30 => (NODE + 4, &[Short(44), Short(46)]),
        31 => (NODE + 8, &[Short(44), Short(46)]),
        32 | 35 => (NODE, &[]),
        33 | 34 => (NODE + 6, &[Masked(44)]),
        36 => (NODE + 12, &[Short(44), Short(46), Short(54)]),
        37 => (NODE + 10, &[Short(44), Short(46)]),
        38 | 48 => (NODE + 2, &[Short(44)]),
        39 => (NODE + 7, &[Short(44), Short(46)]),
        45 | 59 => (3, &[Short(1)]),
        49 => (576, &[]),
        50 | 52 | 80 => (26, &[]),
        51 => (9, &[]),
        54 => (7, &[Long(3)]),
        55 | 57 => (3, &[]),
        58 => (CHANGE + 36, &[]),
        62 => (SPLIT + 8, &[Short(96), Short(98), Short(100), Long(106)]),
        63 => (MERGE + 8, &[Short(86), Long(92)]),
        64 => (NODE + 10, &[Short(52)]),
        65 => (MOVE, &[Long(88), Long(92)]),
        66 => (46, &[]),
        67..=75 | 82..=91 => (5, &[Long(1)]),
        76 => (7, &[Short(5)]),
        77 => (3, &[Short(1)]),
        78 | 81 | 94 => (10, &[]),
        92 => (14, &[]),
        93 => (NODE + 14, &[Short(44), Short(46)]),
        95 => (20, &[]),
        96 => (16, &[]),
        97 => (2, &[]),
        98 => (27, &[]),
        99 => (18, &[]),
        100 => (11, &[]),
        101 => (19, &[]),
        _ => return None,
    })
}

/// The bytes of the record that begins here; `None` when its kind is not known or its
/// fixed part is not whole.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let kind = *bytes.first()?;
    let (fixed, sizes) = layout(kind)?;
    let mut all = fixed;
    for size in sizes {
        let more = match *size {
            Size::Short(at) => usize::from(u16_at(bytes, at)?),
            Size::Masked(at) => usize::from(u16_at(bytes, at)? & SIZE_MASK),
            Size::Long(at) => usize::try_from(u32_at(bytes, at)?).ok()?,
        };
        all = all.checked_add(more)?;
    }
    // The version of a database made then, between the fixed part and the path.
    let has_version = kind == 14 && bytes.get(42)? & 4 != 0;
    if has_version { all.checked_add(4) } else { Some(all) }
}

/// What a record says.
pub(super) enum Record<'a> {
    /// A macro of a session, known by its time.
    MacroBegin(u16, u64),
    MacroCommit(u16, u64),
    MacroAbort(u16, u64),
    Change(Change<'a>),
    /// Nothing that changes pages of tables.
    Other,
    /// A change that is not followed.
    Unknown(u8),
}

/// A change of a page.
pub(super) struct Change<'a> {
    pub(super) session: u16,
    pub(super) database: u8,
    pub(super) page: u32,
    /// The page's time with the change, and without.
    pub(super) time: u64,
    pub(super) before: u64,
    pub(super) line: usize,
    pub(super) what: What<'a>,
}

/// What is done to the page or to its line.
pub(super) enum What<'a> {
    Insert {
        key: &'a [u8],
        data: &'a [u8],
    },
    /// A deleted node is there again, with other data if there are some.
    Restore {
        data: Option<&'a [u8]>,
        number: u32,
    },
    Replace {
        data: &'a [u8],
        number: u32,
    },
    /// Only what differs, with short or with long headers.
    ReplaceParts {
        parts: &'a [u8],
        is_long: bool,
        size: usize,
        number: u32,
    },
    FlagDelete,
    Delete,
    Add {
        offset: usize,
        by: i64,
        width: usize,
        number: u32,
    },
    /// What the change of that number replaced, if it did.
    Remember {
        data: Option<&'a [u8]>,
        number: u32,
    },
    Undo {
        operation: u16,
        number: u32,
    },
    /// Nothing that records show.
    Touch,
    NewPage {
        object: u32,
    },
    NewTree {
        object: u32,
        flags: u32,
    },
    /// Pages with their times before.
    EmptyTree(Vec<(u32, u64)>),
    Split(Split<'a>),
    Merge(Merge<'a>),
    Move(Move<'a>),
}

/// One level of a split; `new` is 0 for a level that only gets another child.
pub(super) struct Split<'a> {
    pub(super) new: u32,
    pub(super) right: u32,
    pub(super) right_before: u64,
    pub(super) object: u32,
    /// 0 the root's content goes one level down, 1 some to the right, 2 only what is new.
    pub(super) how: u8,
    /// 0 none, 1 insert, 2 replace, 3 restore with other data.
    pub(super) operation: u8,
    pub(super) line: usize,
    pub(super) cut: usize,
    pub(super) lines: usize,
    pub(super) new_flags: u32,
    pub(super) old_flags: u32,
    /// What separates the two, for the level above.
    pub(super) key: &'a [u8],
    /// The page as it was, if it may have been written already.
    pub(super) image: PageBefore<'a>,
}

/// One level of a merge; the last is the page that is merged.
pub(super) struct Merge<'a> {
    pub(super) left: u32,
    pub(super) left_before: u64,
    pub(super) right: u32,
    pub(super) right_before: u64,
    pub(super) line: usize,
    pub(super) has_other_key: bool,
    pub(super) loses_node: bool,
    pub(super) gets_empty: bool,
    pub(super) how: u8,
    pub(super) key: &'a [u8],
    pub(super) image: PageBefore<'a>,
}

/// A page that moves to another place.
pub(super) struct Move<'a> {
    pub(super) to: u32,
    pub(super) left: u32,
    pub(super) left_before: u64,
    pub(super) right: u32,
    pub(super) right_before: u64,
    pub(super) parent: u32,
    pub(super) parent_before: u64,
    pub(super) parent_line: usize,
    pub(super) is_root: bool,
    pub(super) image: &'a [u8],
}

/// A page as it was, its free space left out if so said; perhaps packed.
#[derive(Clone, Copy, Default)]
pub(super) struct PageBefore<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) is_packed: bool,
}

impl<'a> Record<'a> {
    /// Reads a whole record; `None` when it makes no sense.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let of_macro = || Some((u16_at(bytes, 1)?, u64_at(bytes, 3)?));
        Some(match *bytes.first()? {
            11 => of_macro().map(|(session, time)| Self::MacroBegin(session, time))?,
            12 => of_macro().map(|(session, time)| Self::MacroCommit(session, time))?,
            13 => of_macro().map(|(session, time)| Self::MacroAbort(session, time))?,
            24..=39 | 48 | 58 | 62..=65 | 93 => {
                if bytes.get(CHANGE - 1)? & SPACE != 0 {
                    return Some(Self::Other);
                }
                Self::Change(Change::read(bytes)?)
            }
            95 => Self::Change(Change {
                session: u16_at(bytes, 1)?,
                database: *bytes.get(3)?,
                page: u32_at(bytes, 4)?,
                time: u64_at(bytes, 12)?,
                before: 0,
                line: 0,
                what: What::NewPage { object: u32_at(bytes, 8)? },
            }),
            kind @ 96 => Self::Unknown(kind),
            _ => Self::Other,
        })
    }
}

impl<'a> Change<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        Some(Self {
            session: u16_at(bytes, 1)?,
            database: *bytes.get(3)?,
            page: u32_at(bytes, 4)?,
            time: u64_at(bytes, 8)?,
            before: u64_at(bytes, 16)?,
            line: short(bytes, 29)?,
            what: What::read(bytes)?,
        })
    }
}

impl<'a> What<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let number = u32_at(bytes, CHANGE)?;
        Some(match *bytes.first()? {
            24 => Self::NewTree { object: number, flags: u32_at(bytes, 52)? },
            25 => Self::NewTree { object: number, flags: u32_at(bytes, 44)? },
            27 => Self::Split(Split::read(bytes, SPLIT)?),
            62 => Self::Split(Split::read(bytes, SPLIT + 8)?),
            28 => Self::Merge(Merge::read(bytes, MERGE)?),
            63 => Self::Merge(Merge::read(bytes, MERGE + 8)?),
            29 => {
                let key = short(bytes, 44)?.checked_add(short(bytes, 46)?)?;
                let at = NODE + 6;
                let data = piece(bytes, at.checked_add(key)?, short(bytes, 48)?)?;
                Self::Insert { key: piece(bytes, at, key)?, data }
            }
            30 => Self::Restore { data: None, number },
            31 => {
                let data = NODE.checked_add(8)?.checked_add(short(bytes, 44)?)?;
                let data = piece(bytes, data, short(bytes, 46)?)?;
                Self::Restore { data: Some(data), number: u32_at(bytes, 48)? }
            }
            32 => Self::FlagDelete,
            35 => Self::Delete,
            33 => Self::Replace { data: bytes.get(NODE + 6..)?, number },
            34 => Self::ReplaceParts {
                parts: bytes.get(NODE + 6..)?,
                is_long: u16_at(bytes, 44)? & !SIZE_MASK != 0,
                size: short(bytes, 48)?,
                number,
            },
            36 => {
                let at = (NODE + 12).checked_add(short(bytes, 44)?)?;
                let data = piece(bytes, at.checked_add(short(bytes, 46)?)?, short(bytes, 54)?)?;
                Self::Remember { data: (u16_at(bytes, 48)? == 2).then_some(data), number }
            }
            37 => Self::Add {
                offset: short(bytes, 52)?,
                by: i64::from(u32_at(bytes, 48)?.cast_signed()),
                width: 4,
                number,
            },
            93 => Self::Add {
                offset: short(bytes, 56)?,
                by: u64_at(bytes, 48)?.cast_signed(),
                width: 8,
                number,
            },
            39 => Self::Undo { operation: u16_at(bytes, 48)?, number },
            48 => {
                let (entries, _) = bytes.get(NODE + 2..)?.as_chunks::<EMPTIED>();
                let pages = entries.iter().map(|e| Some((u32_at(e, 8)?, u64_at(e, 0)?)));
                Self::EmptyTree(pages.collect::<Option<_>>()?)
            }
            65 => Self::Move(Move::read(bytes)?),
            _ => Self::Touch,
        })
    }
}

impl<'a> Split<'a> {
    fn read(bytes: &'a [u8], fixed: usize) -> Option<Self> {
        let key = short(bytes, 100)?;
        let rest = fixed.checked_add(key)?;
        let rest = rest.checked_add(short(bytes, 96)?)?.checked_add(short(bytes, 98)?)?;
        Some(Self {
            new: u32_at(bytes, 32)?,
            right: u32_at(bytes, 36)?,
            right_before: u64_at(bytes, 40)?,
            object: u32_at(bytes, 64)?,
            how: *bytes.get(68)?,
            operation: *bytes.get(69)?,
            line: short(bytes, 70)?,
            cut: short(bytes, 72)?,
            lines: short(bytes, 74)?,
            new_flags: u32_at(bytes, 76)?,
            old_flags: u32_at(bytes, 80)?,
            key: piece(bytes, fixed, key)?,
            image: PageBefore::read(bytes, fixed > SPLIT, SPLIT, rest)?,
        })
    }
}

impl<'a> Merge<'a> {
    fn read(bytes: &'a [u8], fixed: usize) -> Option<Self> {
        let (flags, key) = (*bytes.get(84)?, short(bytes, 86)?);
        Some(Self {
            right: u32_at(bytes, 32)?,
            right_before: u64_at(bytes, 36)?,
            left: u32_at(bytes, 44)?,
            left_before: u64_at(bytes, 48)?,
            line: short(bytes, 82)?,
            has_other_key: flags & 1 != 0,
            loses_node: flags & 2 != 0,
            gets_empty: flags & 4 != 0,
            how: *bytes.get(85)?,
            key: piece(bytes, fixed, key)?,
            image: PageBefore::read(bytes, fixed > MERGE, MERGE, fixed.checked_add(key)?)?,
        })
    }
}

impl<'a> Move<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        Some(Self {
            to: u32_at(bytes, 32)?,
            left: u32_at(bytes, 36)?,
            right: u32_at(bytes, 40)?,
            parent: u32_at(bytes, 44)?,
            left_before: u64_at(bytes, 48)?,
            right_before: u64_at(bytes, 56)?,
            parent_before: u64_at(bytes, 64)?,
            parent_line: usize::try_from(u32_at(bytes, 80)?).ok()?,
            is_root: u32_at(bytes, 84)? != 0,
            image: bytes.get(MOVE..)?,
        })
    }
}

impl<'a> PageBefore<'a> {
    /// The image from `at` on, if the record has one; `words` is where its flags stand.
    fn read(bytes: &'a [u8], has_image: bool, words: usize, at: usize) -> Option<Self> {
        if !has_image {
            return Some(Self::default());
        }
        let is_packed = u32_at(bytes, words)? & 2 != 0;
        Some(Self { bytes: bytes.get(at..)?, is_packed })
    }
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    u16_at(bytes, at).map(usize::from)
}
