//! Rows into chains: one story per tool, one per session that no tool explains.

use std::collections::{BTreeMap, BTreeSet};

use super::session::Found;
use super::timeline::{Built, RowsOf};
use super::verdict::remoteness;
use super::{Settings, Tool};
use crate::model::{Chain, Level, Row, RowStage, Tag};

/// What every further stage adds to a chain's score.
const STAGE_BONUS: u8 = 5;
/// A log cleared near a chain.
const CLEARED_NEAR: u8 = 40;
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
];

/// Builds the chains and writes their ids into the rows.
pub fn build(
    rows: &mut [Built],
    sessions: &[Found],
    rows_of: &RowsOf,
    tools: &[Tool],
    settings: &Settings,
) -> Vec<Chain> {
    let mut chains = Vec::new();
    for tool in tools.iter().filter(|t| &*t.id != "tunnel") {
        let id = format!("{}-1", tool.id);
        if !claim(rows, &tool.id, &id) {
            continue;
        }
        near_cleanup(rows, &id, settings);
        let mine: Vec<&Row> = rows.iter().map(|b| &b.row).filter(|r| r.chain == id).collect();
        let carried = sessions.iter().filter(|s| s.tool.as_deref() == Some(&*tool.id));
        chains.push(of_tool(&id, tool, &mine, &carried.collect::<Vec<_>>()));
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
        let loose =
            row.tool == "tunnel" && row.stage == RowStage::CleanedUp && row.chain.is_empty();
        if loose && row.datetime.is_some_and(|at| at >= first && at <= until) {
            row.chain = id.to_owned();
            row.score = row.score.max(CLEARED_NEAR);
            row.level = Level::of_score(row.score);
        }
    }
}

fn of_tool(id: &str, tool: &Tool, rows: &[&Row], sessions: &[&Found]) -> Chain {
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
        .map(|(stage, row)| match row.datetime {
            Some(at) => format!("{} {at:.0}", stage.as_str().replace('_', " ")),
            None => stage.as_str().replace('_', " "),
        })
        .collect();
    if !sessions.is_empty() {
        let from: Vec<String> = sessions.iter().take(3).map(|s| described(s)).collect();
        story.push(format!("{} session(s) came in: {}", sessions.len(), from.join("; ")));
    }
    if is_benign(rows, sessions) {
        chain.score = chain.score.min(BENIGN);
        story.push(
            "scored down: installed by a package manager, nothing but web ports, no session".into(),
        );
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

/// C10: from a package manager, run by hand, for web ports: a developer's use.
fn is_benign(rows: &[&Row], sessions: &[&Found]) -> bool {
    let programs: Vec<String> = rows
        .iter()
        .filter(|r| r.artifact.ends_with(".executable") || r.event_id == Some(1))
        .map(|r| r.path.replace('/', "\\").to_ascii_lowercase())
        .filter(|p| p.ends_with(".exe"))
        .collect();
    let packaged = |p: &String| PACKAGE_FOLDERS.iter().any(|folder| p.contains(folder));
    let serious = rows.iter().any(|r| {
        matches!(r.stage, RowStage::Persisted | RowStage::Used | RowStage::CleanedUp)
            || r.score >= 75
    });
    !programs.is_empty() && programs.iter().all(packaged) && sessions.is_empty() && !serious
}

fn of_session(id: &str, found: &Found, rows: &[&Row]) -> Chain {
    let mut chain = base(id, "tunnel", rows);
    chain.stage = RowStage::Used;
    chain.user.clone_from(&found.session.user);
    chain.local_port = found.session.local_port;
    chain.summary = if found.session.carrier.is_empty() {
        format!(
            "Remote desktop over loopback that no tool's port or log explains ({}): consistent \
             with a tunnel by a renamed tool or `ssh -R`",
            described(found)
        )
    } else {
        format!(
            "Remote desktop over loopback, its connection made by {} ({})",
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
        let open = row.chain.is_empty() && row.tool == "tunnel" && row.level >= Level::Low;
        if open && !row.tag.contains(&Tag::Suppressed) {
            row.chain.clone_from(&id);
            any = true;
        }
    }
    let mine: Vec<&Row> = rows.iter().map(|b| &b.row).filter(|r| r.chain == id).collect();
    any.then(|| {
        let mut chain = base(&id, "tunnel", &mine);
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
fn own_times<'a>(rows: &'a [&Row]) -> impl Iterator<Item = jiff::Timestamp> + 'a {
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
