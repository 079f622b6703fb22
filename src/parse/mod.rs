//! Bytes to records: one file or folder per format, none knows a host or a path.
//!
//! Adding a format: write its module here, declare it, and list its parser in
//! [`PARSERS`]; an artifact names it in `parser:`.

mod address;
pub mod agent_api;
mod agent_log;
mod archive;
mod audit;
mod bits;
mod bytes;
mod collect_only;
mod container;
mod container_log;
mod container_plan;
mod defender;
mod disk_script;
mod elf;
pub mod encoded_command;
mod error_report;
mod ese;
pub mod event_xml;
mod evtx;
mod firewall_log;
mod flags;
mod go;
mod hosts_file;
pub mod index;
mod journal;
mod jump_list;
mod known_folder;
mod lines;
mod local_time;
mod logins;
mod macho;
mod member;
mod message;
mod offer;
mod package;
mod packed;
mod pca;
mod pe;
mod powershell_history;
mod powershell_transcript;
mod prefetch;
mod program;
mod recent_file_cache;
mod recycle_bin;
pub mod registry;
pub mod secret;
mod service_wrapper;
mod shortcut;
mod sibling_log;
mod sql_server;
mod sqlite;
mod srum;
mod ssh_files;
mod sshd_log;
mod startup_script;
mod syslog;
mod tar;
mod target;
mod task;
#[cfg(test)]
mod testing;
mod tunnel_config;
mod unix;
mod url_cache;
mod usn;
mod wininet;
mod wmi_repository;
mod zone_identifier;

pub use collect_only::COLLECT_ONLY;
pub use lines::WordSet;

use std::io;
use std::ops::Range;

use crate::model::{Category, Input, Sink};

/// Nothing, or nothing more, can be read from a file.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error("not a {format}: {found}")]
    Foreign { format: &'static str, found: String },
    #[error("{format}, offset {offset:#x}: {what}")]
    Broken { format: &'static str, offset: u64, what: String },
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads one format.
pub trait Parser: Sync {
    /// The name that artifacts call it by.
    fn name(&self) -> &'static str;

    /// Whether a file that starts with these bytes (up to 4608) is of this format; never,
    /// where only the place tells.
    fn recognizes(&self, _start: &[u8]) -> bool {
        false
    }

    /// Whether all its files are text, some perhaps packed: then it is not asked about
    /// what is neither.
    fn is_text(&self) -> bool {
        false
    }

    /// Words (ASCII) of which one stands in the start of every text that it recognizes,
    /// whatever the encoding; none, if no word is sure.
    fn words(&self) -> &'static [&'static str] {
        &[]
    }

    /// Pushes every record that can matter into `sink`; what cannot be read is
    /// said with [`Sink::damaged`] and the rest is still read.
    ///
    /// # Errors
    ///
    /// When nothing, or nothing more, can be read.
    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError>;

    /// Whether each of its files is a store of many records, a log, hive or database,
    /// and so has a line of its own in coverage.csv; else one line stands for all.
    fn is_store(&self) -> bool {
        true
    }

    /// Whether its records speak of other files, programs and connections: then it is
    /// read again for what was learned elsewhere.
    fn tells_of_others(&self) -> bool {
        self.is_store()
    }

    /// The categories that its records can have, with texts of which one stands in every
    /// such record, in lower case; no texts, if none is sure. `None`: they can have any.
    fn categories(&self) -> Option<Vec<(Category, Vec<String>)>> {
        None
    }

    /// How many parts of the file can be parsed independently of each other.
    fn parts(&self, _input: &Input<'_>) -> u64 {
        1
    }

    /// Parses some parts only; all parts together give what [`Parser::parse`]
    /// gives, but for extents, which are merged by [`crate::model::Extent::merge`].
    ///
    /// # Errors
    ///
    /// As [`Parser::parse`].
    fn parse_part(
        &self,
        input: &Input<'_>,
        _parts: Range<u64>,
        sink: &mut dyn Sink,
    ) -> Result<(), ParseError> {
        self.parse(input, sink)
    }
}

/// Whether what starts so is no text, nor a packed one.
pub fn is_binary(start: &[u8]) -> bool {
    packed::Packing::of(start).is_none() && lines::Encoding::of(start) == lines::Encoding::Binary
}

/// The parser of that name.
pub fn by_name(name: &str) -> Option<&'static dyn Parser> {
    PARSERS.iter().copied().find(|p| p.name() == name)
}

/// Every parser, by name.
pub static PARSERS: &[&dyn Parser] = &[
    &evtx::Evtx,
    &event_xml::EventXml,
    &registry::Registry,
    &recent_file_cache::RecentFileCache,
    &tunnel_config::NgrokConfig,
    &tunnel_config::TunnelConfig,
    &agent_log::NgrokLog,
    &sibling_log::SiblingLog,
    &pe::Pe,
    &elf::Elf,
    &macho::MachO,
    &journal::Journal,
    &syslog::Syslog,
    &audit::Audit,
    &logins::Logins,
    &logins::LastLog,
    &container_log::ContainerLog,
    &archive::Zip,
    &tar::Tar,
    &usn::UsnJournal,
    &index::DirectoryIndex,
    &prefetch::Prefetch,
    &service_wrapper::ServiceWrapper,
    &shortcut::Shortcut,
    &shortcut::StartupShortcut,
    &jump_list::AutomaticDestinations,
    &jump_list::CustomDestinations,
    &recycle_bin::RecycleBin,
    &pca::Pca,
    &error_report::ErrorReport,
    &startup_script::StartupScript,
    &disk_script::DiskScript,
    &task::TaskXml,
    &task::TaskJob,
    &powershell_history::PowershellHistory,
    &powershell_transcript::PowershellTranscript,
    &zone_identifier::ZoneIdentifier,
    &hosts_file::HostsFile,
    &firewall_log::FirewallLog,
    &defender::Mplog,
    &defender::DetectionHistory,
    &defender::Quarantine,
    &bits::BitsQueue,
    &srum::Srum,
    &wmi_repository::WmiRepository,
    &url_cache::UrlCache,
    &wininet::IndexDat,
    &wininet::WebCache,
    &package::PackageLog,
    &package::PackageManifest,
    &sshd_log::SshdLog,
    &sql_server::SqlErrorLog,
    &ssh_files::KnownHosts,
    &ssh_files::SshSettings,
    &sqlite::Sqlite,
    &unix::ShellHistory,
    &unix::SystemCrontab,
    &unix::UserCrontab,
    &unix::CronScript,
    &unix::AtJob,
    &unix::RcScript,
    &unix::ProcessListing,
    &unix::ShellProfile,
    &unix::EnvironmentFile,
    &unix::SystemdUnit,
    &unix::DesktopEntry,
    &unix::Launchd,
    &unix::WgetHsts,
    &package::PackageDatabase,
    &package::PackageFiles,
    &package::PackageSource,
    &package::UnixPackageLog,
    &package::HomebrewReceipt,
    &package::SnapState,
    &container::DockerContainer,
    &container::PodmanContainers,
    &container_plan::ContainerPlan,
    &collect_only::CollectOnly,
];
