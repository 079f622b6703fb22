//! Which records a rule looks at: Sigma's `logsource` in terms of our records.
//!
//! Names of services and their channels as the Sigma specification's appendix
//! on log sources lists them, with the two Remote Desktop channels added.

use rsigma_parser::LogSource;

use crate::model::Record;

/// Sigma service and the event-log channels that it means.
const SERVICES: &[(&str, &[&str])] = &[
    ("application", &["Application"]),
    (
        "applocker",
        &[
            "Microsoft-Windows-AppLocker/EXE and DLL",
            "Microsoft-Windows-AppLocker/MSI and Script",
            "Microsoft-Windows-AppLocker/Packaged app-Deployment",
            "Microsoft-Windows-AppLocker/Packaged app-Execution",
        ],
    ),
    ("appxdeployment-server", &["Microsoft-Windows-AppXDeploymentServer/Operational"]),
    ("bits-client", &["Microsoft-Windows-Bits-Client/Operational"]),
    ("capi2", &["Microsoft-Windows-CAPI2/Operational"]),
    ("codeintegrity-operational", &["Microsoft-Windows-CodeIntegrity/Operational"]),
    (
        "dns-client",
        &[
            "Microsoft-Windows-DNS Client Events/Operational",
            "Microsoft-Windows-DNS-Client/Operational",
        ],
    ),
    ("dns-server", &["DNS Server"]),
    ("dns-server-analytic", &["Microsoft-Windows-DNS-Server/Analytical"]),
    ("driver-framework", &["Microsoft-Windows-DriverFrameworks-UserMode/Operational"]),
    ("firewall-as", &["Microsoft-Windows-Windows Firewall With Advanced Security/Firewall"]),
    ("lsa-server", &["Microsoft-Windows-LSA/Operational"]),
    ("msexchange-management", &["MSExchange Management"]),
    ("ntlm", &["Microsoft-Windows-NTLM/Operational"]),
    ("openssh", &["OpenSSH/Operational"]),
    ("powershell", &["Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational"]),
    ("powershell-classic", &["Windows PowerShell"]),
    ("rdpcorets", &["Microsoft-Windows-RemoteDesktopServices-RdpCoreTS/Operational"]),
    ("security", &["Security"]),
    (
        "security-mitigations",
        &[
            "Microsoft-Windows-Security-Mitigations/Kernel Mode",
            "Microsoft-Windows-Security-Mitigations/User Mode",
        ],
    ),
    ("shell-core", &["Microsoft-Windows-Shell-Core/Operational"]),
    ("smbclient-security", &["Microsoft-Windows-SmbClient/Security"]),
    ("sysmon", &["Microsoft-Windows-Sysmon/Operational", "Linux-Sysmon/Operational"]),
    ("system", &["System"]),
    ("taskscheduler", &["Microsoft-Windows-TaskScheduler/Operational"]),
    (
        "terminalservices-localsessionmanager",
        &["Microsoft-Windows-TerminalServices-LocalSessionManager/Operational"],
    ),
    (
        "terminalservices-remoteconnectionmanager",
        &["Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational"],
    ),
    ("windefend", &["Microsoft-Windows-Windows Defender/Operational"]),
    ("wmi", &["Microsoft-Windows-WMI-Activity/Operational"]),
];

/// Sigma category that our records keep as plain events: Sysmon's event ids for it.
const SYSMON_EVENTS: &[(&str, &[i64])] = &[
    ("clipboard_capture", &[24]),
    ("create_remote_thread", &[8]),
    ("driver_load", &[6]),
    ("file_block_executable", &[27]),
    ("file_block_shredding", &[28]),
    ("file_executable_detected", &[29]),
    ("pipe_created", &[17, 18]),
    ("process_access", &[10]),
    ("process_tampering", &[25]),
    ("raw_access_thread", &[9]),
    ("sysmon_error", &[255]),
    ("sysmon_status", &[4, 16]),
];

/// Sigma category that several of ours, or one of another name, stand for.
const ALIASES: &[(&str, &[&str])] = &[
    ("antivirus", &["antivirus", "antivirus_log"]),
    ("file_access", &["file_event"]),
    ("file_delete_detected", &["file_delete"]),
    ("file_rename", &["file_rename", "file_event"]),
    ("network_connection", &["firewall_log", "network_connection"]),
    ("ps_classic_provider_start", &["ps_classic_start"]),
    ("registry_delete", &["registry_add"]),
    ("registry_event", &["registry_add", "registry_set", "registry_rename"]),
];

/// Sigma category that stands for a group of ours: whatever proves the same.
const GROUPS: &[(&str, &[&str])] = &[
    // Starts by itself.
    (
        "autostart",
        &[
            "bits_job",
            "cron",
            "desktop_autostart",
            "launchd",
            "rc_script",
            "service_file",
            "shell_profile",
            "startup_approved",
            "startup_script",
            "startup_shortcut",
            "systemd_unit",
            "task_cache",
            "task_file",
            "wmi_consumer",
        ],
    ),
    // Typed or stored by somebody.
    (
        "command",
        &[
            "cron_run",
            "explorer_search",
            "powershell_history",
            "run_dialog",
            "shell_history",
            "sudo",
            "typed_path",
        ],
    ),
    // A name or address in a settings file.
    (
        "host_entry",
        &[
            "hosts_file",
            "known_host",
            "package_source",
            "port_proxy",
            "proxy_setting",
            "rdp_client",
            "ssh_session",
            "ssh_setting",
        ],
    ),
    ("login", &["login_record", "ssh_login"]),
    ("message", &["audit", "container_log", "journal", "syslog"]),
    // Proves a run.
    (
        "program_execution",
        &[
            "activity",
            "bam",
            "crash_report",
            "feature_usage",
            "pca_launch",
            "prefetch",
            "recent_app",
            "srum_application",
            "srum_network",
            "srum_run",
            "srum_timeline",
            "userassist",
        ],
    ),
    // Was there, or known to the system.
    (
        "program_presence",
        &[
            "amcache",
            "antivirus_exclusion",
            "antivirus_log",
            "app_path",
            "compatibility",
            "jump_list",
            "muicache",
            "open_save_dialog",
            "package",
            "recent_document",
            "recycled",
            "shell_bag",
            "shimcache",
            "shortcut",
            "taskbar_menu",
            "uninstall",
        ],
    ),
    // An address visited or fetched.
    (
        "web",
        &[
            "antivirus_log",
            "bits_job",
            "browser_download",
            "browser_search",
            "browser_visit",
            "package",
            "quarantine",
            "typed_url",
            "url_cache",
            "wget_hsts",
            "zone_identifier",
        ],
    ),
];

/// The records a rule is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// Categories of ours; empty means every one.
    pub(super) categories: Vec<String>,
    channels: &'static [&'static str],
    event_ids: &'static [i64],
    linux: Option<bool>,
    nothing: bool,
}

impl Scope {
    pub(super) fn of(source: &LogSource) -> Self {
        let mut scope = Self {
            categories: Vec::new(),
            channels: &[],
            event_ids: &[],
            linux: None,
            nothing: false,
        };
        match source.product.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None => {}
            Some("windows") => scope.linux = Some(false),
            Some("linux") => scope.linux = Some(true),
            Some(_) => scope.nothing = true,
        }
        if let Some(category) = source.category.as_deref().map(str::to_ascii_lowercase) {
            if let Some(ids) = find(SYSMON_EVENTS, &category) {
                scope.event_ids = ids;
                scope.channels = find(SERVICES, "sysmon").unwrap_or_default();
            } else if let Some(ours) = find(ALIASES, &category).or_else(|| find(GROUPS, &category))
            {
                scope.categories = ours.iter().map(|&c| c.to_owned()).collect();
            } else {
                scope.categories.push(category);
            }
        }
        if let Some(service) = source.service.as_deref().map(str::to_ascii_lowercase) {
            match find(SERVICES, &service) {
                Some(channels) => scope.channels = channels,
                None => scope.nothing = true,
            }
        }
        scope
    }

    /// Whether any record can fall into the scope.
    pub(super) fn is_empty(&self) -> bool {
        self.nothing
    }

    /// Whether the record is one of those; its category is not looked at.
    pub(super) fn admits(&self, record: &Record) -> bool {
        if self.nothing {
            return false;
        }
        if self.linux.is_none() && self.channels.is_empty() {
            return true;
        }
        let channel = record.text("Channel");
        let of_linux = channel.map(|c| c.starts_with("Linux-"));
        if self.linux.is_some() && of_linux.is_some() && self.linux != of_linux {
            return false;
        }
        (self.channels.is_empty()
            || channel.is_some_and(|c| self.channels.iter().any(|of| of.eq_ignore_ascii_case(c))))
            && (self.event_ids.is_empty()
                || record.number("EventID").is_some_and(|id| self.event_ids.contains(&id)))
    }
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}
