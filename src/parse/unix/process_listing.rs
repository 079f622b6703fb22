//! What ran when somebody looked: the output of `ps` and of `ls -l /proc/*/exe`, as UAC
//! keeps it in `live_response/process`.
//!
//! Proves that a program ran at the time of the collection, with its arguments; the time
//! itself stands in no line. Columns are known by their headings (`ps aux`, `ps -ef`, `ps
//! -o`); the command is the last one.

use std::ops::ControlFlow;

use super::Teller;
use crate::model::{Input, Locator, Record, Sink};
use crate::parse::lines::{Encoding, Lines};
use crate::parse::{ParseError, Parser};

const FORMAT: &str = "process listing";
/// Headings of the command, of its number, of its parent's and of its user.
const COMMAND: [&str; 3] = ["COMMAND", "CMD", "ARGS"];
const NUMBER: &str = "PID";
const PARENT: &str = "PPID";
const USER: [&str; 2] = ["USER", "UID"];
/// A start in full takes so many words: `Mon Jun  3 05:10:00 2024`.
const FULL_START: usize = 5;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Reads them; a `process_creation` record without a time for each process.
pub struct ProcessListing;

impl Parser for ProcessListing {
    fn name(&self) -> &'static str {
        "process_listing"
    }

    fn is_text(&self) -> bool {
        true
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = Lines::new(input.bytes)?;
        if lines.encoding() == Encoding::Binary {
            return Err(ParseError::Foreign { format: FORMAT, found: "binary".to_owned() });
        }
        let mut teller = Teller::new(input, sink, FORMAT);
        let (mut columns, mut known) = (None, false);
        while let Some(line) = lines.next()? {
            let text = line.text.trim_end();
            if let Some(found) = Columns::of(text) {
                (columns, known) = (Some(found), true);
                continue;
            }
            let locator = Locator::Line(line.number);
            let linked = linked(text);
            known |= linked.is_some() || text.is_empty();
            let told = linked.or_else(|| columns.as_ref()?.process(text));
            let Some(process) = told else { continue };
            if teller.tell(process.record(locator)) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        match known {
            true => Ok(()),
            false => Err(ParseError::Foreign { format: FORMAT, found: "no headings".to_owned() }),
        }
    }
}

/// A process as a line shows it.
#[derive(Default)]
struct Process<'a> {
    number: &'a str,
    parent: &'a str,
    user: &'a str,
    image: &'a str,
    command: &'a str,
    is_gone: bool,
}

impl Process<'_> {
    fn record(&self, locator: Locator) -> Record {
        let mut record = Record::new("process_creation", locator);
        record.push("Image", self.image);
        record.push("CommandLine", self.command);
        for (name, text) in [("ProcessId", self.number), ("ParentProcessId", self.parent)] {
            if let Ok(number) = text.parse::<i64>() {
                record.push(name, number);
            }
        }
        record.push("User", self.user);
        if self.is_gone {
            record.push("ImageState", "its file was removed or replaced while it runs");
        }
        record
    }
}

/// Where a listing shows what: by number of the word.
struct Columns {
    number: usize,
    parent: Option<usize>,
    user: Option<usize>,
    /// How many words stand before the command.
    before: usize,
}

impl Columns {
    /// Of a line of headings.
    fn of(line: &str) -> Option<Self> {
        let names: Vec<&str> = line.split_whitespace().collect();
        let at = |wanted: &[&str]| names.iter().position(|name| wanted.contains(name));
        names.last().filter(|last| COMMAND.contains(last))?;
        let before = names.len().checked_sub(1)?;
        Some(Self { number: at(&[NUMBER])?, parent: at(&[PARENT]), user: at(&USER), before })
    }

    fn process<'a>(&self, line: &'a str) -> Option<Process<'a>> {
        let (mut words, mut rest) = (Vec::new(), line.trim_start());
        while words.len() < self.before {
            let (word, after) = rest.split_once(char::is_whitespace)?;
            let mut after = after.trim_start();
            if DAYS.contains(&word) {
                for _ in 1..FULL_START {
                    after = after.split_once(char::is_whitespace)?.1.trim_start();
                }
            }
            words.push(word);
            rest = after;
        }
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        let number = word(self.number);
        number.parse::<u32>().ok()?;
        // Trees are drawn before it.
        let command = rest.trim_start_matches(['\\', '_', '|', ' ']);
        Some(Process {
            number,
            parent: self.parent.map(word).unwrap_or_default(),
            user: self.user.map(word).unwrap_or_default(),
            image: command.split_whitespace().next().unwrap_or_default(),
            command,
            is_gone: false,
        })
    }
}

/// `lrwxrwxrwx 1 root root 0 Apr 10 04:05 /proc/3111/exe -> /dev/shm/.k (deleted)`
fn linked(line: &str) -> Option<Process<'_>> {
    let (_, rest) = line.split_once(" /proc/")?;
    let (number, image) = rest.split_once("/exe -> ")?;
    number.parse::<u32>().ok()?;
    let (image, is_gone) = match image.strip_suffix(" (deleted)") {
        Some(image) => (image, true),
        None => (image, false),
    };
    Some(Process { number, image, command: image, is_gone, ..Process::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::testing::{parse, sample, torment};

    #[test]
    fn processes_of_every_listing() {
        let kept = parse(&ProcessListing, &sample("process_listing/ps_auxwww.txt")).unwrap();
        let expected = "\
process_creation line:2 | Image=/sbin/init | CommandLine=/sbin/init | ProcessId=1 | User=root
process_creation line:3 | Image=[kworker/u9:2] | CommandLine=[kworker/u9:2] client https://c2.example:443 R:2022:127.0.0.1:22 | ProcessId=3111 | User=root
";
        assert_eq!(kept.shown(), expected);
        let full = b"    PID                  STARTED COMMAND\n   7 Mon Jun  3 05:10:00 2024 /usr/bin/x -a\n";
        let kept = parse(&ProcessListing, full).unwrap();
        assert_eq!(kept.records[0].text("CommandLine"), Some("/usr/bin/x -a"));
        let tree = b"UID  PID PPID CMD\nroot 7 1  \\_ /usr/bin/x -a\n";
        let kept = parse(&ProcessListing, tree).unwrap();
        assert_eq!(kept.records[0].text("Image"), Some("/usr/bin/x"));
        assert_eq!(kept.records[0].number("ParentProcessId"), Some(1));
    }

    #[test]
    fn links_to_programs() {
        let links =
            b"lrwxrwxrwx 1 root root 0 Apr 10 04:05 /proc/3111/exe -> /dev/shm/.k (deleted)\n";
        let kept = parse(&ProcessListing, links).unwrap();
        assert_eq!(kept.records[0].text("Image"), Some("/dev/shm/.k"));
        assert!(kept.records[0].text("ImageState").is_some());
    }

    #[test]
    fn damaged_and_foreign() {
        assert!(parse(&ProcessListing, b"<html>\n").is_err());
        assert!(parse(&ProcessListing, &[0, 1, 2, 3, 0, 0, 0, 9]).is_err());
        torment(&ProcessListing, &sample("process_listing/ps_auxwww.txt"), 300);
    }
}
