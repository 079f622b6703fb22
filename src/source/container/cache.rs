//! Blocks that cost work to get (inflated chunks, tables): each is made once while
//! it is kept, by whichever thread comes first, and the others wait for that one.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

/// Bytes of inflated chunks kept for one image.
pub(super) const CHUNK_CACHE_BYTES: usize = 64 << 20;
/// Bytes of tables (where the chunks lie) kept for one image.
pub(super) const TABLE_CACHE_BYTES: usize = 8 << 20;
/// Locks over which neighbouring blocks are spread.
const MAX_SHARDS: usize = 16;
/// A read of at least so many blocks is shared among the cores.
const PARALLEL_BLOCKS: usize = 4;

/// The most recently used blocks, at most so many bytes.
pub(in crate::source) struct Cache {
    shards: Vec<Shard>,
    /// Bytes of one shard; one block is kept even if it is larger.
    limit: usize,
}

#[derive(Default)]
struct Shard {
    state: Mutex<State>,
    loaded: Condvar,
}

#[derive(Default)]
struct State {
    slots: HashMap<u64, Slot>,
    bytes: usize,
    clock: u64,
    /// How often everything was let go.
    cleared: u64,
}

enum Slot {
    Loading,
    Ready { bytes: Arc<Vec<u8>>, used: u64 },
}

impl Cache {
    /// A cache of `limit` bytes for blocks of about `block` bytes.
    pub(in crate::source) fn new(limit: usize, block: usize) -> Self {
        let shards = (limit / block.max(1) / 2).clamp(1, MAX_SHARDS);
        Self { shards: (0..shards).map(|_| Shard::default()).collect(), limit: limit / shards }
    }

    /// The block of that number, made by `load` if it is not kept. `load` must not
    /// wait for other threads' blocks.
    ///
    /// # Errors
    ///
    /// That of `load`; errors are not kept.
    pub(in crate::source) fn get(
        &self,
        key: u64,
        load: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<Arc<Vec<u8>>> {
        let shard = usize::try_from(key % self.shards.len().max(1) as u64).unwrap_or_default();
        let Some(shard) = self.shards.get(shard) else { return load().map(Arc::new) };
        let mut state = shard.lock();
        loop {
            match state.touch(key) {
                Some(Some(bytes)) => return Ok(bytes),
                Some(None) => {
                    state = shard.loaded.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                None => break,
            }
        }
        state.slots.insert(key, Slot::Loading);
        let cleared = state.cleared;
        drop(state);
        let mut ticket = Ticket { shard, key, limit: self.limit, cleared, made: None };
        let bytes = Arc::new(load()?);
        ticket.made = Some(Arc::clone(&bytes));
        Ok(bytes)
    }

    /// Lets go of all blocks; those being made just now are not kept either.
    #[cfg(any(windows, test))]
    pub(in crate::source) fn clear(&self) {
        for shard in &self.shards {
            let mut state = shard.lock();
            state.slots.retain(|_, slot| matches!(slot, Slot::Loading));
            state.bytes = 0;
            state.cleared = state.cleared.saturating_add(1);
        }
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A block being made: whatever becomes of it, those who wait are woken.
struct Ticket<'a> {
    shard: &'a Shard,
    key: u64,
    limit: usize,
    cleared: u64,
    made: Option<Arc<Vec<u8>>>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.shard.lock();
        match self.made.take().filter(|_| state.cleared == self.cleared) {
            Some(bytes) => state.keep(self.key, bytes, self.limit),
            None => drop(state.slots.remove(&self.key)),
        }
        drop(state);
        self.shard.loaded.notify_all();
    }
}

impl State {
    /// The block if it is there, `Some(None)` while another thread makes it.
    fn touch(&mut self, key: u64) -> Option<Option<Arc<Vec<u8>>>> {
        self.clock = self.clock.saturating_add(1);
        match self.slots.get_mut(&key)? {
            Slot::Loading => Some(None),
            Slot::Ready { bytes, used } => {
                *used = self.clock;
                Some(Some(Arc::clone(bytes)))
            }
        }
    }

    fn keep(&mut self, key: u64, bytes: Arc<Vec<u8>>, limit: usize) {
        while self.bytes.saturating_add(bytes.len()) > limit && self.evict() {}
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.slots.insert(key, Slot::Ready { bytes, used: self.clock });
    }

    /// Forgets the block unused for longest; false when there is none.
    fn evict(&mut self) -> bool {
        let ready = self.slots.iter().filter_map(|(key, slot)| match slot {
            Slot::Ready { used, .. } => Some((*used, *key)),
            Slot::Loading => None,
        });
        let Some((_, key)) = ready.min() else { return false };
        if let Some(Slot::Ready { bytes, .. }) = self.slots.remove(&key) {
            self.bytes = self.bytes.saturating_sub(bytes.len());
        }
        true
    }
}

/// Fills `buf` from `offset` of a disk of `size` bytes by its blocks of `block`
/// bytes: `fill` gets a block's number, an offset in it and the bytes to fill.
/// Long reads are shared among the cores.
///
/// # Errors
///
/// That of the first block in order that `fill` could not give.
pub(super) fn read_blocks(
    (size, block): (u64, u64),
    offset: u64,
    buf: &mut [u8],
    fill: impl Fn(u64, u64, &mut [u8]) -> io::Result<()> + Sync,
) -> io::Result<usize> {
    let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let n = left.min(buf.len());
    let mut rest = buf.get_mut(..n).unwrap_or_default();
    let mut at = offset;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (Some(number), Some(within)) = (at.checked_div(block), at.checked_rem(block)) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let room = usize::try_from(block.saturating_sub(within)).unwrap_or(usize::MAX);
        let (piece, after) = rest.split_at_mut(room.min(rest.len()));
        at = at.saturating_add(piece.len() as u64);
        pieces.push((number, within, piece));
        rest = after;
    }
    if pieces.len() < PARALLEL_BLOCKS {
        pieces.into_iter().try_for_each(|(number, within, piece)| fill(number, within, piece))?;
    } else {
        let done: Vec<io::Result<()>> = pieces
            .into_par_iter()
            .map(|(number, within, piece)| fill(number, within, piece))
            .collect();
        done.into_iter().collect::<io::Result<()>>()?;
    }
    Ok(n)
}

/// Copies `to.len()` bytes at `within` of a block; zeros where a short block ends.
pub(super) fn copy(block: &[u8], within: u64, to: &mut [u8]) {
    let from = usize::try_from(within).ok().and_then(|at| block.get(at..)).unwrap_or_default();
    let n = from.len().min(to.len());
    let (head, tail) = to.split_at_mut(n);
    head.copy_from_slice(from.get(..n).unwrap_or_default());
    tail.fill(0);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_block_is_made_once_by_whoever_asks_first() {
        let cache = Cache::new(1 << 20, 1 << 10);
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for key in 0..200 {
                        let load = || {
                            made.fetch_add(1, Ordering::SeqCst);
                            Ok(vec![0; 1 << 10])
                        };
                        cache.get(key, load).unwrap();
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 200);
    }

    #[test]
    fn what_was_let_go_is_made_anew() {
        let cache = Cache::new(64 << 10, 1 << 10);
        let get = |byte| cache.get(7, || Ok(vec![byte])).unwrap()[0];
        assert_eq!((get(1), get(2)), (1, 1));
        cache.clear();
        assert_eq!(get(3), 3);
        // Of a block that was being made meanwhile nobody knows how old it is.
        let while_made = || {
            cache.clear();
            Ok(vec![4])
        };
        cache.clear();
        assert_eq!(cache.get(7, while_made).unwrap()[0], 4);
        assert_eq!(get(5), 5);
    }

    #[test]
    fn no_more_is_kept_than_allowed_and_errors_are_not() {
        let cache = Cache::new(64 << 10, 1 << 10);
        for key in 0..1000 {
            cache.get(key, || Ok(vec![0; 1 << 10])).unwrap();
        }
        let kept: usize = cache.shards.iter().map(|shard| shard.lock().bytes).sum();
        assert!(kept <= 64 << 10 && kept > 32 << 10, "{kept}");
        assert!(cache.get(5000, || Err(io::ErrorKind::Other.into())).is_err());
        assert!(cache.get(5000, || Ok(vec![1])).is_ok());
    }
}
