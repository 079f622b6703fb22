//! What is kept of each record: a node, a row per name and a row per stream.
//!
//! Rows are small because a volume has millions; texts lie in one arena.

/// No record, name or stream.
pub(super) const NONE: u32 = u32::MAX;

/// A node's flags.
pub(super) mod node {
    /// The record could be read.
    pub(in super::super) const READ: u16 = 1;
    pub(in super::super) const IN_USE: u16 = 2;
    pub(in super::super) const DIRECTORY: u16 = 4;
    /// It continues another record and is no file of its own.
    pub(in super::super) const EXTENSION: u16 = 8;
    /// A symbolic link or junction.
    pub(in super::super) const LINK: u16 = 16;
    /// Its content is that of its stream `WofCompressedData`, unpacked.
    pub(in super::super) const WOF: u16 = 32;
    /// Clusters of the removed file hold something else now.
    pub(in super::super) const REUSED: u16 = 64;
    /// It has a reparse point of another kind: its content may be elsewhere.
    pub(in super::super) const REPARSE: u16 = 128;
    /// It has more names and streams than can all be shown with each other.
    pub(in super::super) const CROWDED: u16 = 1024;
    /// A directory whose index has blocks outside of its record.
    pub(in super::super) const INDEXED: u16 = 256;
}

/// One record of `$MFT`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Node {
    /// Created, modified, record changed, accessed: 100 ns since 1601.
    pub(super) times: [u64; 4],
    /// Of the first row of its names, and of its streams; [`NONE`] for none.
    pub(super) names: u32,
    pub(super) streams: u32,
    /// As the header has it: already counted up where the file was removed.
    pub(super) sequence: u16,
    pub(super) flags: u16,
}

impl Node {
    pub(super) fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether it stands for a file, present or removed.
    pub(super) fn is_file(&self) -> bool {
        self.is(node::READ) && !self.is(node::EXTENSION)
    }

    /// The sequence number while the file was there: what references to it bear.
    pub(super) fn own_sequence(&self) -> u16 {
        if self.is(node::IN_USE) {
            return self.sequence;
        }
        match self.sequence.wrapping_sub(1) {
            0 => u16::MAX, // 0 is never given
            before => before,
        }
    }
}

/// A name's flags.
pub(super) mod name {
    /// An 8.3 name beside a long one: found, never shown.
    pub(in super::super) const HIDDEN: u8 = 1;
    /// An 8.3 name.
    pub(in super::super) const DOS: u8 = 2;
    /// Not shown as stored.
    pub(in super::super) const ALTERED: u8 = 4;
}

/// One `$FILE_NAME`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// Created, modified, record changed, accessed: 100 ns since 1601.
    pub(super) times: [u64; 4],
    pub(super) owner: u32,
    /// [`NONE`] where the stored number is beyond any record.
    pub(super) parent: u32,
    pub(super) parent_sequence: u16,
    /// In the arena; bytes.
    pub(super) length: u16,
    pub(super) text: u32,
    pub(super) flags: u8,
}

/// A stream's flags.
pub(super) mod stream {
    /// Its content lies in the record.
    pub(in super::super) const RESIDENT: u8 = 1;
    /// Its first piece does not map all of it.
    pub(in super::super) const PARTIAL: u8 = 2;
    pub(in super::super) const ALTERED: u8 = 4;
    /// Its run list cannot be, or pieces of it are missing.
    pub(in super::super) const BROKEN: u8 = 8;
    /// Its content lies in the record and is of no format that is looked for.
    pub(in super::super) const PLAIN: u8 = 16;
}

/// One `$DATA`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// Bytes.
    pub(super) size: u64,
    pub(super) owner: u32,
    /// The record that holds the attribute, and the attribute's number there.
    pub(super) holder: u32,
    pub(super) id: u16,
    /// Of its name in the arena; 0 for the file's content.
    pub(super) length: u16,
    pub(super) text: u32,
    /// Its map, or its content, in the arena of what is kept; [`NONE`] where only
    /// the record has it.
    pub(super) kept: u32,
    pub(super) flags: u8,
}

/// A record that continues another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension {
    pub(super) number: u32,
    pub(super) base: u32,
    pub(super) base_sequence: u16,
    pub(super) in_use: bool,
    /// The rows that it gave, in its segment.
    pub(super) names: Rows,
    pub(super) streams: Rows,
}

/// Rows that follow each other: the first, and the one behind the last.
pub(super) type Rows = (u32, u32);

/// A piece of a removed stream that its first piece does not map all of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    pub(super) owner: u32,
    /// Of the stream's name.
    pub(super) hash: u64,
    /// The clusters of the content that it maps: from here, to before there.
    pub(super) first: u64,
    pub(super) end: u64,
    /// Clusters that were written; 0 in all but the first piece.
    pub(super) written: u64,
}

/// Clusters that a removed file had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) lcn: u64,
    pub(super) length: u64,
    pub(super) owner: u32,
}
