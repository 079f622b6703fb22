//! From events to pivots: what each finding teaches to hunt for.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use super::Tool;
use super::host_program::is_host_program;
use super::path;
use super::pivot::{
    Content, Pivot, Server, Target, is_wiped, name_in_bin, of_command, reference_of,
};
use crate::model::{Event, Hit, NO_TOOL, Record, RowStage};

/// Score from which a hit is sure enough to teach.
const TEACHES: u8 = 40;

/// What was learned, and why; one reason per target, one that no allowlist covers
/// before one that does.
type Lessons = BTreeMap<(Arc<str>, Target), (Option<String>, String)>;

/// Every pivot that these events teach, in order, each target once.
pub fn pivots<'a>(events: impl IntoIterator<Item = &'a Event>, tools: &[Tool]) -> Vec<Pivot> {
    let mut out = Lessons::new();
    for event in events {
        for hit in event.hits.iter().filter(|h| h.score >= TEACHES) {
            let Some(tool) = tools.iter().find(|t| t.id == hit.tool) else { continue };
            let mut learner = Learner { event, tool, hit, out: &mut out };
            learner.learn();
        }
        script_blocks(event, &mut out);
        logons(event, &mut out);
        activities(event, &mut out);
    }
    out.into_iter()
        .map(|((tool, target), (suppressed_by, reason))| Pivot {
            tool,
            target,
            reason,
            suppressed_by,
        })
        .collect()
}

/// Whether a program is the agent's own file, not one that hosts others.
fn is_hunted(file: &str) -> bool {
    !is_host_program(file)
}

/// Whether a word of a command is a program's path, not of one that hosts others.
fn has_path(word: &str) -> bool {
    let tail = path::tail(word);
    let is_program = path::base_name(word).to_ascii_lowercase().ends_with(".exe")
        || word.starts_with('/') && tail.matches('\\').count() > 1;
    is_program && tail.starts_with('\\') && is_hunted(word)
}

struct Learner<'a> {
    event: &'a Event,
    tool: &'a Tool,
    hit: &'a Hit,
    out: &'a mut Lessons,
}

impl Learner<'_> {
    fn learn(&mut self) {
        let record = &self.event.record;
        self.servers();
        self.thrown_away();
        self.referred();
        self.copied();
        match record.category {
            "executable" => {
                if record.text("MemberName").is_none() {
                    self.program(self.event.path.as_str());
                }
                self.hashes(record);
            }
            "config" => self.add_path(self.event.path.as_str(), Target::Config),
            "process_creation" if self.is_agent_process() => self.process(),
            // Arguments of its own betray an agent under another name.
            "process_creation" if self.betrays_itself() => {
                match self.line().and_then(path::started_program) {
                    Some(started) => self.program(&started),
                    None => self.program(record.text("Image").unwrap_or_default()),
                }
            }
            // Whoever is told to use the agent's configuration is the agent.
            "process_creation" if &*self.hit.rule == "pivot-config" => {
                let line = record.text("CommandLine").unwrap_or_default();
                if self.hit.stage == RowStage::Executed && !path::config_arguments(line).is_empty()
                {
                    self.process();
                }
            }
            "process_creation" if self.hit.rule.contains("setup-") => self.set_up(),
            // Everybody's program: of its runs, this one is the tool's.
            "process_creation" if self.tool.carries_others => self.this_run(false),
            "powershell_history" | "run_dialog" | "shell_history" if self.is_typed_run() => {
                self.typed();
            }
            "service" | "service_install" => {
                self.command(record.text("ImagePath"));
                self.command(record.text("Wrapped").or_else(|| record.text("Application")));
                self.name("ServiceName", Target::Service);
                // What the service control manager calls it; no two may have the same.
                self.name("DisplayName", Target::Service);
            }
            // The journal knows whose line it is.
            "agent_log" => {
                if let Some(image) = record.text("Image") {
                    self.program(image);
                }
            }
            "run_key" => self.command(record.text("Details")),
            "startup_shortcut" | "startup_script" => self.command(record.text("CommandLine")),
            "systemd_unit" => {
                self.started();
                self.name("ServiceName", Target::Service);
            }
            "cron" | "rc_script" | "shell_profile" | "launchd" | "desktop_autostart" => {
                self.started()
            }
            "prefetch" | "crash_report" => self.ran(),
            "service_file" => {
                self.command(record.text("CommandLine"));
                self.name("ServiceName", Target::Service);
            }
            "task_file" => {
                self.command(record.text("CommandLine"));
                self.name("Name", Target::Task);
            }
            "wmi_event" | "wmi_consumer" => self.command(record.text("CommandLine")),
            "script" => self.prepared(),
            "antivirus_log" => {
                let original = record.text("OriginalFileName");
                if original.is_some_and(|name| self.tool.is_binary(name)) {
                    self.program(record.text("Image").unwrap_or_default());
                }
            }
            "file_rename" => self.renamed(),
            "recycled" => self.former_path(),
            "task" => {
                self.command(record.text("TaskCommand").or_else(|| record.text("Path")));
                self.command(record.text("ActionName"));
                self.name("TaskName", Target::Task);
            }
            "network_connection" | "dns_query" | "image_load" if self.is_agent_process() => {
                if let Some(image) = record.text("Image") {
                    self.program(image);
                }
                self.guid(self.hunts_image());
            }
            // What carries a desktop connection over loopback is an agent, known or not.
            "network_connection" if &*self.hit.rule == "rdp-carried" => {
                self.program(record.text("Image").unwrap_or_default());
            }
            // A name that an interpreter or a renamed agent looked up: the process is known.
            "dns_query" if self.hit.score >= 45 => self.guid(false),
            _ => {}
        }
    }

    /// Whether the record's own process is the agent: by name, version information
    /// or a pivot that says so; not merely a program that names it.
    fn is_agent_process(&self) -> bool {
        let record = &self.event.record;
        let pivot =
            matches!(&*self.hit.rule, "pivot-program" | "pivot-process-guid" | "pivot-hash");
        if pivot {
            // One run of everybody's program makes no other run the tool's.
            let one_run = self.tool.carries_others && &*self.hit.rule == "pivot-process-guid";
            return !one_run && self.hit.message.starts_with("the agent");
        }
        let named = record.text("Image").is_some_and(|i| self.tool.is_binary(path::base_name(i)));
        named
            || ["Product", "Description", "Company", "OriginalFileName"]
                .iter()
                .any(|f| record.text(f).is_some_and(|t| self.tool.has_word(t)))
    }

    /// Whether arguments of its own, or a description under another name, tell the agent.
    fn betrays_itself(&self) -> bool {
        ["-arguments-process", "-renamed"].iter().any(|end| self.hit.rule.ends_with(end))
    }

    fn process(&mut self) {
        let record = &self.event.record;
        if let Some(image) = record.text("Image") {
            self.program(image);
        }
        self.hashes(record);
        for file in record.text("CommandLine").map(path::config_arguments).unwrap_or_default() {
            self.add_path(&file, Target::Config);
        }
        self.this_run(self.hunts_image());
    }

    /// What belongs to this run of a program, by its identifier or number; `by_image`: its
    /// path is hunted, too.
    fn this_run(&mut self, by_image: bool) {
        let record = &self.event.record;
        self.guid(by_image);
        let pid = record.number("ProcessId").and_then(|p| u32::try_from(p).ok());
        if let (Some(pid), Some(from), Some(image)) =
            (pid, record.first_time(), record.text("Image"))
        {
            let image = path::tail(image);
            let unnamed_children = record.text("ParentImage").is_none();
            self.add(Target::Process { pid, image, from, unnamed_children });
        }
    }

    /// Learns the program that a task, service or key is told to run.
    fn set_up(&mut self) {
        if let Some(program) = self.line().and_then(path::started_program) {
            self.program(&program);
        }
    }

    /// The record's command, in clear.
    fn line(&self) -> Option<&str> {
        let record = &self.event.record;
        record.text("DecodedCommand").or_else(|| record.text("CommandLine"))
    }

    /// Learns the names that commands give to copies of the agent's program.
    fn copied(&mut self) {
        let handled = self.hit.rule.strip_suffix("-handled");
        if handled.is_none_or(|of| of.ends_with("-config")) {
            return;
        }
        let lines = self.event.record.commands().flat_map(str::lines);
        let copy_of = |line| path::copy_of(line, |name| self.tool.is_binary(name));
        for copy in lines.filter_map(copy_of).collect::<Vec<String>>() {
            self.program(&copy);
        }
    }

    /// Whether somebody typed the agent's name, or arguments that only it takes.
    fn is_typed_run(&self) -> bool {
        ["-typed", "-arguments-command", "setup-command"].iter().any(|r| self.hit.rule.ends_with(r))
    }

    /// Learns the program of a typed command, where it gives a path.
    fn typed(&mut self) {
        if self.event.record.category == "shell_history" {
            self.started();
            return;
        }
        let Some(line) = self.line() else { return };
        let own = path::program(line);
        match path::started_program(line) {
            Some(started) => self.program(&started),
            None => self.program(own.trim_start_matches(['&', ' ', '\'', '"'])),
        }
    }

    /// A program that ran is the agent by its name, or under another one by the
    /// configuration that it loaded; what is installed like any other is an editor.
    fn ran(&mut self) {
        let Some(image) = self.event.record.text("Image") else { return };
        let installed = path::tail(image).starts_with("\\program files");
        if self.is_agent_process() || self.hit.rule.ends_with("-ran-config") && !installed {
            self.program(image);
        }
    }

    /// An agent's program is hunted under the name that it was given, or had before.
    fn renamed(&mut self) {
        let name = |field| self.event.record.text(field);
        let (Some(old), Some(new)) = (name("OldFilename"), name("NewFilename")) else { return };
        let is_agent = |path: &str| self.tool.is_binary(path::base_name(path));
        if &*self.hit.rule == "pivot-reference" {
            if !is_wiped(path::base_name(new)) && new.to_lowercase().ends_with(".exe") {
                self.program(new);
            }
            return;
        }
        let is_release = self.hit.rule.ends_with("-release-renamed");
        match (is_agent(old) || is_release, is_agent(new)) {
            (true, false) => self.program(new),
            (false, true) => self.program(old),
            _ => {}
        }
    }

    /// A file that the change journal names is known there by its reference, whatever it
    /// is named next.
    fn referred(&mut self) {
        let rule = &*self.hit.rule;
        let is_named = rule.contains("-file-") && !rule.ends_with("-prefetch");
        let is_named = is_named || rule.starts_with("pivot-");
        if let Some((volume, reference)) = reference_of(&self.event.record).filter(|_| is_named) {
            self.add(Target::Reference(volume, reference.to_owned()));
        }
    }

    /// A file found in the Recycle Bin leads to what the bin notes of it.
    fn thrown_away(&mut self) {
        let content = match self.event.record.category {
            "executable" if self.event.record.text("MemberName").is_some() => Content::Folder,
            "executable" => Content::Program,
            "config" => Content::Config,
            "archive" => Content::Folder,
            _ => return,
        };
        if let Some((name, is_file)) = name_in_bin(self.event.path.as_str()) {
            self.add(Target::Recycled(name, if is_file { content } else { Content::Folder }));
        }
    }

    /// Where a file lay that is known from the Recycle Bin, it was known by that name.
    fn former_path(&mut self) {
        let path = self.event.record.text("Image").unwrap_or_default();
        match &*self.hit.rule {
            "pivot-recycled-program" => self.program(path),
            "pivot-recycled-config" => self.add_path(path, Target::Config),
            _ => {}
        }
    }

    /// Whether the record's own program is hunted by its path.
    fn hunts_image(&self) -> bool {
        let image = self.event.record.text("Image");
        image.is_some_and(|i| is_hunted(i) && path::tail(i).len() > 3)
    }

    fn guid(&mut self, by_image: bool) {
        let guid = self
            .event
            .record
            .text("ProcessGuid")
            .map(|g| g.trim_matches(['{', '}']).to_ascii_lowercase());
        if let Some(guid) = guid.filter(|g| g.bytes().any(|b| b != b'0' && b != b'-')) {
            self.add(Target::ProcessGuid { guid, by_image });
        }
    }

    /// Learns the program and the configuration files of a command line.
    fn command(&mut self, line: Option<&str>) {
        let Some(line) = self.event.record.text("DecodedCommand").or(line) else { return };
        let start = path::program(line);
        // `cmd /c start /min agent.exe …`: the agent is a later word.
        let named = path::words(line).into_iter().find(|w| self.tool.is_binary(path::base_name(w)));
        // `cmd /c start C:\\x\\renamed.exe client …`: arguments betray a program that a helper runs.
        let helped = !is_hunted(&start) && self.is_by_arguments();
        let helped = helped.then(|| path::started_program(line));
        self.program(&named.or(helped.flatten()).unwrap_or(start));
        for file in path::config_arguments(line) {
            self.add_path(&file, Target::Config);
        }
    }

    /// Learns the program that a line of a Unix autostart runs: the agent by its name,
    /// else the first file that no shell or helper is.
    fn started(&mut self) {
        let record = &self.event.record;
        let Some(line) = record.text("CommandLine") else { return };
        let home = path::home_of(record.text("User"), self.event.path.as_str());
        let words = path::words(line).into_iter().map(|word| path::at_home(&word, &home));
        let words: Vec<String> = words.collect();
        let named = words.iter().find(|w| self.tool.is_binary(path::base_name(w)));
        let first = words.iter().find(|w| w.starts_with('/') && is_hunted(w));
        if let Some(agent) = named.or(first) {
            self.program(agent);
        }
        for file in path::config_arguments(line) {
            self.add_path(&path::at_home(&file, &home), Target::Config);
        }
    }

    /// Learns the program that a line of a script would run, and the script itself: the
    /// agent by its name, else the first file with a path that is no shell or helper.
    fn prepared(&mut self) {
        const OWN_FOLDER: [&str; 4] = ["%~dp0", ".\\", "./", "$PSScriptRoot"];
        self.add_path(self.event.path.as_str(), Target::Script);
        let Some(line) = self.event.record.text("CommandLine") else { return };
        // Only what runs tells of the program; a script that calls this one does not.
        if self.hit.rule.starts_with("pivot-") {
            return;
        }
        let line = if line.contains('"') { line.to_owned() } else { line.replace('\'', "\"") };
        let folder = self.event.path.as_str().rsplit_once(['\\', '/']);
        let placed = |word: String| {
            let word = word.trim_matches(['\'', '"', '(', ')', '&', '@', ';', ',']);
            let below = OWN_FOLDER.iter().find_map(|mark| word.strip_prefix(mark));
            match (below, folder) {
                (Some(below), Some((folder, _))) => {
                    let separator = if folder.contains('\\') { '\\' } else { '/' };
                    format!("{folder}{separator}{}", below.trim_start_matches(['\\', '/']))
                }
                _ => word.to_owned(),
            }
        };
        let words: Vec<String> = path::words(&line).into_iter().map(placed).collect();
        let named = words.iter().find(|w| self.tool.is_binary(path::base_name(w)));
        if let Some(agent) = named.or_else(|| words.iter().find(|word| has_path(word))) {
            self.program(agent);
        }
        for file in path::config_arguments(&line) {
            self.add_path(&file, Target::Config);
        }
    }

    /// Whether the arguments of a command are what was hit.
    fn is_by_arguments(&self) -> bool {
        const TELLING: [&str; 3] = ["arguments", "way-back", "remote-forward"];
        TELLING.iter().any(|part| self.hit.rule.contains(part))
    }

    /// Learns the servers that commands and configurations of a tunnel lead to.
    fn servers(&mut self) {
        let record = &self.event.record;
        if record.category == "config" {
            let server = record.text("Server").and_then(Server::of);
            server.into_iter().for_each(|server| self.add(Target::Server(server)));
        } else if self.is_by_arguments() {
            let servers: Vec<Server> = record.commands().flat_map(of_command).collect();
            servers.into_iter().for_each(|server| self.add(Target::Server(server)));
        }
    }

    fn program(&mut self, file: &str) {
        if is_hunted(file) {
            self.add_path(file, Target::Program);
        }
    }

    fn add_path(&mut self, file: &str, target: fn(String) -> Target) {
        let tail = path::tail(file);
        if tail.starts_with('\\') && !tail.ends_with('\\') && tail.len() > 3 {
            self.add(target(tail));
        }
    }

    fn hashes(&mut self, record: &Record) {
        // The longest digest stands for all: where one is logged, all are.
        let known = record.text("Hashes").unwrap_or_default();
        let digest = |kind: &str| {
            known.split([',', ';']).find_map(|part| {
                let (name, hex) = part.trim().split_once('=')?;
                let sound = hex.len() >= 32 && hex.bytes().any(|b| b != b'0');
                (name == kind && sound).then(|| hex.to_ascii_lowercase())
            })
        };
        let best = ["SHA256", "SHA1", "MD5"].into_iter().find_map(digest);
        if let Some(hex) = best {
            self.add(Target::Hash(hex));
        }
    }

    fn name(&mut self, field: &str, target: fn(String) -> Target) {
        if let Some(name) = self.event.record.text(field).filter(|n| n.len() >= 2) {
            self.add(target(name.to_owned()));
        }
    }

    fn add(&mut self, target: Target) {
        let reason = format!("known from {} {}", self.event.path, self.event.record.locator);
        let allowed = self.hit.suppressed_by.clone();
        let known = self.out.entry((self.tool.id.clone(), target));
        let lesson = known.or_insert_with(|| (allowed.clone(), reason.clone()));
        if lesson.0.is_some() && allowed.is_none() {
            *lesson = (None, reason);
        }
    }
}

/// The other blocks of a script of which one was found.
fn script_blocks(event: &Event, out: &mut Lessons) {
    let record = &event.record;
    let parts = record.number("MessageTotal").unwrap_or(1);
    if record.category != "ps_script" || parts < 2 {
        return;
    }
    let (Some(hit), Some(id)) = (event.hits.first(), record.text("ScriptBlockId")) else { return };
    out.entry((hit.tool.clone(), Target::ScriptBlock(id.to_owned())))
        .or_insert((None, "joined by its id".into()));
}

/// The logon id of a remote desktop logon that came through loopback.
fn logons(event: &Event, out: &mut Lessons) {
    let record = &event.record;
    let remote = matches!(record.number("LogonType"), Some(10 | 12));
    if record.category != "logon" || !remote || event.hits.is_empty() {
        return;
    }
    let id = record.number("LogonId").and_then(|n| u64::try_from(n).ok());
    let (Some(id), Some(from)) = (id, record.first_time()) else { return };
    let from = from.checked_sub(SignedDuration::from_secs(1)).unwrap_or(from);
    out.entry((Arc::from(NO_TOOL), Target::Logon { id, from }))
        .or_insert((None, format!("logon id {id:#x}")));
}

/// The other records of one remote desktop connection: RdpCoreTS writes them under
/// one activity id, the client's time zone (104) among them.
fn activities(event: &Event, out: &mut Lessons) {
    let record = &event.record;
    let connects = record.category == "rdp" && record.number("EventID") == Some(131);
    let id = record.text("ActivityID").map(|id| id.trim_matches(['{', '}']).to_ascii_lowercase());
    if let Some(id) = id.filter(|_| connects && !event.hits.is_empty()) {
        out.entry((Arc::from(NO_TOOL), Target::Activity(id)))
            .or_insert((None, "same remote desktop connection".into()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::testing::event_of;
    use super::*;

    #[test]
    fn one_run_of_everybodys_program_makes_no_other_run_the_tools() {
        let fields = [
            ("ProcessGuid", "{0A-1}"),
            ("ProcessId", "7"),
            ("Image", r"C:\T\plink.exe"),
            ("CommandLine", "plink.exe -R 1:127.0.0.1:3389 a@b"),
        ];
        let started = |rule: &str, message: &str| {
            let at = "2024-03-01T10:00:00Z";
            let mut event = event_of("r", RowStage::Executed, "process_creation", at, &fields);
            let hit = event.hits.first_mut().unwrap();
            (hit.rule, hit.message) = (Arc::from(rule), message.to_owned());
            event
        };
        let tool = Tool { id: Arc::from("r"), carries_others: true, ..Tool::default() };
        let events =
            [started("ssh-remote-forward", ""), started("pivot-process-guid", "the agent started")];
        let learned = pivots(&events, &[tool]);
        let of = |wanted: fn(&Target) -> bool| learned.iter().any(|p| wanted(&p.target));
        assert!(of(|target| matches!(target, Target::ProcessGuid { by_image: false, .. })));
        assert!(!of(|target| matches!(target, Target::Program(_))));
    }

    #[test]
    fn the_copy_that_a_script_makes_is_the_agent() {
        let script =
            "mkdir C:\\x\nCopy-Item \\\\srv\\s\\frpc.exe -Destination C:\\x\\svc.exe\nexit";
        let at = "2024-03-01T10:00:00Z";
        let tool =
            Tool { id: Arc::from("frp"), binaries: vec!["frpc.exe".into()], ..Tool::default() };
        for (rule, expected) in [("frp-handled", true), ("frp-config-handled", false)] {
            let fields = [("ScriptBlockText", script)];
            let mut event = event_of("frp", RowStage::Delivered, "ps_script", at, &fields);
            event.hits.first_mut().unwrap().rule = Arc::from(rule);
            let learned = pivots(&[event], std::slice::from_ref(&tool));
            let copy = Target::Program(r"\x\svc.exe".into());
            assert_eq!(learned.iter().any(|pivot| pivot.target == copy), expected, "{rule}");
        }
    }
}
