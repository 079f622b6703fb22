//! Mapping pairs: which clusters of the volume hold which clusters of a content.
//!
//! Each pair is a byte of two lengths, then a count of clusters and a signed
//! distance from the cluster before; without a distance the run is a hole.

/// Runs of one content; a file of a terabyte in pieces of a megabyte has as many.
pub(super) const MAX_RUNS: usize = 1 << 20;

/// Clusters that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First cluster of the content.
    pub(super) vcn: u64,
    /// Clusters.
    pub(super) length: u64,
    /// First cluster of the volume; `None` is a hole.
    pub(super) lcn: Option<u64>,
}

impl Run {
    /// The cluster of the content behind it.
    pub(super) fn end(&self) -> u64 {
        self.vcn.saturating_add(self.length)
    }
}

/// The runs of one piece, the first of them at `first`.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    bytes: &'a [u8],
    vcn: u64,
    lcn: u64,
    /// Clusters of the volume.
    clusters: u64,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(bytes: &'a [u8], first: u64, clusters: u64) -> Self {
        Self { bytes, vcn: first, lcn: 0, clusters }
    }

    /// What stands behind the pairs that were handed out.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn pair(&mut self, lengths: u8) -> Result<Run, String> {
        let cut = || "its run list is cut short".to_owned();
        let (count, distance) = (usize::from(lengths & 15), usize::from(lengths >> 4));
        let length = number(self.bytes.get(1..count.saturating_add(1)).ok_or_else(cut)?, false);
        let rest = self.bytes.get(count.saturating_add(1)..).ok_or_else(cut)?;
        let (distance, rest) = rest.split_at_checked(distance).ok_or_else(cut)?;
        let length = length
            .and_then(|n| u64::try_from(n).ok())
            .filter(|n| *n != 0 && self.vcn.checked_add(*n).is_some_and(|end| end < 1 << 62))
            .ok_or_else(|| "its run list holds an impossible length".to_owned())?;
        let lcn = if distance.is_empty() {
            None
        } else {
            let lcn = number(distance, true).and_then(|n| self.lcn.checked_add_signed(n));
            let inside =
                lcn.filter(|lcn| lcn.checked_add(length).is_some_and(|end| end <= self.clusters));
            let at = inside.ok_or_else(|| {
                format!("its run list leaves the volume of {} clusters", self.clusters)
            })?;
            self.lcn = at;
            Some(at)
        };
        let run = Run { vcn: self.vcn, length, lcn };
        self.vcn = run.end();
        self.bytes = rest;
        Ok(run)
    }
}

impl Iterator for Pairs<'_> {
    type Item = Result<Run, String>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.bytes.first() {
            None | Some(0) => None,
            Some(lengths) => {
                let run = self.pair(*lengths);
                if run.is_err() {
                    self.bytes = &[];
                }
                Some(run)
            }
        }
    }
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8], signed: bool) -> Option<i64> {
    let negative = signed && bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Plain = (u64, u64, Option<u64>);

    fn check(pairs: &[u8], expected: Result<&[Plain], &str>) {
        let found: Result<Vec<_>, _> = Pairs::new(pairs, 0, 1 << 32)
            .map(|run| run.map(|run| (run.vcn, run.length, run.lcn)))
            .collect();
        assert_eq!(found, expected.map(<[_]>::to_vec).map_err(str::to_owned));
    }

    #[test]
    fn distances_are_signed_and_holes_have_none() {
        check(
            &[0x21, 3, 0x00, 0x10, 0x01, 5, 0x11, 2, 0xff, 0],
            Ok(&[(0, 3, Some(0x1000)), (3, 5, None), (8, 2, Some(0xfff))]),
        );
        check(&[], Ok(&[]));
    }

    #[test]
    fn impossible_lists_are_refused() {
        check(&[0x11, 3], Err("its run list is cut short"));
        check(&[0xf9, 3], Err("its run list is cut short"));
        check(&[0x11, 0, 4], Err("its run list holds an impossible length"));
        check(&[0x10, 4], Err("its run list holds an impossible length"));
        let leaves = "its run list leaves the volume of 4294967296 clusters";
        check(&[0x11, 1, 0x80], Err(leaves));
        check(&[0x51, 1, 0, 0, 0, 0, 1], Err(leaves));
    }
}
