//! What is wrong with records, counted: a damaged volume has thousands.

use crate::model::{EvidencePath, Locator, Problem, Stage};

/// Of each kind, so many are named; the rest is counted.
const MAX_NAMED: usize = 20;

/// What can be wrong with one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    Unreadable,
    Baad,
    Signature,
    Torn,
    Header,
    Attribute,
    FromMirror,
    Parent,
    Cycle,
    Directories,
    Depth,
    Name,
    Claims,
    Streams,
    Extension,
    Nameless,
}

impl Wrong {
    const ALL: [Self; 16] = [
        Self::Unreadable,
        Self::Baad,
        Self::Signature,
        Self::Torn,
        Self::Header,
        Self::Attribute,
        Self::FromMirror,
        Self::Parent,
        Self::Cycle,
        Self::Directories,
        Self::Depth,
        Self::Name,
        Self::Claims,
        Self::Streams,
        Self::Extension,
        Self::Nameless,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "the volume cannot be read there",
            Self::Baad => "marked BAAD: a consistency check gave it up; not read",
            Self::Signature => "does not begin with FILE; not read",
            Self::Torn => "its update sequence does not match: a torn write; not read",
            Self::Header => "its header points outside of it; not read",
            Self::Attribute => "an attribute reaches outside of it; read up to there",
            Self::FromMirror => "damaged; read from $MFTMirr",
            Self::Parent => "present, but the directory it names is not; shown in $OrphanFiles",
            Self::Cycle => "a directory that holds itself; shown in $OrphanFiles",
            Self::Directories => "a directory with several names; entered by the first",
            Self::Depth => "deeper or with a longer path than Windows allows; not entered",
            Self::Name => "its name cannot be shown as stored: U+FFFD stands for the rest",
            Self::Claims => "removed with very many runs; its content is not looked for",
            Self::Streams => "very many names and streams; the streams are shown by its first name",
            Self::Extension => {
                "continues no file that is there; its names and streams are left out"
            }
            Self::Nameless => "in use, but no name of it can be read; not shown",
        }
    }
}

/// What was wrong, in the order it was met.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints {
    counts: [u64; Wrong::ALL.len()],
    named: Vec<(Wrong, u32)>,
}

impl Complaints {
    pub(super) fn add(&mut self, wrong: Wrong, number: u32) {
        let Some(count) = self.counts.get_mut(wrong as usize) else { return };
        *count = count.saturating_add(1);
        if *count <= MAX_NAMED as u64 {
            self.named.push((wrong, number));
        }
    }

    /// Takes over what another part of the table met, behind what is here.
    pub(super) fn append(&mut self, other: &Self) {
        for wrong in Wrong::ALL {
            let at = wrong as usize;
            let named = other.named.iter().filter(|(kind, _)| *kind == wrong);
            let mut before = 0u64;
            for (_, number) in named {
                self.add(wrong, *number);
                before = before.saturating_add(1);
            }
            let more = other.counts.get(at).map_or(0, |count| count.saturating_sub(before));
            if let Some(count) = self.counts.get_mut(at) {
                *count = count.saturating_add(more);
            }
        }
    }

    /// By kind, then as met; one more per kind that has more than are named.
    pub(super) fn report(&self, mft: &EvidencePath, problem: &mut dyn FnMut(Problem)) {
        let met = |locator, message| Problem {
            path: Some(mft.clone()),
            locator,
            stage: Stage::Source,
            message,
        };
        for wrong in Wrong::ALL {
            let named = self.named.iter().filter(|(kind, _)| *kind == wrong);
            for (_, number) in named.clone() {
                let locator = Locator::Record(u64::from(*number));
                problem(met(Some(locator), format!("record {number}: {}", wrong.as_str())));
            }
            let count = self.counts.get(wrong as usize).copied().unwrap_or_default();
            let more = count.saturating_sub(named.count() as u64);
            if more > 0 {
                problem(met(None, format!("{more} more records like it: {}", wrong.as_str())));
            }
        }
    }
}
