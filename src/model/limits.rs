//! How much a run may take, and when it is to leave off.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::Stop;

/// How old a measurement of memory may be.
const MEMORY_AGE: Duration = Duration::from_millis(5);

/// What a run may take; copies are one.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    run: Arc<Inner>,
    /// Whether bytes are still counted: not of copies for the bundle.
    examined: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Inner {
    stop: Stop,
    time: Option<(Instant, Duration)>,
    bytes: Option<u64>,
    memory: Option<Memory>,
    /// Bytes of evidence read so far.
    read: AtomicU64,
    /// The first reason for which anything was left out.
    met: OnceLock<Reached>,
}

#[derive(Debug)]
struct Memory {
    most: u64,
    used: fn() -> Option<u64>,
    begun: Instant,
    /// Milliseconds from the begin to the last measurement, and what it gave.
    measured: AtomicU64,
    last: AtomicU64,
}

/// The limits as they are asked for; none means no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// From the begin of the run.
    pub time: Option<Duration>,
    /// Of evidence, to be read; as many again may be copied.
    pub bytes: Option<u64>,
    /// Of memory, for the whole process.
    pub memory: Option<u64>,
}

/// Why something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    Stopped,
    Time(Duration),
    Bytes(u64),
    Memory(u64),
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("left out: the run was stopped"),
            Self::Time(all) => write!(f, "left out: --timeout {}s is over", all.as_secs()),
            Self::Bytes(most) => write!(f, "left out: --max-bytes {most} are reached"),
            Self::Memory(most) => {
                write!(f, "left out: it would take more memory than --max-memory {most}")
            }
        }
    }
}

impl Limits {
    /// Limits that begin to count now; `used` tells the memory that the process holds.
    pub fn new(stop: Stop, asked: Asked, used: fn() -> Option<u64>) -> Self {
        let now = Instant::now();
        let memory = |most| Memory {
            most,
            used,
            begun: now,
            measured: AtomicU64::new(0),
            last: AtomicU64::new(0),
        };
        let run = Inner {
            stop,
            time: asked.time.map(|all| (now, all)),
            bytes: asked.bytes,
            memory: asked.memory.map(memory),
            read: AtomicU64::new(0),
            met: OnceLock::new(),
        };
        Self { run: Arc::new(run), examined: Arc::default() }
    }

    /// Why nothing more may be read now, if so. Memory that is given back lets the
    /// run go on; everything else stays as it is.
    pub fn reached(&self) -> Option<Reached> {
        let reached = self.ended().or_else(|| self.no_memory_for(0));
        self.noted(reached)
    }

    /// Why the run is to leave off, if so.
    pub fn ended(&self) -> Option<Reached> {
        let inner = &self.run;
        if inner.stop.is_asked() {
            return self.noted(Some(Reached::Stopped));
        }
        let over = inner.time.filter(|(begun, all)| begun.elapsed() >= *all);
        let read = inner.read.load(Ordering::Relaxed);
        let examines = !self.examined.load(Ordering::Relaxed);
        let full = inner.bytes.filter(|most| examines && read >= *most);
        let reached = over.map(|(_, all)| Reached::Time(all)).or(full.map(Reached::Bytes));
        self.noted(reached)
    }

    /// Why so many bytes may not be held in memory at once, if so.
    pub fn no_memory_for(&self, bytes: u64) -> Option<Reached> {
        let memory = self.run.memory.as_ref()?;
        let now = u64::try_from(memory.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let age = now.saturating_sub(memory.measured.load(Ordering::Relaxed));
        if memory.last.load(Ordering::Relaxed) == 0 || u128::from(age) >= MEMORY_AGE.as_millis() {
            memory.last.store((memory.used)().unwrap_or(0), Ordering::Relaxed);
            memory.measured.store(now, Ordering::Relaxed);
        }
        let wanted = memory.last.load(Ordering::Relaxed).saturating_add(bytes);
        // What is read while this is asked takes memory, too.
        let reached = (wanted >= memory.most / 10 * 9).then_some(Reached::Memory(memory.most));
        self.noted(reached)
    }

    /// Counts bytes of evidence that were read.
    pub fn count(&self, bytes: u64) {
        self.run.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The same limits for another host, which is examined and copied in its own time.
    pub fn of_host(&self) -> Self {
        Self { run: self.run.clone(), examined: Arc::default() }
    }

    /// From now on what is read of the host is copied, not examined.
    pub fn begin_copying(&self) {
        self.examined.store(true, Ordering::Relaxed);
    }

    /// Bytes that may be copied.
    pub fn bytes(&self) -> Option<u64> {
        self.run.bytes
    }

    /// Bytes of evidence read so far, repeated reads included.
    pub fn bytes_read(&self) -> u64 {
        self.run.read.load(Ordering::Relaxed)
    }

    /// Why something was left out, if anything was: the first reason.
    pub fn met(&self) -> Option<Reached> {
        self.run.met.get().copied()
    }

    fn noted(&self, reached: Option<Reached>) -> Option<Reached> {
        if let Some(reached) = reached {
            // Later reasons follow from the first.
            let _ = self.run.met.set(reached);
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(asked: Asked) -> Limits {
        Limits::new(Stop::default(), asked, || Some(95))
    }

    #[test]
    fn each_limit_has_its_reason() {
        assert_eq!(limits(Asked::default()).reached(), None);
        let time = Some(Duration::ZERO);
        assert_eq!(
            limits(Asked { time, ..Asked::default() }).reached(),
            Some(Reached::Time(Duration::ZERO))
        );
        let bytes = limits(Asked { bytes: Some(10), ..Asked::default() });
        bytes.count(9);
        assert!(bytes.reached().is_none() && bytes.met().is_none());
        bytes.count(1);
        assert_eq!(bytes.reached(), Some(Reached::Bytes(10)));
        assert_eq!(bytes.met(), Some(Reached::Bytes(10)));
        bytes.begin_copying();
        assert_eq!(bytes.reached(), None);
    }

    #[test]
    fn memory_is_asked_for_beforehand() {
        let memory = limits(Asked { memory: Some(200), ..Asked::default() });
        assert_eq!(memory.reached(), None);
        assert_eq!(memory.no_memory_for(90), Some(Reached::Memory(200)));
        assert_eq!(memory.no_memory_for(10), None);
    }

    #[test]
    fn a_stop_is_a_limit() {
        let stop = Stop::default();
        let limits = Limits::new(stop.clone(), Asked::default(), || None);
        stop.ask();
        assert_eq!(limits.ended(), Some(Reached::Stopped));
    }
}
