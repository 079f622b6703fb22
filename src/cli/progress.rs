//! Progress for people (a line per source at work and one for all: redrawn in place
//! on a terminal, every ten seconds without) or for machines (`--progress jsonl`).

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::arguments::ProgressWord;
use crate::model::Stop;
use crate::run::{Counts, Progress};

const TICK: Duration = Duration::from_millis(100);
/// Most sources shown at once on a terminal.
const MAX_DRAWN: usize = 10;
/// Characters of a source's name that are shown on a terminal: its end tells more.
const MAX_NAME: usize = 32;

/// What the first Ctrl-C is answered with.
const STOPPING: &str = "adit: stopping; what is being written is finished (again: end at once)";

/// Shows progress until finished.
pub struct Display {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    view: View,
}

/// What is shown, and how.
#[derive(Clone)]
struct View {
    progress: Arc<Progress>,
    stop: Stop,
    started: Instant,
    style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Drawn,
    Lines,
    Jsonl,
}

impl Style {
    /// How often it is shown.
    fn interval(self) -> Duration {
        match self {
            Self::Drawn => Duration::from_millis(200),
            Self::Lines => Duration::from_secs(10),
            Self::Jsonl => Duration::from_secs(1),
        }
    }
}

impl Display {
    pub fn start(word: ProgressWord, quiet: bool, progress: Arc<Progress>, stop: Stop) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let style = match word {
            ProgressWord::Jsonl => Style::Jsonl,
            _ if can_be_redrawn() => Style::Drawn,
            _ => Style::Lines,
        };
        let silent = word == ProgressWord::None || (quiet && style != Style::Jsonl);
        let view = View { progress, stop, started: Instant::now(), style };
        if style == Style::Jsonl {
            eprintln!("{}", view.event("start", None, view.progress.counts()));
        }
        let thread = (!silent).then(|| {
            let (done, view) = (done.clone(), view.clone());
            std::thread::spawn(move || view.watch(&done))
        });
        Self { done, thread, view }
    }

    pub fn finish(mut self, well: bool) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        if self.view.style == Style::Jsonl {
            let name = if well { "done" } else { "error" };
            eprintln!("{}", self.view.event(name, None, self.view.progress.counts()));
        }
    }
}

/// Whether what follows stderr takes the cursor back. Consoles of Windows before 10
/// print the command instead; newer terminals name themselves.
fn can_be_redrawn() -> bool {
    let named = || ["WT_SESSION", "TERM", "ANSICON"].iter().any(|n| std::env::var_os(n).is_some());
    std::io::stderr().is_terminal() && (cfg!(not(windows)) || named())
}

impl View {
    fn watch(&self, done: &AtomicBool) {
        let mut last = Instant::now();
        let (mut drawn, mut told) = (0, false);
        while !done.load(Ordering::Relaxed) {
            std::thread::park_timeout(TICK);
            if self.stop.is_asked() && !told && self.style != Style::Jsonl {
                told = true;
                eprintln!("{}{STOPPING}", back(drawn));
                drawn = 0;
            }
            if done.load(Ordering::Relaxed) || last.elapsed() < self.style.interval() {
                continue;
            }
            last = Instant::now();
            if self.style == Style::Drawn {
                let lines = self.lines();
                eprintln!("{}{}", back(drawn), lines.join("\n"));
                drawn = lines.len();
            } else {
                self.lines().iter().for_each(|line| eprintln!("{line}"));
            }
        }
        eprint!("{}", back(drawn));
        let _ = std::io::stderr().flush();
    }

    /// One line per source at work, then one for all.
    fn lines(&self) -> Vec<String> {
        let active = self.progress.active();
        let total = self.progress.counts();
        if self.style == Style::Jsonl {
            let each = active.iter().map(|s| self.event("progress", Some(&s.name), s.counts()));
            let events = each.chain([self.event("progress", None, total)]);
            return events.map(|event| event.to_string()).collect();
        }
        let (shown, width) = match self.style {
            Style::Drawn => (MAX_DRAWN, MAX_NAME),
            _ => (usize::MAX, usize::MAX),
        };
        let mut lines: Vec<String> = active
            .iter()
            .take(shown)
            .map(|s| format!("  {}: {}", end_of(&s.name, width), amounts(s.counts())))
            .collect();
        if let Some(more @ 1..) = active.len().checked_sub(shown) {
            lines.push(format!("  and {more} more"));
        }
        let read = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
        lines.push(format!(
            "adit: {}/{} sources, {}, {} s",
            read(&self.progress.sources_done),
            read(&self.progress.sources_total),
            amounts(total),
            self.started.elapsed().as_secs(),
        ));
        lines
    }

    /// An event about one source, or about all.
    fn event(&self, name: &str, source: Option<&str>, counts: Counts) -> Value {
        json!({
            "event": name,
            "source": source,
            "stage": if counts.passes > 0 { "pivot" } else { "scan" },
            "bytes_done": counts.bytes_done,
            "bytes_total": counts.bytes_total,
            "items": counts.items,
            "elapsed_ms": u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// Takes the cursor to the first of so many lines and clears them.
fn back(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\r\x1b[{lines}A\x1b[J") }
}

fn amounts(counts: Counts) -> String {
    if counts.bytes_total == 0 {
        return "looking for files".to_owned();
    }
    let megabytes = |bytes: u64| bytes >> 20;
    let (read, located) = (megabytes(counts.bytes_done), megabytes(counts.bytes_total));
    format!("{} files, {read} of {located} MiB", counts.items)
}

/// The name's last characters, with `…` where it was cut; controls are spelled.
fn end_of(name: &str, most: usize) -> String {
    let name = crate::export::escape_controls(name);
    let cut = name.chars().count().saturating_sub(most);
    if cut == 0 {
        return name.into_owned();
    }
    std::iter::once('…').chain(name.chars().skip(cut.saturating_add(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Limits;

    fn view(style: Style) -> View {
        View { progress: Arc::default(), stop: Stop::default(), started: Instant::now(), style }
    }

    #[test]
    fn every_source_at_work_has_a_line() {
        let view = view(Style::Drawn);
        view.progress.sources_total.store(3, Ordering::Relaxed);
        let long = "/evidence/building-7/third-floor/WS-0815.E01";
        let first = view.progress.begin(long.into(), &Limits::default());
        let _second = view.progress.begin("b\n.E01".into(), &Limits::default());
        first.items.store(7, Ordering::Relaxed);
        first.bytes_total.store(5 << 20, Ordering::Relaxed);
        first.bytes_done.store(3 << 20, Ordering::Relaxed);
        assert_eq!(
            view.lines(),
            [
                "  …lding-7/third-floor/WS-0815.E01: 7 files, 3 of 5 MiB",
                "  b\\u000a.E01: looking for files",
                "adit: 0/3 sources, 7 files, 3 of 5 MiB, 0 s",
            ]
        );
    }

    #[test]
    fn a_screen_is_not_filled() {
        let view = view(Style::Drawn);
        let limits = Limits::default();
        let all: Vec<_> = (0..25).map(|n| view.progress.begin(n.to_string(), &limits)).collect();
        let lines = view.lines();
        assert_eq!(lines.len(), MAX_DRAWN + 2);
        assert_eq!(lines[MAX_DRAWN], format!("  and {} more", all.len() - MAX_DRAWN));
        assert_eq!(back(2), "\r\x1b[2A\x1b[J");
        assert_eq!(back(0), "");
    }

    #[test]
    fn events_name_their_source() {
        let view = view(Style::Jsonl);
        let _one = view.progress.begin("a.E01".into(), &Limits::default());
        let events = view.lines();
        let named: Vec<Value> = events
            .iter()
            .map(|e| serde_json::from_str::<Value>(e).unwrap()["source"].clone())
            .collect();
        assert_eq!(named, [json!("a.E01"), Value::Null]);
    }
}
