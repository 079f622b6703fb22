//! What the events mean: channel or provider and event id to category, moment and
//! added fields.
//!
//! Sources: the providers' manifests (field names and positions as Windows ships
//! them), Sigma's field taxonomy, and the logs in `testdata/parse/evtx`.

use std::collections::{BTreeMap, BTreeSet};

use super::derive::Step::{self, *};
use crate::model::Category;

/// What some events of one source mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Channel or provider, ASCII case aside; with a star at its end, what begins so.
    sources: &'static [&'static str],
    ids: &'static [i64],
    pub category: Category,
    /// What the event's time means.
    pub moment: &'static str,
    /// The time is the event's own UtcTime.
    pub by_utc_time: bool,
    pub steps: &'static [Step],
}

/// The rule for an event, if it means more than `event`. The first that fits counts.
pub(super) fn rule_for(channel: &str, provider: &str, id: Option<i64>) -> Option<&'static Rule> {
    let id = id?;
    let is = |name: &str, source: &str| match source.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start)),
        None => name.eq_ignore_ascii_case(source),
    };
    let from = |source: &&str| is(channel, source) || is(provider, source);
    RULES.iter().find(|rule| rule.ids.contains(&id) && rule.sources.iter().any(from))
}

/// Every category of events; of what only the text of an event makes one, with the names of
/// the sources that it comes from: channel or provider stand in every event.
pub(crate) fn categories() -> Vec<(Category, Vec<String>)> {
    let mut known: BTreeMap<Category, BTreeSet<String>> = BTreeMap::new();
    for rule in RULES {
        known.entry(rule.category).or_default();
        for category in rule.steps.iter().flat_map(Step::categories) {
            let sources = rule.sources.iter().map(|source| source.trim_end_matches('*'));
            let sources = sources.map(str::to_ascii_lowercase);
            known.entry(category).or_default().extend(sources);
        }
    }
    known.into_iter().map(|(category, from)| (category, from.into_iter().collect())).collect()
}

const SYSMON: &[&str] = &["Microsoft-Windows-Sysmon", "Linux-Sysmon"];
const SECURITY: &[&str] = &["Microsoft-Windows-Security-Auditing"];
const SERVICES: &[&str] = &["Service Control Manager"];
const EVENTLOG: &[&str] = &["Microsoft-Windows-Eventlog", "Eventlog"];
const POWERSHELL: &[&str] = &[
    "Microsoft-Windows-PowerShell",
    "Microsoft-Windows-PowerShell/Operational",
    "PowerShellCore",
    "PowerShellCore/Operational",
];
const CLASSIC_POWERSHELL: &[&str] = &["Windows PowerShell", "PowerShell"];
const SESSIONS: &[&str] = &["Microsoft-Windows-TerminalServices-LocalSessionManager"];
const RDP_LOGONS: &[&str] = &["Microsoft-Windows-TerminalServices-RemoteConnectionManager"];
const RDP_CORE: &[&str] = &["Microsoft-Windows-RemoteDesktopServices-RdpCoreTS"];
const TASKS: &[&str] = &["Microsoft-Windows-TaskScheduler"];
const DEFENDER: &[&str] =
    &["Microsoft-Windows-Windows Defender", "Microsoft-Windows-Windows Defender/Operational"];
const DNS_CLIENT: &[&str] = &["Microsoft-Windows-DNS-Client"];
const WMI: &[&str] = &["Microsoft-Windows-WMI-Activity"];
const BITS: &[&str] = &["Microsoft-Windows-Bits-Client"];
const FIREWALL: &[&str] = &[
    "Microsoft-Windows-Windows Firewall With Advanced Security",
    "Microsoft-Windows-Windows Firewall With Advanced Security/Firewall",
];
const NGROK: &[&str] = &["ngrok"];
const OPENSSH: &[&str] = &["OpenSSH"];
/// The default instance, and those with a name of their own.
const SQL_SERVER: &[&str] = &["MSSQLSERVER", "MSSQL$*"];
const SMB_SERVER: &[&str] = &["Microsoft-Windows-SMBServer"];
/// Windows Installer, and what it says of a product that it installed or removed.
const INSTALLER: &[&str] = &["MsiInstaller"];
const PRODUCT: &[&str] = &["Product", "Version", "Language", "Status", "Company"];
const APPX: &[&str] = &["Microsoft-Windows-AppXDeployment-Server"];

const SUBJECT: (&str, &str) = ("SubjectDomainName", "SubjectUserName");
const TARGET: (&str, &str) = ("TargetDomainName", "TargetUserName");

/// A Sysmon rule: its time is the event's own.
const fn sysmon(
    ids: &'static [i64],
    category: Category,
    moment: &'static str,
    steps: &'static [Step],
) -> Rule {
    Rule { sources: SYSMON, ids, category, moment, by_utc_time: true, steps }
}

const fn rule(
    sources: &'static [&'static str],
    ids: &'static [i64],
    category: Category,
    steps: &'static [Step],
) -> Rule {
    Rule { sources, ids, category, moment: "Event Logged", by_utc_time: false, steps }
}

const fn at(moment: &'static str, rule: Rule) -> Rule {
    Rule { moment, ..rule }
}

const PID: Step = Number("ProcessId", &["ProcessId"]);

const SYSMON_PROCESS: &[Step] =
    &[PID, Number("ParentProcessId", &["ParentProcessId"]), Logon("LogonId")];

const SYSMON_NETWORK: &[Step] =
    &[PID, Number("SourcePort", &["SourcePort"]), Number("DestinationPort", &["DestinationPort"])];

const NEW_PROCESS: &[Step] = &[
    Number("ParentProcessId", &["ProcessId"]),
    Number("ProcessId", &["NewProcessId"]),
    Copy("Image", &["NewProcessName"]),
    Copy("ParentImage", &["ParentProcessName"]),
    Account("User", &[TARGET, SUBJECT]),
    Logon("SubjectLogonId"),
];

const ENDED_PROCESS: &[Step] =
    &[PID, Copy("Image", &["ProcessName"]), Account("User", &[SUBJECT]), Logon("SubjectLogonId")];

const FILTERED_CONNECTION: &[Step] = &[
    Copy("Image", &["Application"]),
    Number("ProcessId", &["ProcessID", "ProcessId"]),
    Copy("SourceIp", &["SourceAddress"]),
    Number("SourcePort", &["SourcePort"]),
    Copy("DestinationIp", &["DestAddress"]),
    Number("DestinationPort", &["DestPort"]),
    Initiated,
];

const INSTALLED_SERVICE: &[Step] =
    &[Positional(&["ServiceName", "ImagePath", "ServiceType", "StartType", "AccountName"])];

const AUDITED_SERVICE: &[Step] = &[
    Positional(&[
        "SubjectUserSid",
        "SubjectUserName",
        "SubjectDomainName",
        "SubjectLogonId",
        "ServiceName",
        "ServiceFileName",
        "ServiceType",
        "ServiceStartType",
        "ServiceAccount",
    ]),
    Copy("ImagePath", &["ServiceFileName"]),
    Copy("StartType", &["ServiceStartType"]),
    Copy("AccountName", &["ServiceAccount"]),
    Account("User", &[SUBJECT]),
    Logon("SubjectLogonId"),
];

const LOGON: &[Step] = &[
    Account("User", &[TARGET]),
    Logon("TargetLogonId"),
    Number("LogonType", &["LogonType"]),
    ForeignWorkstation,
];

const DETECTION: &[Step] = &[
    Copy("ThreatName", &["Threat Name"]),
    Copy("ProcessName", &["Process Name"]),
    Copy("User", &["Detection User"]),
];

const SUBJECT_LOGON: &[Step] = &[Account("User", &[SUBJECT]), Logon("SubjectLogonId")];

const RECONNECT: &[Step] = &[
    Account("User", &[("AccountDomain", "AccountName")]),
    Logon("LogonID"),
    Copy("WorkstationName", &["ClientName"]),
    Copy("IpAddress", &["ClientAddress"]),
];

const AUDITED_TASK: &[Step] = &[
    Account("User", &[SUBJECT]),
    Logon("SubjectLogonId"),
    Copy("TaskContent", &["TaskContentNew"]),
    TaskCommand,
];

const RULES: &[Rule] = &[
    sysmon(&[1], "process_creation", "Process Start", SYSMON_PROCESS),
    sysmon(&[5], "process_termination", "Process End", &[PID]),
    sysmon(&[3], "network_connection", "Network Connection", SYSMON_NETWORK),
    sysmon(&[22], "dns_query", "DNS Query", &[PID]),
    sysmon(&[11], "file_event", "File Created", &[PID]),
    sysmon(&[23, 26], "file_delete", "Event Logged", &[PID]),
    sysmon(&[15], "create_stream_hash", "Event Logged", &[PID]),
    sysmon(&[2], "file_change", "Event Logged", &[PID]),
    sysmon(&[7], "image_load", "Event Logged", &[PID]),
    sysmon(&[12], "registry_add", "Event Logged", &[PID]),
    sysmon(&[13], "registry_set", "Event Logged", &[PID]),
    sysmon(&[14], "registry_rename", "Event Logged", &[PID]),
    sysmon(&[19, 20, 21], "wmi_event", "Event Logged", &[Consumer("Destination")]),
    sysmon(&[4, 6, 8, 9, 10, 16, 17, 18, 24, 25, 27, 28, 29, 255], "event", "Event Logged", &[]),
    at("Process Start", rule(SECURITY, &[4688], "process_creation", NEW_PROCESS)),
    at("Process End", rule(SECURITY, &[4689], "process_termination", ENDED_PROCESS)),
    rule(SECURITY, &[5156, 5157, 5158], "network_connection", FILTERED_CONNECTION),
    rule(SECURITY, &[4697], "service_install", AUDITED_SERVICE),
    rule(SECURITY, &[4624], "logon", LOGON),
    rule(SECURITY, &[4625], "logon_failed", LOGON),
    rule(SECURITY, &[4634, 4647], "logoff", LOGON),
    rule(SECURITY, &[4672], "logon_privileges", SUBJECT_LOGON),
    rule(
        SECURITY,
        &[4648],
        "logon_explicit",
        &[Account("User", &[TARGET]), Logon("SubjectLogonId")],
    ),
    rule(SECURITY, &[4778, 4779], "session_reconnect", RECONNECT),
    rule(SECURITY, &[4698, 4699, 4700, 4701, 4702], "task", AUDITED_TASK),
    rule(
        EVENTLOG,
        &[1102],
        "log_cleared",
        &[Is("ClearedChannel", "Security"), Account("User", &[SUBJECT]), Logon("SubjectLogonId")],
    ),
    rule(EVENTLOG, &[104], "log_cleared", &[ClearedChannel, Account("User", &[SUBJECT])]),
    rule(EVENTLOG, &[1100], "log_cleared", &[]),
    rule(SERVICES, &[7045], "service_install", INSTALLED_SERVICE),
    // In the words of the system's language: `running`, `stopped`.
    rule(
        SERVICES,
        &[7036],
        "service_state",
        &[Params, Copy("ServiceName", &["param1"]), Copy("State", &["param2"])],
    ),
    rule(
        SERVICES,
        &[7040],
        "service_state",
        &[Params, Copy("ServiceName", &["param4", "param1"]), Is("State", "start type changed")],
    ),
    rule(
        SERVICES,
        &[7031, 7034],
        "service_state",
        &[Params, Copy("ServiceName", &["param1"]), Is("State", "terminated unexpectedly")],
    ),
    rule(
        SERVICES,
        &[7000],
        "service_state",
        &[Params, Copy("ServiceName", &["param1"]), Is("State", "failed to start")],
    ),
    rule(
        SERVICES,
        &[7023, 7024],
        "service_state",
        &[Params, Copy("ServiceName", &["param1"]), Is("State", "terminated with an error")],
    ),
    // Their first parameter is the time waited, in milliseconds.
    rule(
        SERVICES,
        &[7009, 7011],
        "service_state",
        &[Params, Copy("ServiceName", &["param2"]), Is("State", "did not answer in time")],
    ),
    rule(
        INSTALLER,
        &[1033],
        "installer",
        &[Positional(PRODUCT), Product, Is("Action", "installed")],
    ),
    rule(INSTALLER, &[1034], "installer", &[Positional(PRODUCT), Product, Is("Action", "removed")]),
    rule(INSTALLER, &[11707], "installer", &[Product, Is("Action", "installed")]),
    rule(INSTALLER, &[11724], "installer", &[Product, Is("Action", "removed")]),
    rule(POWERSHELL, &[4104], "ps_script", &[]),
    rule(POWERSHELL, &[4103], "ps_module", &[HostApplication]),
    rule(CLASSIC_POWERSHELL, &[400, 403, 600, 800], "ps_classic_start", &[HostApplication]),
    rule(
        SESSIONS,
        &[21, 22, 23, 24, 25, 39, 40],
        "rdp",
        &[Copy("SessionID", &["Session", "TargetSession"])],
    ),
    rule(
        RDP_LOGONS,
        &[1149],
        "rdp",
        &[Account("User", &[("Param2", "Param1")]), Copy("Address", &["Param3"])],
    ),
    rule(RDP_LOGONS, &[261], "rdp", &[]),
    rule(RDP_CORE, &[131], "rdp", &[Endpoint("ClientIP")]),
    rule(RDP_CORE, &[140], "rdp", &[Endpoint("IPString")]),
    rule(RDP_CORE, &[65, 66, 68, 98, 102, 103, 104, 141, 168], "rdp", &[]),
    rule(
        TASKS,
        &[100, 102, 106, 129, 140, 141, 200, 201],
        "task",
        &[Copy("User", &["UserContext", "UserName"])],
    ),
    rule(DEFENDER, &[1116, 1006, 1015, 5007, 5001], "antivirus", DETECTION),
    rule(
        DEFENDER,
        &[1117, 1118, 1119],
        "antivirus",
        &[
            Copy("ThreatName", &["Threat Name"]),
            Copy("ProcessName", &["Process Name"]),
            Copy("User", &["Detection User"]),
            Copy("ActionName", &["Action Name"]),
        ],
    ),
    rule(
        DNS_CLIENT,
        &[3006, 3008, 3016, 3018, 3020],
        "dns_query",
        &[Copy("QueryStatus", &["Status"])],
    ),
    rule(WMI, &[5857, 5858, 5859, 5860], "wmi_event", &[]),
    rule(WMI, &[5861], "wmi_event", &[Consumer("PossibleCause")]),
    rule(
        BITS,
        &[3, 4, 59, 60, 61],
        "bits",
        &[
            Copy("jobTitle", &["name"]),
            Copy("User", &["jobOwner"]),
            Copy("Image", &["processPath"]),
        ],
    ),
    rule(
        FIREWALL,
        &[2002, 2003, 2004, 2005, 2006, 2008, 2009, 2010, 2011, 2033, 2071, 2073, 2097, 2099],
        "firewall",
        &[],
    ),
    rule(OPENSSH, &[1, 2, 3, 4], "event", &[Sshd]),
    rule(SQL_SERVER, &[18453, 18454, 18455], "sql_login", &[SqlLogin, Is("Outcome", "accepted")]),
    rule(
        SQL_SERVER,
        &[18450, 18451, 18452, 18456, 18461, 18463, 18468, 18470, 18486, 18487, 18488],
        "sql_login",
        &[SqlLogin, Is("Outcome", "failed")],
    ),
    rule(
        SMB_SERVER,
        &[551, 1006, 1009],
        "smb_login",
        &[Client("ClientName"), Copy("User", &["UserName"]), Is("Outcome", "failed")],
    ),
    rule(
        APPX,
        &[400],
        "package",
        &[Copy("Name", &["PackageFullName"]), Copy("Image", &["Path"]), Is("Source", "store")],
    ),
    rule(NGROK, &[1, 2, 3], "agent_service_log", &[Positional(&["Message"])]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_with_a_star_is_the_start_of_a_name() {
        let of = |provider| rule_for("Application", provider, Some(18456)).map(|r| r.category);
        assert_eq!(of("MSSQLSERVER"), Some("sql_login"));
        assert_eq!(of("mssql$EXPRESS"), Some("sql_login"));
        assert_eq!((of("MSSQL"), of("MSSQL$"), of("MSSQLä")), (None, Some("sql_login"), None));
    }
}
