//! What a tired person reads at the end: plain text, at most 25 lines a host.
//!
//! The answer first, then the ladder, then the two or three rows to read with
//! their places in the evidence, then what could not be read. Nothing here hangs
//! on colour, and no text of the evidence can move the cursor.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::column::usable_time;
use super::csv::escape_controls;
use super::hosts::merged_answer;
use crate::model::{
    Answer, Coverage, CoverageState, HostReport, Level, NO_TOOL, Row, RowStage, Rung, RungName,
    Session, Tag, ToolVerdict, Traffic,
};

/// Tools with a sentence of their own; the others are counted.
const MAX_TOOLS: usize = 2;
/// Further tools whose ladders are shown, and tools that are named in one line.
const MAX_LADDERS: usize = 2;
const MAX_NAMES: usize = 6;
/// Rows that are shown.
const MAX_ROWS: usize = 3;
/// Unread sources that are shown.
const MAX_GAPS: usize = 2;
/// Characters of a line.
const MAX_LINE: usize = 160;
/// Characters of the sentences and reasons inside a line.
const MAX_WHY: usize = 96;
/// Characters of the verdict's sentence: the one line that may be long.
const MAX_SENTENCE: usize = 400;

/// The end-of-run text of a host; ends with a line feed.
pub fn summary_text(report: &HostReport) -> String {
    let found = found_tools(report);
    let mut lines = vec![headline(report)];
    lines.extend(verdict_lines(report, &found));
    lines.extend(RungName::ALL.map(|name| ladder_line(report, found.first().copied(), name)));
    lines.extend(found.iter().skip(1).take(MAX_LADDERS).map(|tool| short_ladder(tool)));
    lines.extend(others_line(report, &found));
    lines.extend(row_lines(report));
    lines.extend(gap_lines(report, if found.len() > 1 { 1 } else { MAX_GAPS }));
    lines.push(format!(
        "Files: {0}/findings.csv, {0}/timeline.csv, {0}/verdict.json, {0}/problems.csv",
        report.host
    ));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn headline(report: &HostReport) -> String {
    let os = report.system.os.as_deref().unwrap_or("operating system unknown");
    // A name in other letters is cut to what a folder can be called everywhere.
    let full = report.system.name.as_deref().filter(|name| !name.is_ascii());
    let full = full.map(|name| format!(" ({name})")).unwrap_or_default();
    let line = format!("{}{full}  {os}  from {}", report.host, report.source);
    plain(&line, MAX_LINE)
}

fn verdict_lines(report: &HostReport, found: &[&ToolVerdict]) -> Vec<String> {
    let mut lines = Vec::new();
    for tool in found.iter().take(MAX_TOOLS) {
        let level = tool.level.as_str().to_uppercase();
        let sentence = format!("YES ({level}): {}", tool_sentence(tool));
        lines.push(plain(&sentence, MAX_SENTENCE));
        lines.extend(tool.traffic.as_ref().map(|all| plain(&volume(all), MAX_SENTENCE)));
    }
    if found.len() > MAX_TOOLS {
        let rest: Vec<&str> = found.iter().skip(MAX_TOOLS).map(|tool| tool.tool.as_str()).collect();
        lines.push(plain(&format!("YES: also {}", rest.join(", ")), MAX_LINE));
    }
    if found.is_empty() {
        lines.push(plain(&nothing_found(report), MAX_SENTENCE));
        lines.extend(unnamed(report).map(|line| plain(&line, MAX_SENTENCE)));
    }
    let open = &report.verdict.unattributed;
    if !open.is_empty() {
        let explained = open.iter().filter(|session| !session.candidates.is_empty()).count();
        let why = match explained {
            0 => "that none of the tools looked for explains",
            n if n == open.len() => "that may have come through a tool that is known here",
            _ => "some of which may have come through a tool that is known here",
        };
        let line = format!("LOOK: {} over loopback {why}{}", counted(open), first_session(open));
        lines.push(plain(&line, MAX_SENTENCE));
    }
    lines
}

/// Tools with a yes on any rung, the gravest first, then by name.
fn found_tools(report: &HostReport) -> Vec<&ToolVerdict> {
    let mut found: Vec<&ToolVerdict> = report
        .verdict
        .tools
        .iter()
        .filter(|tool| tool.rungs.values().any(|rung| rung.answer == Answer::Yes))
        .collect();
    found.sort_by_key(|tool| {
        let yes = tool.rungs.values().filter(|rung| rung.answer == Answer::Yes).count();
        (Reverse(tool.level), Reverse(yes), tool.tool.as_str())
    });
    found
}

fn tool_sentence(tool: &ToolVerdict) -> String {
    let rung = |name: RungName| tool.rungs.get(&name);
    let steps: Vec<String> = RungName::ALL
        .into_iter()
        .filter(|name| *name != RungName::Used)
        .filter_map(|name| Some((name, rung(name).filter(|r| r.answer == Answer::Yes)?)))
        .map(|(name, rung)| match rung.first {
            Some(at) => format!("{} {}", words(name), day(at)),
            None => words(name).to_owned(),
        })
        .collect();
    // What came to a server went on to the machines of its agents.
    let (role, came) = match tool.serves.is_empty() {
        true => ("", "somebody came in"),
        false => (" as a server for agents on other machines", "somebody came to it"),
    };
    let used = match rung(RungName::Used) {
        Some(used) if used.answer == Answer::Yes && tool.sessions.is_empty() => {
            format!(
                "{came}{}",
                used.first.map(|at| format!(", first {}", clock(at))).unwrap_or_default()
            )
        }
        _ if !tool.sessions.is_empty() => {
            format!("{came}: {}{}", counted(&tool.sessions), first_session(&tool.sessions))
        }
        Some(used) if used.answer == Answer::No => "nobody is seen coming in".to_owned(),
        Some(used) => format!("whether {came} is unknown ({})", short(&used.why)),
        None => format!("whether {came} is unknown"),
    };
    let name = if tool.tool == NO_TOOL { "a tunnel" } else { &tool.tool };
    if steps.is_empty() {
        format!("{name} was here{role}; {used}")
    } else {
        format!("{name} was here{role}: {}; {used}", steps.join(", "))
    }
}

/// How many bytes a tool's programs moved.
fn volume(traffic: &Traffic) -> String {
    let clock = |at: Option<Timestamp>| at.map(clock).unwrap_or_default();
    format!(
        "its programs sent {} and received {} bytes, counted from {} to {}",
        traffic.sent,
        traffic.received,
        clock(traffic.first),
        clock(traffic.last)
    )
}

/// What looks like a tunnel's start or autostart and bears no tool's name.
fn unnamed(report: &HostReport) -> Option<String> {
    let looks = |row: &&Row| row.tool == NO_TOOL && row.level >= Level::Low;
    let sets_up = |row: &&Row| matches!(row.stage, RowStage::Executed | RowStage::Persisted);
    let rows = || report.rows.iter().filter(looks).filter(sets_up);
    let gravest = rows().max_by_key(|row| (row.score, Reverse(row.datetime)))?;
    let level = gravest.level.as_str().to_uppercase();
    let many = match rows().count() {
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    };
    Some(format!("LOOK ({level}): {many} of a tunnel that names no tool: {}", gravest.message))
}

fn nothing_found(report: &HostReport) -> String {
    let open = |tool: &&ToolVerdict| {
        tool.rungs.len() < RungName::ALL.len()
            || tool.rungs.values().any(|rung| rung.answer != Answer::No)
    };
    let tools = &report.verdict.tools;
    if tools.is_empty() {
        return "UNKNOWN: no profile was applied to this host".to_owned();
    }
    match tools.iter().find(open) {
        None => "NO: every needed source was read whole and shows no tunnel tool".to_owned(),
        Some(tool) => {
            let why = tool.rungs.values().find(|rung| rung.answer == Answer::Unknown);
            let why = why.map_or("not every rung was examined", |rung| rung.why.as_str());
            format!(
                "UNKNOWN: no trace of a known tunnel tool, but not all could be read ({})",
                short(why)
            )
        }
    }
}

/// `2 RDP sessions, 1 SSH session`.
fn counted(sessions: &[Session]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for session in sessions {
        let n = kinds.entry(&session.kind).or_default();
        *n = n.saturating_add(1);
    }
    let one = |(kind, n): (&str, usize)| {
        let kind = match kind {
            "rdp" => "RDP session".to_owned(),
            "ssh" => "SSH session".to_owned(),
            "connection" | "" => "connection".to_owned(),
            other => format!("{other} session"),
        };
        format!("{n} {kind}{}", if n == 1 { "" } else { "s" })
    };
    kinds.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// ` (first 2024-… by CORP\a from workstation kali)`, as far as known.
fn first_session(sessions: &[Session]) -> String {
    let Some(first) = sessions.iter().min_by_key(|s| (s.from.is_none(), s.from)) else {
        return String::new();
    };
    let mut said = Vec::new();
    said.extend(first.from.map(|at| format!("first {}", clock(at))));
    let mut say = |before: &str, what: &str| {
        if !what.is_empty() && what != "-" {
            said.push(format!("{before} {what}"));
        }
    };
    say("by", &first.user);
    say("from workstation", &first.workstation);
    say("from address", &first.remote_address);
    let zone = &first.zone_hours;
    say("client's clock", &if zone.is_empty() { String::new() } else { format!("UTC {zone} h") });
    say("carried by", &first.carrier);
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(" ")) }
}

/// One rung: the gravest tool's answer, or the host's when no tool was found.
fn ladder_line(report: &HostReport, gravest: Option<&ToolVerdict>, name: RungName) -> String {
    let own = gravest.and_then(|tool| Some((tool.tool.as_str(), tool.rungs.get(&name)?)));
    let (answer, speaks) = match own {
        Some((tool, rung)) => (rung.answer, Some((tool, rung))),
        None => {
            let answer = merged_answer(report, name);
            // The rung that speaks: the first tool's of those with the host's answer.
            let tools = report.verdict.tools.iter();
            let rungs = tools.filter_map(|tool| Some((tool.tool.as_str(), tool.rungs.get(&name)?)));
            (answer, rungs.filter(|(_, rung)| rung.answer == answer).min_by_key(|(tool, _)| *tool))
        }
    };
    let time = speaks.and_then(|(_, rung)| rung.first).map(clock).unwrap_or_default();
    let why = match (answer, speaks) {
        (Answer::Yes, Some((tool, rung))) => format!("{tool}{}", reason(rung)),
        (_, Some((_, rung))) => short(&rung.why),
        (_, None) => "not examined".to_owned(),
    };
    let line = format!("  {:<11} {:<7} {time:<23} {why}", words(name), answer.as_str());
    plain(line.trim_end(), MAX_LINE)
}

/// The ladder of a further tool on one line.
fn short_ladder(tool: &ToolVerdict) -> String {
    let rungs = RungName::ALL.into_iter().map(|name| match tool.rungs.get(&name) {
        Some(rung) => format!("{} {}", words(name), rung.answer.as_str()),
        None => format!("{} unknown", words(name)),
    });
    let line = format!("  {}: {}", tool.tool, rungs.collect::<Vec<_>>().join(", "));
    plain(&line, MAX_LINE)
}

/// Tools without a trace: those looked for in vain, and those where something is open.
fn others_line(report: &HostReport, found: &[&ToolVerdict]) -> Option<String> {
    let is_found = |tool: &ToolVerdict| found.iter().any(|other| other.tool == tool.tool);
    let rest = || report.verdict.tools.iter().filter(|tool| !is_found(tool));
    let no = |tool: &&ToolVerdict| {
        let all = tool.rungs.len() == RungName::ALL.len();
        all && tool.rungs.values().all(|rung| rung.answer == Answer::No)
    };
    let (absent, open): (Vec<&ToolVerdict>, Vec<&ToolVerdict>) = rest().partition(no);
    let names = |tools: &[&ToolVerdict]| match tools.len() {
        n if n > MAX_NAMES => format!("{n} tools"),
        _ => tools.iter().map(|tool| tool.tool.as_str()).collect::<Vec<_>>().join(", "),
    };
    let mut said = Vec::new();
    if !absent.is_empty() {
        said.push(format!("looked for and not found: {}", names(&absent)));
    }
    if !open.is_empty() {
        said.push(format!("no trace, but not on every rung a no: {}", names(&open)));
    }
    (!said.is_empty() && !found.is_empty())
        .then(|| plain(&format!("Other tools: {}", said.join("; ")), MAX_LINE))
}

fn reason(rung: &Rung) -> String {
    if rung.why.is_empty() { String::new() } else { format!(": {}", short(&rung.why)) }
}

/// The rows to read first: highest score, each of another stage.
fn row_lines(report: &HostReport) -> Vec<String> {
    let mut rows: Vec<&Row> = report
        .rows
        .iter()
        .filter(|row| row.level >= Level::Low && !row.tag.contains(&Tag::Suppressed))
        .collect();
    rows.sort_by_key(|row| {
        let context = row.stage == RowStage::Context;
        let at = usable_time(row);
        (context, Reverse(row.score), at.is_none(), at, row.row_id.as_str())
    });
    let mut chosen: Vec<&Row> = Vec::new();
    for row in rows {
        if chosen.len() < MAX_ROWS && chosen.iter().all(|other| other.stage != row.stage) {
            chosen.push(row);
        }
    }
    if chosen.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["Read first:".to_owned()];
    for row in chosen {
        let time = usable_time(row).map_or_else(|| "no usable time".to_owned(), clock);
        lines.push(plain(&format!("  {time}  {}", row.message), MAX_LINE));
        lines.push(plain(&format!("    {}  {}", row.source_path, row.locator), MAX_LINE));
    }
    lines
}

/// Problems, and the sources whose loss keeps an answer open.
fn gap_lines(report: &HostReport, most: usize) -> Vec<String> {
    let mut lost: Vec<&Coverage> = report.coverage.iter().filter(|of| weight(of) < 4).collect();
    lost.sort_by_key(|of| (weight(of), of.source.as_str(), of.path.as_str()));
    let problems = report.problems.len();
    let mut lines = vec![format!(
        "Not read: {problems} problem{} (problems.csv), {} source{} cleared, unreadable, disabled or partial (coverage.csv)",
        plural(problems),
        lost.len(),
        plural(lost.len()),
    )];
    for of in lost.iter().take(most) {
        let why = if of.why.is_empty() { String::new() } else { format!(": {}", short(&of.why)) };
        let line = format!("  {} {}{why}", of.source, of.state.as_str());
        lines.push(plain(&line, MAX_LINE));
    }
    lines
}

/// How much the loss of a source hurts; 4 is not at all.
fn weight(of: &Coverage) -> u8 {
    match of.state {
        CoverageState::Cleared => 0,
        CoverageState::Unreadable => 1,
        CoverageState::Disabled => 2,
        CoverageState::Partial => 3,
        CoverageState::Absent | CoverageState::Read => 4,
    }
}

fn words(name: RungName) -> &'static str {
    match name {
        RungName::CleanedUp => "cleaned up",
        other => other.as_str(),
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn short(why: &str) -> String {
    plain(why, MAX_WHY)
}

/// The text on one line of at most `limit` characters, without anything that a
/// terminal acts on, the turns of writing direction included.
fn plain(text: &str, limit: usize) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text = escape_controls(text);
    if text.chars().count() <= limit {
        return text.replace(turns, "?");
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.replace(turns, "?"))
}
