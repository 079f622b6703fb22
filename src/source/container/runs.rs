//! Blocks whose parts lie in different places, as a bitmap says.

use std::io;

/// Fills `to` from `within` of a block whose units of `unit` bytes are each in some
/// state: `fill` gets neighbours of one state together, with their offset in the block.
///
/// # Errors
///
/// That of `state` or `fill`.
pub(super) fn by_runs<S: PartialEq + Copy>(
    unit: u64,
    within: u64,
    to: &mut [u8],
    state: impl Fn(u64) -> io::Result<S>,
    fill: impl Fn(S, u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let number = |at: u64| at.checked_div(unit).ok_or(io::ErrorKind::InvalidData);
    let mut at = within;
    let mut rest = to;
    while !rest.is_empty() {
        let here = state(number(at)?)?;
        let end = at.saturating_add(rest.len() as u64);
        let mut next = number(at)?.saturating_add(1);
        while next.saturating_mul(unit) < end && state(next)? == here {
            next = next.saturating_add(1);
        }
        let len = next.saturating_mul(unit).min(end).saturating_sub(at);
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
        let (run, after) = rest.split_at_mut(len);
        fill(here, at, run)?;
        at = at.saturating_add(run.len() as u64);
        rest = after;
    }
    Ok(())
}
