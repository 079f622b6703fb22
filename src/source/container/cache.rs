//! Blocks that cost work to get (inflated chunks, tables): each is made once while
//! it is kept, by whichever thread comes first, and the others wait for that one.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

/// Bytes of inflated chunks kept for all images that are open: so much that the logs of
/// one are still there when they are read again.
const CHUNKS_BYTES: usize = 144 << 20;
/// And for each at least, however many are open.
const MIN_CHUNKS_BYTES: usize = 48 << 20;
/// Bytes of tables (where the chunks lie) kept for one image.
pub(super) const TABLE_CACHE_BYTES: usize = 8 << 20;
/// Locks over which neighbouring blocks are spread.
const MAX_SHARDS: usize = 64;
/// A read of at least so many blocks is shared among the cores.
const PARALLEL_BLOCKS: usize = 4;

/// Caches of chunks that there are now.
static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread makes a block just now.
    static MAKES: Cell<bool> = const { Cell::new(false) };
}

/// The most recently used blocks, at most so many bytes.
pub(in crate::source) struct Cache {
    shards: Vec<Shard>,
    /// Bytes of all; of a shard, one block is kept even if it is larger.
    limit: Limit,
}

enum Limit {
    Own(usize),
    /// Of what images keep, as much as the others.
    Share,
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
        Self { shards: shards(limit, block), limit: Limit::Own(limit) }
    }

    /// A cache of an image's chunks of about `block` bytes.
    pub(super) fn of_chunks(block: usize) -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self { shards: shards(MIN_CHUNKS_BYTES, block), limit: Limit::Share }
    }

    /// Bytes that one shard may keep.
    fn room(&self) -> usize {
        let all = match self.limit {
            Limit::Own(bytes) => bytes,
            Limit::Share => {
                (CHUNKS_BYTES / OPEN.load(Ordering::Relaxed).max(1)).max(MIN_CHUNKS_BYTES)
            }
        };
        all / self.shards.len().max(1)
    }

    /// The block of that number, made by `load` if it is not kept. While it is made, the
    /// thread shares no work: it would take up other work meanwhile that may wait for
    /// this very block.
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
        let outer = MAKES.replace(true);
        let mut ticket = Ticket { shard, key, limit: self.room(), cleared, outer, made: None };
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

impl Drop for Cache {
    fn drop(&mut self) {
        if let Limit::Share = self.limit {
            OPEN.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn shards(limit: usize, block: usize) -> Vec<Shard> {
    let count = (limit / block.max(1) / 2).clamp(1, MAX_SHARDS);
    (0..count).map(|_| Shard::default()).collect()
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
    /// Whether the thread was making another block already.
    outer: bool,
    made: Option<Arc<Vec<u8>>>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        MAKES.set(self.outer);
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
    if pieces.len() < PARALLEL_BLOCKS || MAKES.get() {
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

    /// A cluster of one disk that lies in many chunks of another.
    #[test]
    fn who_makes_a_block_takes_up_no_other_work() {
        let nap = || std::thread::sleep(std::time::Duration::from_micros(300));
        let (inner, outer) = (Cache::new(8 << 20, 1 << 10), Cache::new(8 << 20, 1 << 16));
        let cluster = |number: u64| {
            outer.get(number, || {
                let mut bytes = vec![0; 1 << 16];
                read_blocks((1 << 30, 1 << 10), number << 16, &mut bytes, |chunk, _, to| {
                    nap();
                    inner.get(chunk, || Ok(vec![7; 1 << 10])).map(|chunk| copy(&chunk, 0, to))
                })?;
                Ok(bytes)
            })
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Each is wanted by many at once.
                let wanted = || (0..1200u64).into_par_iter().map(|n| cluster(n / 20).unwrap()[0]);
                let all: Vec<u8> = pool.install(|| wanted().collect());
                done.send(all).unwrap();
            });
            // Who hangs cannot be ended.
            let all = wait.recv_timeout(std::time::Duration::from_secs(60));
            let Ok(all) = all else { std::process::abort() };
            assert_eq!(all, [7; 1200]);
        });
    }

    #[test]
    fn images_share_what_is_kept_of_them() {
        let chunk = 1 << 20;
        let one = Cache::of_chunks(chunk);
        let kept = || -> usize { one.shards.iter().map(|shard| shard.lock().bytes).sum() };
        let fill = |keys: std::ops::Range<u64>| {
            keys.for_each(|key| drop(one.get(key, || Ok(vec![0; chunk])).unwrap()));
        };
        fill(0..200);
        let alone = kept();
        assert!(alone <= CHUNKS_BYTES, "{alone}");
        let others: Vec<Cache> = (0..8).map(|_| Cache::of_chunks(chunk)).collect();
        fill(200..300);
        assert!(kept() <= MIN_CHUNKS_BYTES, "{}", kept());
        drop(others);
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
