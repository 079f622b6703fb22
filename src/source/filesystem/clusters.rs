//! Clusters and the table that chains them, as FAT and exFAT have them.

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::model::ReadAt;

use super::bytes::{Paged, ends_before, fill, read_up_to, u16_at, u32_at};
use super::runs::{Place, Runs};
use super::tree::Budget;

/// No FAT has a larger number of clusters.
pub(super) const MAX_CLUSTERS: u64 = 0xffff_fff5;
/// The first cluster's number.
pub(super) const FIRST: u64 = 2;

/// How an entry of the table is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Twelve,
    Sixteen,
    /// The four high bits are not the number's.
    TwentyEight,
    ThirtyTwo,
}

/// What an entry of the table says of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Free,
    Next(u64),
    End,
    /// Marked bad, or a number that no cluster has.
    Bad,
}

/// Where clusters lie and what follows each.
pub(super) struct Clusters {
    pub(super) volume: Arc<dyn ReadAt>,
    tables: Arc<Paged>,
    pub(super) width: Width,
    /// First byte of the table.
    pub(super) table: u64,
    /// First byte of the first cluster.
    pub(super) data: u64,
    /// Bytes of a cluster.
    pub(super) size: u64,
    /// How many there are.
    pub(super) count: u64,
}

/// A chain of clusters as far as it can be followed.
pub(super) struct Chain {
    pub(super) runs: Runs,
    /// The last cluster is marked as the last, or enough were found.
    pub(super) is_whole: bool,
}

impl Clusters {
    pub(super) fn new(volume: Arc<dyn ReadAt>, width: Width, table: u64, data: u64) -> Self {
        let tables = Arc::new(Paged::new(Arc::clone(&volume)));
        Self { volume, tables, width, table, data, size: 0, count: 0 }
    }

    /// Whether there is a cluster of that number.
    pub(super) fn has(&self, cluster: u64) -> bool {
        cluster >= FIRST && cluster - FIRST < self.count
    }

    /// The byte of the volume that a cluster begins at.
    pub(super) fn offset(&self, cluster: u64) -> Option<u64> {
        if !self.has(cluster) {
            return None;
        }
        (cluster - FIRST).checked_mul(self.size)?.checked_add(self.data)
    }

    /// What the table says of a cluster.
    pub(super) fn link(&self, cluster: u64) -> io::Result<Link> {
        let (pair, n) = match self.width {
            // Two entries in three bytes.
            Width::Twelve => (cluster / 2 * 3, cluster % 2),
            Width::Sixteen => (cluster.saturating_mul(2), 0),
            Width::TwentyEight | Width::ThirtyTwo => (cluster.saturating_mul(4), 0),
        };
        let mut bytes = [0; 4];
        let at = self.table.saturating_add(pair);
        let n = usize::try_from(n).unwrap_or_default();
        let got = fill(&*self.tables, at, &mut bytes)?;
        let value = bytes.get(..got).and_then(|bytes| self.value(bytes, n));
        let value = value.ok_or_else(|| ends_before(&*self.volume, at))?;
        let end = match self.width {
            Width::Twelve => 0xff8,
            Width::Sixteen => 0xfff8,
            Width::TwentyEight => 0x0fff_fff8,
            Width::ThirtyTwo => 0xffff_fff8,
        };
        Ok(match value {
            0 => Link::Free,
            value if value >= end => Link::End,
            value if self.has(value) => Link::Next(value),
            _ => Link::Bad,
        })
    }

    /// The chain from `first` on, up to that many bytes. It ends where the table
    /// says so, where it cannot go on, and where it comes back to itself.
    pub(super) fn chain(&self, first: u64, bytes: u64, budget: &mut Budget) -> Chain {
        let mut runs = Runs::default();
        let mut cluster = first;
        // Brent: the mark is met again if the chain is a ring.
        let (mut mark, mut steps, mut power) = (first, 0u64, 1u64);
        let is_whole = loop {
            if runs.len() >= bytes {
                break true;
            }
            let Some(at) = self.offset(cluster) else { break false };
            if !budget.take(4) || runs.push(Place::At(at), self.size).is_err() {
                break false;
            }
            match self.link(cluster) {
                Ok(Link::Next(next)) => cluster = next,
                Ok(Link::End) => break true,
                Ok(Link::Free | Link::Bad) | Err(_) => break false,
            }
            if cluster == mark {
                break false;
            }
            steps = steps.saturating_add(1);
            if steps == power {
                (mark, steps, power) = (cluster, 0, power.saturating_mul(2));
            }
        };
        // A ring is met one round late.
        let is_whole = !runs.cut_repeats() && is_whole;
        Chain { runs, is_whole }
    }

    /// The clusters that so many bytes take from `first` on, one after the other.
    pub(super) fn row(&self, first: u64, bytes: u64) -> Option<Range<u64>> {
        let end = first.checked_add(bytes.div_ceil(self.size))?;
        (self.has(first) && end - FIRST <= self.count).then_some(first..end)
    }

    /// One cluster after the other.
    pub(super) fn straight(&self, clusters: &Range<u64>, bytes: u64) -> Runs {
        let mut runs = Runs::default();
        if let Some(at) = self.offset(clusters.start) {
            // One piece is never too many.
            runs.push(Place::At(at), bytes).ok();
        }
        runs
    }

    /// Which clusters are in use, as the table says.
    pub(super) fn usage_of_table(&self) -> Usage {
        let mut usage = Usage::default();
        let (entries, bytes) = match self.width {
            Width::Twelve => (32 << 10, 48 << 10),
            Width::Sixteen => (24 << 10, 48 << 10),
            Width::TwentyEight | Width::ThirtyTwo => (12 << 10, 48 << 10),
        };
        let end = FIRST.saturating_add(self.count);
        let (mut first, mut at) = (0u64, self.table);
        while first < end {
            let table = read_up_to(&*self.volume, at, bytes).unwrap_or_default();
            for n in 0..entries {
                let cluster = first.saturating_add(n as u64);
                if (FIRST..end).contains(&cluster) {
                    // Whatever cannot be read counts as in use.
                    usage.push(self.value(&table, n) != Some(0));
                }
            }
            first = first.saturating_add(entries as u64);
            at = at.saturating_add(bytes as u64);
        }
        usage
    }

    /// The `n`-th entry of a piece of the table that begins with an even one.
    fn value(&self, table: &[u8], n: usize) -> Option<u64> {
        match self.width {
            Width::Twelve => {
                let half = u64::from(u16_at(table, n.checked_mul(3)? / 2)?);
                Some(if n % 2 == 1 { half >> 4 } else { half & 0xfff })
            }
            Width::Sixteen => u16_at(table, n.checked_mul(2)?).map(u64::from),
            Width::TwentyEight => {
                u32_at(table, n.checked_mul(4)?).map(|word| u64::from(word & 0x0fff_ffff))
            }
            Width::ThirtyTwo => u32_at(table, n.checked_mul(4)?).map(u64::from),
        }
    }

    /// Which clusters are in use, as a bitmap of the volume says.
    pub(super) fn usage_of_bitmap(&self, bitmap: &dyn ReadAt) -> Usage {
        let mut usage = Usage::default();
        let mut buf = vec![0; 1 << 16];
        let mut at = 0u64;
        while usage.len < self.count {
            let n = fill(bitmap, at, &mut buf).unwrap_or(0);
            if n == 0 {
                break;
            }
            for byte in buf.get(..n).unwrap_or_default() {
                (0..8).for_each(|bit| usage.push(byte >> bit & 1 != 0));
            }
            at = at.saturating_add(n as u64);
        }
        usage
    }
}

/// Which clusters are in use, in a form that counts those of a range quickly.
#[derive(Default)]
pub(super) struct Usage {
    words: Vec<u64>,
    /// In use before every [`Usage::STRIDE`]-th word.
    before: Vec<u64>,
    total: u64,
    /// Clusters known.
    len: u64,
}

impl Usage {
    const STRIDE: usize = 256;

    fn push(&mut self, used: bool) {
        let bit = self.len % 64;
        if bit == 0 {
            if self.words.len().is_multiple_of(Self::STRIDE) {
                self.before.push(self.total);
            }
            self.words.push(0);
        }
        if used && let Some(word) = self.words.last_mut() {
            *word |= 1 << bit;
            self.total = self.total.saturating_add(1);
        }
        self.len = self.len.saturating_add(1);
    }

    /// Clusters in use below the `n`-th.
    fn below(&self, n: u64) -> u64 {
        let word = usize::try_from(n / 64).unwrap_or(usize::MAX);
        let stride = word / Self::STRIDE;
        let Some(before) = self.before.get(stride) else { return self.total };
        let first = stride.saturating_mul(Self::STRIDE);
        let whole = self.words.get(first..word).unwrap_or_default();
        let rest = self.words.get(word).map_or(0, |word| word & ((1u64 << (n % 64)) - 1));
        let counted: u64 = whole.iter().map(|word| u64::from(word.count_ones())).sum();
        before.saturating_add(counted).saturating_add(rest.count_ones().into())
    }

    /// Whether none of the clusters is in use; those not known are.
    pub(super) fn is_free(&self, clusters: &Range<u64>) -> bool {
        let (first, end) =
            (clusters.start.saturating_sub(FIRST), clusters.end.saturating_sub(FIRST));
        end <= self.len && self.below(first) == self.below(end)
    }
}

/// Which clusters are in use, found when it is first asked for.
pub(super) type Lazy = OnceLock<Usage>;

/// The clusters of a directory one by one, up to a limit.
///
/// The place of each on the volume, and whether some could not be read.
pub(super) fn blocks(
    volume: &dyn ReadAt,
    runs: &Runs,
    step: u64,
    budget: &mut Budget,
) -> (Vec<(u64, Vec<u8>)>, bool) {
    let mut blocks = Vec::new();
    for run in runs.iter() {
        let Place::At(start) = run.place else { return (blocks, false) };
        let mut done = 0u64;
        while done < run.len {
            let len = step.min(run.len.saturating_sub(done));
            let at = start.saturating_add(done);
            if !budget.take(len) {
                return (blocks, false);
            }
            match read_up_to(volume, at, usize::try_from(len).unwrap_or_default()) {
                Ok(block) if block.len() as u64 == len => blocks.push((at, block)),
                _ => return (blocks, false),
            }
            done = done.saturating_add(len);
        }
    }
    (blocks, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twelve(entries: &[u16], count: u64) -> Clusters {
        let mut table = vec![0u8; 64];
        for (n, value) in entries.iter().enumerate() {
            let at = n * 3 / 2;
            let old = u16::from_le_bytes([table[at], table[at + 1]]);
            let new = if n % 2 == 1 { old & 0x000f | value << 4 } else { old & 0xf000 | value };
            table[at..at + 2].copy_from_slice(&new.to_le_bytes());
        }
        let mut clusters = Clusters::new(Arc::new(table), Width::Twelve, 0, 1000);
        (clusters.size, clusters.count) = (512, count);
        clusters
    }

    #[test]
    fn chains_end_where_the_table_says_and_rings_are_left() {
        let clusters = twelve(&[0xff8, 0xfff, 3, 4, 0xfff, 6, 7, 5, 0, 0x123], 8);
        let of = |first, bytes| {
            let chain = clusters.chain(first, bytes, &mut Budget::new(1000));
            (chain.runs.len() / 512, chain.is_whole)
        };
        assert_eq!(of(2, u64::MAX), (3, true));
        assert_eq!(of(2, 600), (2, true));
        assert_eq!(of(8, u64::MAX), (1, false), "free");
        assert_eq!(of(9, u64::MAX), (1, false), "no such cluster");
        assert_eq!(of(10, u64::MAX), (0, false), "beyond the last");
        let (found, whole) = of(5, u64::MAX);
        assert!(!whole && found < 10, "a ring of three: {found}");
    }

    #[test]
    fn clusters_in_use_are_counted_over_long_ranges() {
        let mut usage = Usage::default();
        (0..100_000u64).for_each(|n| usage.push(n == 5 || n == 70_000));
        for (range, free) in [
            (2..7, true),
            (2..8, false),
            (7..8, false),
            (8..70_002, true),
            (8..70_003, false),
            (70_003..100_002, true),
            (70_003..100_003, false),
        ] {
            assert_eq!(usage.is_free(&range), free, "{range:?}");
        }
    }
}
