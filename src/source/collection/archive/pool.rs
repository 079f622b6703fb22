//! What one archive keeps in memory of its compressed members: blocks already
//! inflated and the states from which inflating can go on, both bounded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stream::State;

/// Bytes inflated and kept at a time.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
/// Blocks kept: 32 MiB.
const MAX_BLOCKS: usize = 512;
/// States kept of readers under way, each of 43 KB.
const MAX_LIVE: usize = 64;
/// States kept to return to, of all members together: 44 MB.
const MAX_CHECKPOINTS: u64 = 1024;

/// Which member, and which of its blocks.
type Place = (u64, u64);

/// The memory of one archive, shared by its readers.
#[derive(Default)]
pub(in super::super) struct Pool {
    blocks: Mutex<Recent<Arc<Vec<u8>>>>,
    live: Mutex<Recent<State>>,
    checkpoints: AtomicU64,
    ids: AtomicU64,
}

impl Pool {
    /// A number that no other reader of this archive has.
    pub(super) fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn block(&self, id: u64, block: u64) -> Option<Arc<Vec<u8>>> {
        lock(&self.blocks).get((id, block))
    }

    pub(super) fn keep_block(&self, id: u64, block: u64, bytes: Arc<Vec<u8>>) {
        lock(&self.blocks).put((id, block), bytes, MAX_BLOCKS);
    }

    /// Takes the state of that reader nearest before the block, or at it, if it
    /// is at `least` or behind.
    pub(super) fn take_live(&self, id: u64, least: u64, block: u64) -> Option<State> {
        lock(&self.live).take_between((id, least), (id, block))
    }

    pub(super) fn keep_live(&self, id: u64, block: u64, state: State) {
        lock(&self.live).put((id, block), state, MAX_LIVE);
    }

    /// Forgets what belongs to a reader that is gone.
    pub(super) fn forget(&self, id: u64) {
        lock(&self.blocks).remove_all(id);
        lock(&self.live).remove_all(id);
    }

    /// Whether one more state may be kept to return to.
    pub(super) fn claim_checkpoint(&self) -> bool {
        let claim = |n: u64| (n < MAX_CHECKPOINTS).then(|| n.saturating_add(1));
        self.checkpoints.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok()
    }

    pub(super) fn release_checkpoints(&self, count: u64) {
        self.checkpoints.fetch_sub(count, Ordering::Relaxed);
    }
}

/// The lock; what a panicking thread left is still sound, for every entry is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Things by place, of which those used last are kept.
struct Recent<T> {
    by_place: BTreeMap<Place, (u64, T)>,
    by_use: BTreeMap<u64, Place>,
    clock: u64,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { by_place: BTreeMap::new(), by_use: BTreeMap::new(), clock: 0 }
    }
}

impl<T> Recent<T> {
    fn put(&mut self, place: Place, thing: T, limit: usize) {
        self.clock = self.clock.saturating_add(1);
        if let Some((used, _)) = self.by_place.insert(place, (self.clock, thing)) {
            self.by_use.remove(&used);
        }
        self.by_use.insert(self.clock, place);
        while self.by_place.len() > limit {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.by_place.remove(&oldest);
        }
    }

    fn take_between(&mut self, from: Place, to: Place) -> Option<T> {
        if from > to {
            return None;
        }
        let place = *self.by_place.range(from..=to).next_back()?.0;
        let (used, thing) = self.by_place.remove(&place)?;
        self.by_use.remove(&used);
        Some(thing)
    }

    fn remove_all(&mut self, id: u64) {
        let places: Vec<Place> =
            self.by_place.range((id, 0)..=(id, u64::MAX)).map(|(place, _)| *place).collect();
        for place in places {
            if let Some((used, _)) = self.by_place.remove(&place) {
                self.by_use.remove(&used);
            }
        }
    }
}

impl<T: Clone> Recent<T> {
    fn get(&mut self, place: Place) -> Option<T> {
        let (used, thing) = self.by_place.get_mut(&place)?;
        self.clock = self.clock.saturating_add(1);
        self.by_use.remove(used);
        self.by_use.insert(self.clock, place);
        *used = self.clock;
        Some(thing.clone())
    }
}
