//! Rows into chains: one story per tool, one per session that no tool explains.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;

use super::fact::{self, Fact, Told};
use super::session::Found;
use super::timeline::{Built, RowsOf};
use super::verdict::remoteness;
use super::{REMOTE_ACCESS_PORTS, Settings, Tool, path, port};
use crate::model::{Chain, Level, NO_TOOL, Row, RowStage, SystemFacts, Tag};

/// What every further stage adds to a chain's score.
const STAGE_BONUS: u8 = 5;
/// Services, tasks and entries that a summary names.
const FACTS_NAMED: usize = 3;
/// A log cleared near a chain.
const CLEARED_NEAR: u8 = 40;
/// A row of this score is no developer's doing: it opens a way in, or hides.
const SERIOUS: u8 = 75;
/// Ports of web servers, those of developers' among them.
pub(super) const WEB_PORTS: &[i64] =
    &[80, 443, 3000, 3001, 4000, 4200, 5000, 5173, 8000, 8080, 8081, 8443, 8888, 9000];
/// What is left of a chain that looks like a developer's own use (C10).
const BENIGN: u8 = 15;
/// Folders of package managers, lower case: a developer's way to install.
const PACKAGE_FOLDERS: &[&str] = &[
    "\\chocolatey\\",
    "\\winget\\",
    "\\scoop\\",
    "\\node_modules\\",
    "\\windowsapps\\",
    "\\site-packages\\",
    "\\snap\\",
    "\\homebrew\\",
    "\\linuxbrew\\",
];

/// Commands of package managers.
const MANAGERS: [&str; 17] = [
    "apt", "apt-get", "brew", "cargo", "choco", "dnf", "go", "npm", "npx", "pip", "pip3", "pnpm",
    "scoop", "snap", "winget", "yarn", "yum",
];

/// Words of commands that start what stands elsewhere.
const UNTOLD: [&str; 6] = ["--all", "--config", "--token", "-c", "run", "start"];

/// Builds the chains and writes their ids into the rows.
pub fn build(
    rows: &mut [Built],
    sessions: &[Found],
    rows_of: &RowsOf,
    tools: &[Tool],
    system: &SystemFacts,
    settings: &Settings,
) -> Vec<Chain> {
    let mut chains = Vec::new();
    for tool in tools.iter().filter(|t| &*t.id != NO_TOOL) {
        let id = format!("{}-1", tool.id);
        if !claim(rows, &tool.id, &id) {
            continue;
        }
        near_cleanup(rows, &id, settings);
        let mine: Vec<&Built> = rows.iter().filter(|b| b.row.chain == id).collect();
        let carried = sessions.iter().filter(|s| s.tool.as_deref() == Some(&*tool.id));
        let carried: Vec<&Found> = carried.collect();
        chains.push(of_tool(&id, tool, &mine, &carried, system.installed));
    }
    let loose = sessions.iter().filter(|s| s.tool.is_none());
    for (n, session) in loose.enumerate() {
        let id = format!("tunnel-{}", n + 1);
        let ids: BTreeSet<&String> =
            session.events.iter().filter_map(|e| rows_of.get(e)).flatten().collect();
        for built in rows.iter_mut().filter(|b| ids.contains(&b.row.row_id)) {
            built.row.chain.clone_from(&id);
        }
        let mine: Vec<&Row> = rows.iter().map(|b| &b.row).filter(|r| r.chain == id).collect();
        chains.push(of_session(&id, session, &mine));
    }
    chains.extend(rest(rows, chains.len()));
    chains
}

/// Gives the tool's rows their chain; true if there is any trace among them.
fn claim(rows: &mut [Built], tool: &str, id: &str) -> bool {
    let is_trace = |row: &Row| row.level >= Level::Low && !row.tag.contains(&Tag::Suppressed);
    let any = rows.iter().any(|b| b.row.tool == tool && is_trace(&b.row));
    for built in rows.iter_mut().filter(|b| any && b.row.tool == tool) {
        let known = built.row.rule.iter().any(|r| r.starts_with("pivot-"));
        if is_trace(&built.row) || known {
            built.row.chain = id.to_owned();
        }
    }
    any
}

/// Logs cleared while the chain ran, or within the window after it, belong to it.
fn near_cleanup(rows: &mut [Built], id: &str, settings: &Settings) {
    let mine = || rows.iter().map(|b| &b.row).filter(|r| r.chain == id && remoteness(r) == 0);
    let times = || mine().filter_map(|r| r.datetime);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return };
    let until = last.checked_add(settings.window).unwrap_or(last);
    for built in rows.iter_mut() {
        let row = &mut built.row;
        let loose = row.tool == NO_TOOL && row.stage == RowStage::CleanedUp && row.chain.is_empty();
        if loose && row.datetime.is_some_and(|at| at >= first && at <= until) {
            row.chain = id.to_owned();
            row.score = row.score.max(CLEARED_NEAR);
            row.level = Level::of_score(row.score);
        }
    }
}

fn of_tool(
    id: &str,
    tool: &Tool,
    built: &[&Built],
    sessions: &[&Found],
    installed: Option<Timestamp>,
) -> Chain {
    let rows: Vec<&Row> = built.iter().map(|b| &b.row).collect();
    let rows = rows.as_slice();
    let mut chain = base(id, &tool.id, rows);
    let mut stages: BTreeMap<RowStage, &Row> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.stage != RowStage::Context && r.level >= Level::Low) {
        let first = stages.entry(row.stage).or_insert(row);
        if remoteness(row) < remoteness(first) {
            *first = row;
        }
    }
    let bonus =
        u8::try_from(stages.len().saturating_sub(1)).unwrap_or(6).saturating_mul(STAGE_BONUS);
    chain.score = chain.score.saturating_add(bonus).min(100);
    let mut story: Vec<String> = stages
        .iter()
        .map(|(stage, row)| {
            let told = fact::told(facts_of(built, *stage));
            let mut step = stage.as_str().replace('_', " ");
            if let Some(at) = row.datetime {
                let _ = write!(step, " {at:.0}");
            }
            step + &sources(&told)
        })
        .collect();
    let minted =
        rows.iter().filter(|r| r.timestamp_desc == "Token Minted").filter_map(|r| r.datetime);
    if let Some(at) = minted.min() {
        story.insert(0, issued(at, installed));
    }
    if !sessions.is_empty() {
        let from: Vec<String> = sessions.iter().take(3).map(|s| described(s)).collect();
        story.push(format!("{} session(s) came in: {}", sessions.len(), from.join("; ")));
    }
    if let Some(reason) = benign(tool, rows, sessions) {
        chain.score = chain.score.min(BENIGN);
        story.push(format!("scored down: {reason}"));
    }
    chain.summary = format!("{}: {}", tool.id, story.join(", "));
    let lead = sessions.first();
    chain.remote_host = lead.map(|s| s.session.remote_address.clone()).unwrap_or_default();
    if chain.remote_host.is_empty() {
        chain.remote_host = first(rows, |r| &r.remote_host);
    }
    chain.local_port = lead.and_then(|s| s.session.local_port);
    chain
}

/// When a token was issued; one that is older than the system came with somebody (C2).
fn issued(at: Timestamp, installed: Option<Timestamp>) -> String {
    match installed.filter(|installed| at < *installed) {
        Some(installed) => format!(
            "token issued {at:.0}, before this system was set up {installed:.0}: the account is \
             older than the host"
        ),
        None => format!("token issued {at:.0}"),
    }
}

/// What is told of a stage.
fn facts_of<'a>(built: &'a [&Built], stage: RowStage) -> impl Iterator<Item = (&'a Fact, &'a Row)> {
    let mine = built.iter().filter(move |b| b.row.stage == stage && b.row.level >= Level::Low);
    mine.filter(|b| remoteness(&b.row) < 2).map(|b| (&b.fact, &b.row))
}

/// ` (service ngrok: 3 sources, and 2 more)`: each fact once, however many tell of it;
/// of facts without a name, who tells of the first.
fn sources(told: &[Told]) -> String {
    let count = |told: &Told| match told.sources.len() {
        1 => "1 source".to_owned(),
        n => format!("{n} sources"),
    };
    let named = || told.iter().filter_map(|t| Some((t.name.as_ref()?, t)));
    let mut said: Vec<String> =
        named().take(FACTS_NAMED).map(|(name, told)| format!("{name}: {}", count(told))).collect();
    match named().count().saturating_sub(said.len()) {
        0 => {}
        more => said.push(format!("and {more} more")),
    }
    if said.is_empty() {
        said.extend(told.first().filter(|t| t.sources.len() > 1).map(count));
    }
    match said.is_empty() {
        true => String::new(),
        false => format!(" ({})", said.join(", ")),
    }
}

/// C10: from a package manager, run by a person, for web ports, without a session but
/// visits of these: a developer's use; the reason in words.
fn benign(tool: &Tool, rows: &[&Row], sessions: &[&Found]) -> Option<String> {
    let (visits, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| is_visit(row));
    let serious = others.iter().any(|r| {
        matches!(r.stage, RowStage::Persisted | RowStage::Used | RowStage::CleanedUp)
            || r.score >= SERIOUS
            || r.local_port.is_some_and(|port| REMOTE_ACCESS_PORTS.contains(&port))
            || r.stage == RowStage::Executed && is_system(&r.user)
    });
    if serious || !sessions.iter().all(|s| s.session.kind == "connection" && !visits.is_empty()) {
        return None;
    }
    // What a package's own list names is the package's file.
    let listed: BTreeSet<&str> = others
        .iter()
        .filter(|row| row.artifact.ends_with(".package.files"))
        .map(|row| row.path.as_str())
        .collect();
    let mut folders = BTreeSet::new();
    for row in others.iter().filter(|r| matches!(r.stage, RowStage::Delivered | RowStage::Executed))
    {
        let path = if row.path.is_empty() { &row.process } else { &row.path };
        let file = path.replace('/', "\\").to_lowercase();
        if tool.is_binary(path::base_name(&file)) {
            let own = listed.contains(path.as_str()).then_some("\\system packages\\");
            let folder = PACKAGE_FOLDERS.iter().find(|folder| file.contains(**folder));
            folders.insert(own.or(folder.copied())?);
        }
    }
    folders.extend(managers_typed(&others).unwrap_or_default());
    let managers: Vec<&str> = folders.iter().map(|folder| folder.trim_matches('\\')).collect();
    let came = match visits.is_empty() {
        true => "nobody is seen coming in",
        false => "only visitors of a web port came",
    };
    (!managers.is_empty()).then(|| {
        format!(
            "installed by a package manager ({}), run by no system account, no way in is opened, \
             nothing starts by itself, {came}",
            managers.join(", ")
        )
    })
}

/// The package managers that somebody had install the tool, where all that was delivered
/// came so and what was run then names ports of web servers alone.
fn managers_typed(rows: &[&Row]) -> Option<BTreeSet<&'static str>> {
    let of_stage = |stage| rows.iter().filter(move |row| row.stage == stage);
    let installs = |row: &&&Row| row.rule.iter().any(|rule| is_install(rule));
    let from = |row: &&Row| {
        let mut words = row.command_line.split([' ', '/', '\\']);
        words.find_map(|word| MANAGERS.iter().find(|name| word == **name).copied())
    };
    let runs = || of_stage(RowStage::Executed).map(|row| row.command_line.as_str());
    let ports: Vec<i64> = runs().flat_map(port::named_ports).collect();
    // What starts whatever a file or an account says may let out anything.
    let is_untold = |line: &str| {
        port::named_ports(line).is_empty() && port::words(line).any(|word| UNTOLD.contains(&word))
    };
    let is_web = !ports.is_empty()
        && ports.iter().all(|port| WEB_PORTS.contains(port))
        && !runs().any(is_untold);
    let all_installed = of_stage(RowStage::Delivered).all(|row| installs(&row));
    let managers = of_stage(RowStage::Delivered).filter_map(from).collect();
    (is_web && all_installed).then_some(managers)
}

/// Whether a rule tells that a package manager was told to install the tool.
fn is_install(rule: &str) -> bool {
    ["-typed-install", "-package"].iter().any(|end| rule.ends_with(end))
}

/// Whether a row of the agent's own log tells of a visit to a web server of a developer.
fn is_visit(row: &Row) -> bool {
    let is_web = row.local_port.is_some_and(|port| WEB_PORTS.contains(&port));
    row.stage == RowStage::Used && is_web && row.artifact.contains(".tunnel.")
}

/// Whether an account is one of the system, not a person's.
fn is_system(user: &str) -> bool {
    let name = user.rsplit('\\').next().unwrap_or_default().to_lowercase();
    matches!(name.as_str(), "system" | "local service" | "network service" | "root")
        || matches!(user, "S-1-5-18" | "S-1-5-19" | "S-1-5-20")
        || name.ends_with('$')
}

fn of_session(id: &str, found: &Found, rows: &[&Row]) -> Chain {
    let mut chain = base(id, NO_TOOL, rows);
    chain.stage = RowStage::Used;
    chain.user.clone_from(&found.session.user);
    chain.local_port = found.session.local_port;
    let what = match found.session.kind.as_str() {
        "ssh" => "A login by ssh",
        _ => "Remote desktop",
    };
    let candidates = &found.session.candidates;
    chain.summary = if !candidates.is_empty() {
        format!(
            "{what} over loopback that may have come through {}, though no log tells of it ({})",
            candidates.join(", or "),
            described(found)
        )
    } else if found.session.carrier.is_empty() {
        format!(
            "{what} over loopback that no tool's port or log explains ({}): consistent \
             with a tunnel by a renamed tool or `ssh -R`",
            described(found)
        )
    } else {
        format!(
            "{what} over loopback, its connection made by {} ({})",
            found.session.carrier,
            described(found)
        )
    };
    chain
}

/// Rows of level low or above that no story took: one chain for their tool.
fn rest(rows: &mut [Built], taken: usize) -> Option<Chain> {
    let id = format!("tunnel-{}", taken + 1);
    let mut any = false;
    for built in rows.iter_mut() {
        let row = &mut built.row;
        let open = row.chain.is_empty() && row.tool == NO_TOOL && row.level >= Level::Low;
        if open && !row.tag.contains(&Tag::Suppressed) {
            row.chain.clone_from(&id);
            any = true;
        }
    }
    let mine: Vec<&Row> = rows.iter().map(|b| &b.row).filter(|r| r.chain == id).collect();
    any.then(|| {
        let mut chain = base(&id, NO_TOOL, &mine);
        chain.summary = format!(
            "{} trace(s) that look like a tunnel's but name no tool; first: {}",
            mine.len(),
            mine.first().map(|r| r.message.as_str()).unwrap_or_default()
        );
        chain
    })
}

fn base(id: &str, tool: &str, rows: &[&Row]) -> Chain {
    let union = |pick: &dyn Fn(&Row) -> Vec<String>| -> Vec<String> {
        rows.iter().flat_map(|r| pick(r)).collect::<BTreeSet<_>>().into_iter().collect()
    };
    Chain {
        id: id.to_owned(),
        tool: tool.to_owned(),
        score: rows.iter().map(|r| r.score).max().unwrap_or_default(),
        stage: rows
            .iter()
            .filter(|r| r.level >= Level::Low && r.stage != RowStage::Context)
            .map(|r| r.stage)
            .max()
            .unwrap_or_default(),
        first: own_times(rows).min(),
        last: own_times(rows).max(),
        user: first(rows, |r| &r.user),
        path: first(rows, |r| &r.path),
        rules: union(&|r| r.rule.clone()),
        techniques: union(&|r| r.technique.clone()),
        rows: rows.iter().map(|r| r.row_id.clone()).collect(),
        ..Chain::default()
    }
}

/// The times of what happened here; see [`remoteness`].
fn own_times<'a>(rows: &'a [&Row]) -> impl Iterator<Item = Timestamp> + 'a {
    let dated = || rows.iter().filter(|r| r.datetime.is_some());
    let best = dated().map(|r| remoteness(r)).min();
    dated().filter(move |r| Some(remoteness(r)) == best).filter_map(|r| r.datetime)
}

/// The value of the strongest row that has one.
fn first(rows: &[&Row], pick: impl Fn(&Row) -> &String) -> String {
    rows.iter()
        .filter(|r| !pick(r).is_empty())
        .max_by_key(|r| (r.score, std::cmp::Reverse(r.datetime)))
        .map(|r| pick(r).clone())
        .unwrap_or_default()
}

/// `rdp by CORP\x from 203.0.113.7, workstation kali, 2024-09-02T21:20:05Z`
fn described(found: &Found) -> String {
    let s = &found.session;
    let mut out = s.kind.clone();
    for (word, value) in
        [(" by ", &s.user), (" from ", &s.remote_address), (", workstation ", &s.workstation)]
    {
        if !value.is_empty() {
            out.push_str(word);
            out.push_str(value);
        }
    }
    if let Some(from) = s.from {
        out.push_str(&format!(", {from:.0}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(stage: RowStage, rule: &str, command: &str) -> Row {
        let (rule, command_line) = (vec![rule.to_owned()], command.to_owned());
        Row { stage, rule, command_line, ..Row::default() }
    }

    #[test]
    fn an_install_that_was_typed_is_a_developers_with_web_ports_alone() {
        let install =
            || typed(RowStage::Delivered, "x-typed-install", "npm install -g localtunnel");
        let run = |command| typed(RowStage::Executed, "x-typed", command);
        let fetched = || typed(RowStage::Delivered, "x-typed-source", "wget https://x.example/lt");
        let check = |rows: &[Row], expected: bool| {
            let rows: Vec<&Row> = rows.iter().collect();
            let found = managers_typed(&rows).unwrap_or_default();
            assert_eq!(found.contains("npm"), expected, "{rows:?}");
        };
        check(&[install(), run("lt --port 3000")], true);
        check(&[install(), run("ngrok http 8080"), run("ngrok config add-authtoken x")], true);
        check(&[install(), run("lt --port 22")], false);
        check(&[install(), run("ngrok http 8080"), run("ngrok tcp 3389")], false);
        check(&[install(), run("ngrok start --all")], false);
        check(&[install(), run("ngrok http 8080"), run("ngrok start --all")], false);
        check(&[install(), fetched(), run("lt --port 3000")], false);
        check(&[run("lt --port 3000")], false);
        check(&[install()], false);
    }

    #[test]
    fn a_token_older_than_the_system_is_told() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (installed, expected) in [(None, false), (Some(at(99)), false), (Some(at(101)), true)] {
            assert_eq!(issued(at(100), installed).contains("older"), expected);
        }
    }
}
