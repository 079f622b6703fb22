//! What only a running system tells: facts that no file of it holds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::{EvidencePath, ReadAt, Record};

/// A record of the running system.
#[derive(Clone, Debug)]
pub struct Volatile {
    /// `linux.live.process`
    pub artifact: Arc<str>,
    /// Where it was asked for: `/proc/123`, `http://127.0.0.1:4040/api/tunnels`.
    pub path: EvidencePath,
    /// Its locator can be checked while the system runs: `pid:123`.
    pub record: Record,
}

/// Bytes that no file of the evidence holds any more, or never held; for the bundle.
#[derive(Clone)]
pub struct Saved {
    /// Where they were had from.
    pub path: EvidencePath,
    /// How they were read: `proc`, `agent-api`.
    pub method: &'static str,
    pub bytes: Arc<dyn ReadAt>,
}

impl fmt::Debug for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} bytes)", self.path, self.method, self.bytes.size())
    }
}

/// What was done on the machine, as the custodian must be able to tell it later;
/// copies are one list.
#[derive(Clone, Debug, Default)]
pub struct Actions(Arc<Mutex<Vec<Action>>>);

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    pub at: Timestamp,
    /// A sentence without the full stop.
    pub what: String,
}

impl Actions {
    /// Notes what is done now.
    pub fn note(&self, what: impl Into<String>) {
        let action = Action { at: Timestamp::now(), what: what.into() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(action);
    }

    /// Everything done so far, in order.
    pub fn all(&self) -> Vec<Action> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
