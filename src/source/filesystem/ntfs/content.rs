//! A content that lies in clusters, read at any offset.

use std::io;
use std::sync::Arc;

use crate::model::ReadAt;

use super::super::bytes::fill_exactly;
use super::runs::Run;

/// The bytes of a content whose runs are known. Holes and what was never
/// written read as zeros; what no run maps is an error, not zeros.
pub(super) struct Content {
    pub(super) volume: Arc<dyn ReadAt>,
    /// Bytes per cluster.
    pub(super) cluster: u64,
    /// In order, none before the end of the one before.
    pub(super) runs: Vec<Run>,
    /// Bytes.
    pub(super) size: u64,
    /// Bytes that were written.
    pub(super) initialized: u64,
}

impl Content {
    /// The run that holds that cluster of the content.
    pub(super) fn run_at(&self, vcn: u64) -> Option<Run> {
        let after = self.runs.partition_point(|run| run.vcn <= vcn);
        self.runs.get(after.checked_sub(1)?).copied().filter(|run| vcn < run.end())
    }

    /// Reads what one run, or what lies behind the written part, has for the
    /// start of `buf`; how many bytes that were.
    fn read_once(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.initialized {
            buf.fill(0);
            return Ok(buf.len());
        }
        let written = self.initialized.saturating_sub(offset);
        let n = usize::try_from(written).unwrap_or(usize::MAX).min(buf.len());
        self.read_stored(offset, buf.get_mut(..n).unwrap_or_default())
    }

    /// The same without regard to what was written: the clusters as they are.
    pub(super) fn read_stored(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let run = self.run_at(offset / self.cluster).ok_or_else(|| unmapped(offset))?;
        let within = offset.saturating_sub(run.vcn.saturating_mul(self.cluster));
        let left = run.length.saturating_mul(self.cluster).saturating_sub(within);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let part = buf.get_mut(..n).unwrap_or_default();
        match run.lcn {
            None => part.fill(0),
            Some(lcn) => {
                let at = lcn.saturating_mul(self.cluster).saturating_add(within);
                fill_exactly(&*self.volume, at, part)?;
            }
        }
        Ok(n)
    }
}

impl ReadAt for Content {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buf.len());
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..wanted).filter(|rest| !rest.is_empty()) {
            let n = self.read_once(offset.saturating_add(filled as u64), rest)?;
            filled = filled.saturating_add(n);
        }
        Ok(filled)
    }

    fn forget(&self) {
        self.volume.forget();
    }
}

fn unmapped(offset: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the file system does not say where its bytes from {offset:#x} on lie"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let run = |vcn, length, lcn| Run { vcn, length, lcn };
        Content {
            volume: Arc::new((0u8..=255).collect::<Vec<u8>>()),
            cluster: 4,
            runs: vec![
                run(0, 2, Some(8)),
                run(2, 1, None),
                run(3, 1, Some(0)),
                run(9, 1, Some(99)),
            ],
            size: 50,
            initialized: 14,
        }
    }

    #[test]
    fn runs_holes_and_the_unwritten_join() {
        let mut buf = [9; 18];
        assert_eq!(content().read_at(6, &mut buf).unwrap(), 18);
        assert_eq!(buf, [38, 39, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(content().read_at(49, &mut buf).unwrap(), 1);
        assert_eq!(content().read_at(u64::MAX, &mut buf).unwrap(), 0);
    }

    #[test]
    fn what_no_run_maps_is_an_error() {
        let all = Content { initialized: 50, ..content() };
        assert!(all.read_at(14, &mut [0; 4]).is_err());
        assert!(all.read_at(36, &mut [0; 4]).is_err());
    }
}
