//! Progress for people (one line on a terminal, a line every ten seconds
//! without) or for machines (`--progress jsonl`).

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::arguments::ProgressWord;
use crate::run::Progress;

const TICK: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows progress until finished.
pub struct Display {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    jsonl: bool,
    started: Instant,
    progress: Arc<Progress>,
}

impl Display {
    pub fn start(word: ProgressWord, quiet: bool, progress: Arc<Progress>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let started = Instant::now();
        let jsonl = word == ProgressWord::Jsonl;
        let silent = word == ProgressWord::None || (quiet && !jsonl);
        if jsonl {
            eprintln!("{}", event("start", &progress, started));
        }
        let thread = (!silent).then(|| {
            let (done, progress) = (done.clone(), progress.clone());
            let terminal = std::io::stderr().is_terminal() && !jsonl;
            std::thread::spawn(move || watch(&done, &progress, started, terminal, jsonl))
        });
        Self { done, thread, jsonl, started, progress }
    }

    pub fn finish(mut self, well: bool) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        if self.jsonl {
            let name = if well { "done" } else { "error" };
            eprintln!("{}", event(name, &self.progress, self.started));
        }
    }
}

fn watch(done: &AtomicBool, progress: &Progress, started: Instant, terminal: bool, jsonl: bool) {
    let mut last = Instant::now();
    let mut drawn = false;
    while !done.load(Ordering::Relaxed) {
        std::thread::park_timeout(TICK);
        let every = if terminal {
            TICK * 2
        } else if jsonl {
            TICK * 10
        } else {
            LINE_EVERY
        };
        if done.load(Ordering::Relaxed) || last.elapsed() < every {
            continue;
        }
        last = Instant::now();
        if jsonl {
            eprintln!("{}", event("progress", progress, started));
        } else if terminal {
            eprint!("\r\x1b[K{}", line(progress, started));
            let _ = std::io::stderr().flush();
            drawn = true;
        } else {
            eprintln!("{}", line(progress, started));
        }
    }
    if drawn {
        eprint!("\r\x1b[K");
    }
}

fn line(progress: &Progress, started: Instant) -> String {
    let read = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
    let megabytes = |bytes: u64| bytes >> 20;
    let mut text = format!(
        "adit: host {}/{}, {} files, {} MiB read of {} MiB located, {} s",
        read(&progress.hosts_done),
        read(&progress.hosts_total),
        read(&progress.items),
        megabytes(read(&progress.bytes_done)),
        megabytes(read(&progress.bytes_total)),
        started.elapsed().as_secs(),
    );
    let passes = read(&progress.passes);
    if passes > 0 {
        text.push_str(&format!(", following up what was found ({passes})"));
    }
    text
}

fn event(name: &str, progress: &Progress, started: Instant) -> serde_json::Value {
    let read = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
    json!({
        "event": name,
        "stage": if read(&progress.passes) > 0 { "pivot" } else { "scan" },
        "bytes_done": read(&progress.bytes_done),
        "bytes_total": read(&progress.bytes_total),
        "items": read(&progress.items),
        "elapsed_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
