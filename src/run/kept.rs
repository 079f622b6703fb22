//! Which sources this very system keeps, so that a missing one is told from one that
//! never was.

use crate::artifact::{Artifact, Artifacts};
use crate::correlate::{Need, Tool};
use crate::model::SystemFacts;

const AMCACHE: &str = "windows.registry.amcache";
const LAUNCHES: &str = "windows.execution.pca";
const PREFETCH: &str = "windows.execution.prefetch";
const SRUM: &str = "windows.execution.srum";
const TASKS: &str = "windows.tasks.xml";
/// The build of Windows 11 22H2, that brought lists of launched programs.
const FIRST_WITH_LAUNCHES: u32 = 22_621;
/// Versions before Windows 8, that brought Amcache and the usage of programs by the hour.
const BEFORE_WINDOWS_8: [&str; 6] = ["XP", "2000", "2003", "Vista", "2008", "Windows 7"];
/// Versions before the one that keeps tasks as XML.
const BEFORE_TASKS: [&str; 3] = ["XP", "2000", "2003"];
/// Logs of Linux that a service of their own writes, and what shows that it is set up.
const LINUX_LOGS: [(&str, &str); 3] =
    [("linux.log.audit", "audit"), ("linux.log.auth", "syslog"), ("linux.log.syslog", "syslog")];

/// The tools with their needs as they are on this system.
pub fn tools_on(tools: &[Tool], artifacts: &Artifacts, system: &SystemFacts) -> Vec<Tool> {
    let mut tools = tools.to_vec();
    for need in tools.iter_mut().flat_map(|tool| tool.needs.values_mut()).flatten() {
        need.by_default = is_kept(need, artifacts.by_id(&need.artifact), system);
    }
    tools
}

/// Whether the source must be there. Where nothing tells, it must: a log that may
/// have been taken away denies nothing.
fn is_kept(need: &Need, artifact: Option<&Artifact>, system: &SystemFacts) -> bool {
    let is_on = |log: &str| {
        let on = |logs: &Vec<String>| logs.iter().any(|known| known.eq_ignore_ascii_case(log));
        system.logs.as_ref().is_none_or(on)
    };
    let is_one_of = |versions: &[&str]| {
        // A build's number may hold a version's: 22000.
        let name = system.os.as_deref().and_then(|os| os.split(" (build ").next());
        name.is_some_and(|name| versions.iter().any(|old| name.contains(old)))
    };
    if let Some((_, log)) = LINUX_LOGS.iter().find(|(id, _)| *id == need.artifact) {
        return is_on(log);
    }
    match need.artifact.as_str() {
        // Servers leave it off; a workstation where it is off was made so.
        PREFETCH => !system.server,
        AMCACHE => !is_one_of(&BEFORE_WINDOWS_8),
        TASKS => !is_one_of(&BEFORE_TASKS),
        LAUNCHES => build_of(system).is_none_or(|build| build >= FIRST_WITH_LAUNCHES),
        // Every workstation has it; of servers not each.
        SRUM => !system.server && !is_one_of(&BEFORE_WINDOWS_8),
        _ => match artifact.and_then(|a| a.store.as_deref()) {
            Some(log) => need.by_default || is_on(log),
            None => need.by_default,
        },
    }
}

/// The build that the version names: `Windows 10 Pro 22H2 (build 19045.4046)`.
fn build_of(system: &SystemFacts) -> Option<u32> {
    let (_, build) = system.os.as_deref()?.split_once("(build ")?;
    build.split(['.', ')']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: &str, system: &SystemFacts) -> bool {
        let artifacts = Artifacts::builtin().unwrap();
        let artifact = artifacts.by_id(id);
        let by_default = artifact.is_none_or(|a| a.expected);
        is_kept(&Need { artifact: id.to_owned(), by_default }, artifact, system)
    }

    fn windows(os: &str, logs: Option<&[&str]>) -> SystemFacts {
        SystemFacts {
            os: Some(os.to_owned()),
            server: os.contains("Server"),
            logs: logs.map(|logs| logs.iter().map(|&log| log.to_owned()).collect()),
            ..SystemFacts::default()
        }
    }

    #[test]
    fn what_is_off_is_not_asked_for() {
        let desktop = windows("Windows 10 Pro 22H2", Some(&[]));
        let server = windows("Windows Server 2019 Standard", Some(&[]));
        let sysmon = windows("Windows 10 Pro", Some(&["Microsoft-Windows-Sysmon/Operational"]));
        assert!(kept(PREFETCH, &desktop) && !kept(PREFETCH, &server));
        assert!(kept(TASKS, &desktop) && kept(TASKS, &server));
        assert!(!kept("windows.network.firewall_log", &desktop));
        assert!(!kept("windows.evtx.sysmon", &desktop) && kept("windows.evtx.sysmon", &sysmon));
        assert!(kept("windows.evtx.security", &desktop));
        assert!(kept(AMCACHE, &server) && !kept(AMCACHE, &windows("Windows 7 Professional", None)));
        let (old, new) = ("Windows 11 Pro 21H2 (build 22000.1)", "Windows 11 Pro (build 22631.7)");
        assert!(kept(AMCACHE, &windows(old, None)) && kept(TASKS, &windows(old, None)));
        assert!(!kept(LAUNCHES, &windows(old, None)) && kept(LAUNCHES, &windows(new, None)));
        assert!(kept(SRUM, &windows(old, None)) && kept(SRUM, &desktop));
        assert!(!kept(SRUM, &windows("Windows Server 2022 (build 20348.1)", None)));
        assert!(!kept(SRUM, &windows("Windows 7 Professional (build 7601)", None)));
        assert!(!kept("linux.log.audit", &windows("Debian GNU/Linux 12", Some(&["syslog"]))));
    }

    #[test]
    fn where_nothing_tells_a_missing_log_is_missing() {
        for id in
            ["windows.evtx.sysmon", "windows.evtx.dns_client", "linux.log.audit", PREFETCH, SRUM]
        {
            assert!(kept(id, &SystemFacts::default()), "{id}");
        }
    }
}
