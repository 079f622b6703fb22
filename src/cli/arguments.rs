//! What can be typed. Parsing validates and does nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use crate::export::Collect;
use crate::model::Level;
use crate::run::TimeBound;

/// Did someone dig a tunnel out of this machine, and did anyone come in through it?
#[derive(Debug, Parser)]
#[command(name = "adit", version, after_help = AFTER)]
pub struct Line {
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER: &str = "\
Exit codes: 0 complete, 1 unexpected error, 2 usage, 3 some evidence could not be read,
4 no source could be opened, 5 output failed, 6 refused for safety, 10 findings (--exit-findings),
130 interrupted";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Examine mounted volumes, folders of logs and hives, or single files
    Scan(Box<Scan>),
    /// Examine this machine while it runs
    Live(Box<Live>),
    /// Check bundles (hashes, completeness; never needs the evidence), and disk images
    /// against the hashes they record
    Verify {
        /// Bundles, finished or `.partial`, and disk images
        #[arg(required = true, value_name = "BUNDLE|IMAGE")]
        paths: Vec<PathBuf>,
    },
    /// Join the results of many hosts (comes later)
    Merge(Later),
    /// Show what is built in
    List {
        what: Listed,
        /// Disk image, collection or folder, for `files` and `artifacts`
        source: Option<PathBuf>,
    },
    /// Validate a profile rule or an artifact definition of one's own
    Check { file: PathBuf },
}

/// Whatever follows a command that this version does not have yet.
#[derive(Debug, Args)]
pub struct Later {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// What `list` shows.
#[derive(Clone, Debug, ValueEnum)]
pub enum Listed {
    Profiles,
    /// The definitions; of a source, the files of it that they have read
    Artifacts,
    /// Paths, sizes, all times, removed files too, as CSV
    Files,
}

#[derive(Debug, Args)]
pub struct Scan {
    /// Mounted volumes, folders of drives, folders of hosts, loose folders, single logs
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// Folder for the results
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    #[command(flatten)]
    pub options: Options,
}

#[derive(Debug, Args)]
pub struct Live {
    /// Folder for the results, on no volume of this machine [default: beside the program]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Windows: this volume alone, by letter, as `volume1:` (one without a letter) or
    /// `\\?\Volume{…}` (repeatable); a foreign Windows on it is a host of its own
    #[arg(long = "volume", value_name = "X:")]
    pub volumes: Vec<String>,
    /// Linux: the system below a folder, with its own proc, instead of the running one
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Linux: also walk file systems of other machines
    #[arg(long)]
    pub network_mounts: bool,
    /// Windows: first make a shadow copy of every volume that is read, which stays; this
    /// alone writes to the suspect's disks
    #[arg(long)]
    pub create_vss: bool,
    /// Do not give way to other programs
    #[arg(long)]
    pub full_speed: bool,
    /// Ask a tunnel agent's own local interface (GET on 127.0.0.1, ports 4040 to 4045)
    #[arg(long)]
    pub query_agent: bool,
    #[command(flatten)]
    pub options: Options,
}

/// What every run over evidence takes.
#[derive(Debug, Args)]
pub struct Options {
    /// Profile: a built-in tool, a Sigma rule, or a folder (repeatable) [default: all built in]
    #[arg(long = "profile", value_name = "NAME|FILE|DIR")]
    pub profiles: Vec<String>,
    /// Go on with a run into the same folder: sources that are done and unchanged are kept
    #[arg(long)]
    pub resume: bool,
    /// Folder with artifact definitions that replace or add to the built-in ones
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// Worker threads [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Only rows from then on: a time, or `90d` back from the evidence's last event
    #[arg(long, value_name = "TIME", value_parser = time_bound)]
    pub since: Option<TimeBound>,
    /// Only rows until then
    #[arg(long, value_name = "TIME", value_parser = time_bound)]
    pub until: Option<TimeBound>,
    /// How far around a finding other traces are taken for its own
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span)]
    pub window: SignedDuration,
    /// Make no bundle
    #[arg(long)]
    pub no_bundle: bool,
    /// Leave alone what lies in the evidence as a disk of WSL, Docker or a virtual machine
    #[arg(long)]
    pub no_nested: bool,
    /// Read every block, also those that cannot match
    #[arg(long)]
    pub no_screen: bool,
    /// Files that go into the bundle [default: hits; live: all]
    #[arg(long, value_enum)]
    pub collect: Option<CollectWord>,
    /// Also write a mactime body file
    #[arg(long, value_name = "FILE")]
    pub bodyfile: Option<PathBuf>,
    /// CSV for people who double-click: BOM, CRLF, `'` before what Excel would evaluate
    #[arg(long)]
    pub csv_excel_safe: bool,
    /// Case number, for the chain of custody
    #[arg(long = "case", value_name = "ID", default_value = "", hide_default_value = true)]
    pub case_id: String,
    /// Evidence number
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub evidence: String,
    /// Who examines
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub examiner: String,
    /// A remark for the bundle
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub note: String,
    /// How far this machine's clock is ahead of a trusted one: `90s`, `-1h 2m`
    #[arg(long, value_name = "SPAN", value_parser = clock_offset, allow_hyphen_values = true)]
    pub clock_offset: Option<SignedDuration>,
    /// Memory that may be taken; what would need more is left out and named
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_memory: Option<u64>,
    /// Bytes of evidence that may be read, and copied; the rest is left out and named
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_bytes: Option<u64>,
    /// Leave off after that time; the rest is left out and named
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub timeout: Option<SignedDuration>,
    /// Leave secrets in clear (recorded in run.json)
    #[arg(long)]
    pub reveal_secrets: bool,
    /// Exit with 10 when there are findings of this level or above
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub exit_findings: Option<LevelWord>,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto")]
    pub progress: ProgressWord,
    /// Write results even onto the evidence
    #[arg(long)]
    pub allow_output_on_source: bool,
    /// Encrypt the bundle (comes later)
    #[arg(long, value_name = "RECIPIENT", hide = true)]
    pub encrypt_to: Vec<String>,
    /// Say only what went wrong
    #[arg(short, long)]
    pub quiet: bool,
    /// Say every problem as well
    #[arg(short, long)]
    pub verbose: bool,
}

/// `--collect`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CollectWord {
    None,
    Hits,
    All,
}

impl From<CollectWord> for Collect {
    fn from(word: CollectWord) -> Self {
        match word {
            CollectWord::None => Self::None,
            CollectWord::Hits => Self::Hits,
            CollectWord::All => Self::All,
        }
    }
}

/// `--progress`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressWord {
    Auto,
    Jsonl,
    None,
}

/// `--exit-findings`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LevelWord {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl From<LevelWord> for Level {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::Informational => Self::Informational,
            LevelWord::Low => Self::Low,
            LevelWord::Medium => Self::Medium,
            LevelWord::High => Self::High,
            LevelWord::Critical => Self::Critical,
        }
    }
}

/// `2024-03-18`, `2024-03-18T09:00:00Z`, `90d`, `36h`.
fn time_bound(text: &str) -> Result<TimeBound, String> {
    if let Ok(span) = span(text) {
        return Ok(TimeBound::BeforeLast(span));
    }
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    full.parse::<Timestamp>().map(TimeBound::At).map_err(|_| {
        "expected 2024-03-18, 2024-03-18T09:00:00Z (with zone), or a span such as 90d".into()
    })
}

/// `512M`, `2G`, `100000`: binary multiples.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: expected bytes, or a number and K, M, G or T");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase();
    let shift = match unit.trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// `90s`, `-1h 2m`, `+500ms`.
fn clock_offset(text: &str) -> Result<SignedDuration, String> {
    let plain = text.trim().trim_start_matches('+');
    plain.parse().map_err(|_| format!("{text:?} is no offset: expected 90s, -1h 2m or 500ms"))
}

/// `7d`, `36h`, `90m`, `30s`.
fn span(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("{text:?} is no span: expected a number and d, h, m or s, such as 7d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: i64 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| wrong())?;
    let seconds = match unit {
        'd' => number.checked_mul(24 * 60 * 60),
        'h' => number.checked_mul(60 * 60),
        'm' => number.checked_mul(60),
        's' => Some(number),
        _ => None,
    };
    let seconds =
        seconds.filter(|s| (0..=366 * 24 * 60 * 60 * 100).contains(s)).ok_or_else(wrong)?;
    Ok(SignedDuration::from_secs(seconds))
}
