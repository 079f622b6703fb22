//! A compressed stream read at any offset.
//!
//! Reading forward inflates every byte once. States are kept on the way, so that
//! going back inflates no more than what lies between two of them; when there
//! are too many, every second one is given up.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::pool::{BLOCK_BYTES, Pool, lock};
use super::stream::{State, Stream, WRONG_CHECKSUM};
use crate::model::ReadAt;

/// States of one stream to return to.
const MAX_STATES: usize = 768;
/// What a gzip stream may inflate to: so much, or so many times its size.
const MAX_GZIP_BYTES: u64 = 8 << 30;
const MAX_GZIP_RATIO: u64 = 400;
/// Blocks before the wanted one that are kept too: another thread may be there.
const KEPT_ON_THE_WAY: u64 = 8;

const BOMB: &str = "it inflates to more than any archive does: refused as a bomb";

/// Told once when content turns out not to match its checksum.
pub(in super::super) type Complain = Box<dyn Fn(String) + Send + Sync>;

/// What the archive says of the inflated content.
pub(in super::super) struct Promise {
    /// Bytes.
    pub(in super::super) size: u64,
    pub(in super::super) crc: u32,
    pub(in super::super) complain: Complain,
}

/// The reader of one stream.
pub(in super::super) struct Inflated {
    stream: Stream,
    /// Not known of gzip before its end.
    promise: Option<Promise>,
    pool: Arc<Pool>,
    id: u64,
    known: Mutex<Known>,
}

/// What has been learned of a stream.
struct Known {
    /// By block; the first stands for all blocks before the second.
    states: BTreeMap<u64, State>,
    /// Blocks between two kept states.
    spacing: u64,
    /// Where the stream ended, and why if not as it should.
    end: Option<(u64, Option<(io::ErrorKind, String)>)>,
}

impl Inflated {
    /// `spacing`: bytes between two states, at first.
    pub(in super::super) fn new(
        stream: Stream,
        promise: Option<Promise>,
        pool: Arc<Pool>,
        spacing: u64,
    ) -> Self {
        let spacing = (spacing / BLOCK_BYTES as u64).max(1);
        let known = Mutex::new(Known { states: BTreeMap::new(), spacing, end: None });
        Self { stream, promise, id: pool.id(), pool, known }
    }

    /// The block, shorter only where the stream ends.
    fn block(&self, block: u64) -> io::Result<Arc<Vec<u8>>> {
        if let Some(bytes) = self.pool.block(self.id, block) {
            return Ok(bytes);
        }
        let mut state = self.state_before(block);
        loop {
            let at = state.output / BLOCK_BYTES as u64;
            let mut bytes = vec![0; self.wanted(state.output)];
            let (n, error) = match self.is_bomb(&state) {
                true => (0, Some(io::Error::new(io::ErrorKind::InvalidData, BOMB))),
                false => state.fill(&self.stream, &mut bytes),
            };
            let whole = n == bytes.len() && error.is_none();
            bytes.truncate(n);
            let bytes = Arc::new(bytes);
            if at.saturating_add(KEPT_ON_THE_WAY) >= block {
                self.pool.keep_block(self.id, at, Arc::clone(&bytes));
            }
            self.note(&state, error);
            if at >= block || !whole || state.done {
                if whole && !state.done {
                    self.pool.keep_live(self.id, at.saturating_add(1), state);
                }
                return Ok(if at == block { bytes } else { Arc::default() });
            }
        }
    }

    /// Whether a gzip stream has come to more than any honest one does.
    fn is_bomb(&self, state: &State) -> bool {
        let packed = self.stream.end.saturating_sub(self.stream.start);
        let limit = packed.saturating_mul(MAX_GZIP_RATIO).max(MAX_GZIP_BYTES);
        self.promise.is_none() && state.output >= limit
    }

    /// How much of the block at that offset is to be inflated.
    fn wanted(&self, output: u64) -> usize {
        let size = self.promise.as_ref().map_or(u64::MAX, |promise| promise.size);
        usize::try_from(size.saturating_sub(output)).unwrap_or(usize::MAX).min(BLOCK_BYTES)
    }

    /// The state nearest before a block.
    fn state_before(&self, block: u64) -> State {
        let (at, kept) = {
            let known = lock(&self.known);
            match known.states.range(..=block).next_back() {
                Some((at, state)) => (*at, Some(state.clone())),
                None => (0, None),
            }
        };
        self.pool
            .take_live(self.id, at.saturating_add(u64::from(kept.is_some())), block)
            .or(kept)
            .unwrap_or_else(|| State::start(&self.stream))
    }

    /// Keeps a state if its turn has come, and judges the content at its end.
    fn note(&self, state: &State, error: Option<io::Error>) {
        let mut known = lock(&self.known);
        let at = state.output / BLOCK_BYTES as u64;
        let complete = self.promise.as_ref().is_some_and(|promise| state.output >= promise.size);
        let ended = state.done || complete || error.is_some();
        if ended {
            let early = || (io::ErrorKind::UnexpectedEof, "ends before its size".to_owned());
            let short = self.promise.is_some() && !complete;
            let error = error.map(|error| (error.kind(), error.to_string()));
            let first = known.end.is_none();
            known.end = Some((state.output, error.or_else(|| short.then(early))));
            let promise = self.promise.as_ref().filter(|_| complete && first);
            if let Some(promise) = promise.filter(|p| p.crc != state.crc.clone().finalize()) {
                (promise.complain)(WRONG_CHECKSUM.to_owned());
            }
            return;
        }
        let is_turn =
            state.output.is_multiple_of(BLOCK_BYTES as u64) && at.is_multiple_of(known.spacing);
        if !is_turn || known.states.contains_key(&at) {
            return;
        }
        if known.states.len() >= MAX_STATES {
            self.thin(&mut known);
        }
        if at.is_multiple_of(known.spacing) && self.pool.claim_checkpoint() {
            known.states.insert(at, state.clone());
        }
    }

    /// Gives up every second state.
    fn thin(&self, known: &mut Known) {
        known.spacing = known.spacing.saturating_mul(2);
        let before = known.states.len();
        let spacing = known.spacing;
        known.states.retain(|at, _| at.is_multiple_of(spacing));
        self.pool.release_checkpoints(before.saturating_sub(known.states.len()) as u64);
    }
}

impl Drop for Inflated {
    fn drop(&mut self) {
        self.pool.release_checkpoints(lock(&self.known).states.len() as u64);
        self.pool.forget(self.id);
    }
}

impl ReadAt for Inflated {
    /// `u64::MAX` of a gzip stream, whose end is found by reading alone.
    fn size(&self) -> u64 {
        self.promise.as_ref().map_or(u64::MAX, |promise| promise.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0_usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            if at >= self.size() {
                break;
            }
            if let Some((end, error)) = lock(&self.known).end.as_ref()
                && at >= *end
            {
                match error {
                    Some((kind, message)) if filled == 0 => {
                        return Err(io::Error::new(*kind, message.clone()));
                    }
                    _ => break,
                }
            }
            let block = self.block(at / BLOCK_BYTES as u64)?;
            let within = usize::try_from(at % BLOCK_BYTES as u64).unwrap_or(usize::MAX);
            let bytes = block.get(within..).unwrap_or_default();
            let n = bytes.len().min(rest.len());
            if let (Some(to), Some(from)) = (rest.get_mut(..n), bytes.get(..n)) {
                to.copy_from_slice(from);
            }
            if n == 0 && lock(&self.known).end.is_none() {
                return Err(io::Error::other("the compressed stream stands still"));
            }
            filled = filled.saturating_add(n);
        }
        Ok(filled)
    }
}
