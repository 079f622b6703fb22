//! Exported events against the same events in binary form.

use super::*;
use crate::model::{Everything, Filter};

#[derive(Default)]
struct Seen {
    records: Vec<Record>,
    damage: Vec<Damage>,
    extent: Extent,
}

impl Sink for Seen {
    fn record(&mut self, record: Record) -> ControlFlow<()> {
        self.records.push(record);
        ControlFlow::Continue(())
    }

    fn damaged(&mut self, damage: Damage) {
        self.damage.push(damage);
    }

    fn extent(&mut self, extent: Extent) {
        self.extent = extent;
    }
}

fn parse(bytes: Vec<u8>, filter: &dyn Filter) -> Seen {
    let mut seen = Seen::default();
    let input = Input {
        bytes: &bytes,
        sidecars: Vec::new(),
        name: "x",
        modified: None,
        filter,
        paths: None,
        zone: None,
    };
    EventXml.parse(&input, &mut seen).unwrap();
    seen
}

/// An event of this channel, provider and id.
fn event(channel: &str, provider: &str, id: u32, data: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='{provider}'/><EventID Qualifiers='0'>{id}</EventID>\
         <TimeCreated SystemTime='2024-03-18T09:06:35.1234567Z'/>\
         <EventRecordID>17</EventRecordID><Correlation/><Execution ProcessID='4' ThreadID='8'/>\
         <Channel>{channel}</Channel><Computer>PC1</Computer><Security UserID='S-1-5-18'/>\
         </System>{data}</Event>"
    )
}

fn data(pairs: &[(&str, &str)]) -> String {
    let all = pairs.iter().map(|(name, value)| format!("<Data Name='{name}'>{value}</Data>"));
    format!("<EventData>{}</EventData>", all.collect::<String>())
}

/// The one record of this event has this category and these fields.
fn check(event: String, category: &str, fields: &[(&str, &str)]) {
    let seen = parse(event.clone().into_bytes(), &Everything);
    assert_eq!((seen.records.len(), seen.damage.as_slice()), (1, [].as_slice()), "{event}");
    let record = &seen.records[0];
    assert_eq!(record.category, category, "{event}");
    for (name, value) in fields {
        let found = record.value(name).map(ToString::to_string);
        assert_eq!(found.as_deref(), Some(*value), "{name} of {event}");
    }
}

const SECURITY: &str = "Microsoft-Windows-Security-Auditing";
const SERVICES: &str = "Service Control Manager";
const SYSMON: &str = "Microsoft-Windows-Sysmon";

#[test]
fn every_record_has_the_systems_fields() {
    let fields = [
        ("EventID", "7"),
        ("Channel", "C"),
        ("Provider", "P"),
        ("Computer", "PC1"),
        ("EventRecordID", "17"),
        ("ExecutionProcessID", "4"),
        ("UserSid", "S-1-5-18"),
        ("Data", "a &b"),
    ];
    check(event("C", "P", 7, "<EventData><Data>a &amp;b</Data></EventData>"), "event", &fields);
}

#[test]
fn a_created_process_has_sigmas_names() {
    let data = data(&[
        ("SubjectUserName", "jane"),
        ("SubjectDomainName", "CORP"),
        ("SubjectLogonId", "0x3E4A1"),
        ("NewProcessId", "0x1dc4"),
        ("NewProcessName", r"C:\t\ngrok.exe"),
        ("ProcessId", "0x298"),
        ("CommandLine", "ngrok tcp 3389"),
        ("TargetUserName", "-"),
        ("ParentProcessName", r"C:\Windows\explorer.exe"),
    ]);
    let fields = [
        ("Image", r"C:\t\ngrok.exe"),
        ("ParentImage", r"C:\Windows\explorer.exe"),
        ("ProcessId", "7620"),
        ("ParentProcessId", "664"),
        ("User", r"CORP\jane"),
        ("LogonId", "0x3e4a1"),
    ];
    check(event("Security", SECURITY, 4688, &data), "process_creation", &fields);
}

#[test]
fn sysmon_goes_by_its_own_time() {
    let data = data(&[("UtcTime", "2024-03-18 09:06:34.500"), ("ProcessId", "7620")]);
    let seen = parse(event("Any", SYSMON, 1, &data).into_bytes(), &Everything);
    let moment = &seen.records[0].times[0];
    assert_eq!(moment.at.unwrap().to_string(), "2024-03-18T09:06:34.5Z");
    assert_eq!((moment.meaning, &*moment.raw), ("Process Start", "2024-03-18 09:06:34.500"));
    assert_eq!(seen.records[0].text("SystemTime"), Some("2024-03-18T09:06:35.1234567Z"));
    assert_eq!(seen.records[0].times.len(), 1);
}

#[test]
fn an_event_in_a_line_of_syslog() {
    let data = data(&[("UtcTime", "2024-03-18 09:06:34.500"), ("ProcessId", "7620")]);
    let text = event("Linux-Sysmon/Operational", "Linux-Sysmon", 1, &data);
    let record = parse_event(&text, Locator::Line(7)).unwrap();
    assert_eq!((record.category, record.number("ProcessId")), ("process_creation", Some(7620)));
    assert!(parse_event("<Event><System>", Locator::Line(8)).is_err());
}

#[test]
fn nameless_data_get_the_names_of_their_places() {
    let nameless = "<EventData><Data>ngrok</Data><Data>C:\\n.exe service run</Data>\
                    <Data>user mode service</Data><Data>auto start</Data><Data>LocalSystem</Data>\
                    </EventData>";
    let fields = [
        ("ServiceName", "ngrok"),
        ("ImagePath", r"C:\n.exe service run"),
        ("ServiceType", "user mode service"),
        ("StartType", "auto start"),
        ("AccountName", "LocalSystem"),
    ];
    check(event("System", SERVICES, 7045, nameless), "service_install", &fields);
    check(event("System", "Other", 7045, nameless), "event", &[("EventID", "7045")]);
    let state = "<EventData><Data>30000</Data><Data>ngrok</Data></EventData>";
    let fields = [("ServiceName", "ngrok"), ("param1", "30000"), ("param2", "ngrok")];
    check(event("System", SERVICES, 7009, state), "service_state", &fields);
    let state = "<EventData><Data>ngrok</Data><Data>stopped</Data></EventData>";
    let fields = [("ServiceName", "ngrok"), ("State", "stopped")];
    check(event("System", SERVICES, 7036, state), "service_state", &fields);
    check(
        event("System", SERVICES, 7034, state),
        "service_state",
        &[("State", "terminated unexpectedly")],
    );
    let product = "<EventData><Data>Tailscale</Data><Data>1.78.1</Data><Data>1033</Data>\
                   <Data>0</Data><Data>Tailscale Inc.</Data></EventData>";
    let fields =
        [("Product", "Tailscale"), ("Details", "Tailscale 1.78.1"), ("Action", "installed")];
    check(event("Application", "MsiInstaller", 1033, product), "installer", &fields);
    let said =
        "<EventData><Data>Produkt: A -- B -- Das Entfernen war erfolgreich.</Data></EventData>";
    let fields = [("Product", "A -- B"), ("Action", "removed")];
    check(event("Application", "MsiInstaller", 11724, said), "installer", &fields);
    let nothing = "<EventData><Data>no product</Data></EventData>";
    check(
        event("Application", "MsiInstaller", 11707, nothing),
        "installer",
        &[("EventID", "11707")],
    );
    for (text, command) in [
        (
            r#"instance of X { CommandLineTemplate = "a.exe \"b c\" C:\\t"; Name = "C"; }"#,
            r#"a.exe "b c" C:\t"#,
        ),
        (r#"instance of X { ScriptText = "run"; }"#, "run"),
        (r#"instance of X { CommandLineTemplate = "cut"#, ""),
    ] {
        let data = data(&[("PossibleCause", &text.replace('"', "&quot;"))]);
        let one = event(
            "Microsoft-Windows-WMI-Activity/Operational",
            "Microsoft-Windows-WMI-Activity",
            5861,
            &data,
        );
        let record = parse_event(&one, Locator::Line(1)).unwrap();
        assert_eq!(record.text("CommandLine").unwrap_or_default(), command);
    }
    let message = "<EventData><Data>ngrok started</Data></EventData>";
    let fields = [("Message", "ngrok started")];
    check(event("Application", "ngrok", 1, message), "agent_service_log", &fields);
}

#[test]
fn audited_services_logons_and_sessions() {
    let service = data(&[
        ("SubjectUserName", "jane"),
        ("SubjectDomainName", "CORP"),
        ("SubjectLogonId", "0x3e4a1"),
        ("ServiceName", "ngrok"),
        ("ServiceFileName", r"C:\n.exe"),
        ("ServiceStartType", "2"),
        ("ServiceAccount", "LocalSystem"),
    ]);
    let fields = [
        ("ImagePath", r"C:\n.exe"),
        ("StartType", "2"),
        ("AccountName", "LocalSystem"),
        ("User", r"CORP\jane"),
    ];
    check(event("Security", SECURITY, 4697, &service), "service_install", &fields);
    let logon = data(&[
        ("TargetUserName", "jane"),
        ("TargetDomainName", "CORP"),
        ("TargetLogonId", "0x55A"),
        ("LogonType", "10"),
    ]);
    let fields = [("User", r"CORP\jane"), ("LogonId", "0x55a"), ("LogonType", "10")];
    check(event("Security", SECURITY, 4624, &logon), "logon", &fields);
    let session = data(&[
        ("AccountName", "jane"),
        ("AccountDomain", "CORP"),
        ("LogonID", "0x55a"),
        ("ClientName", "kali"),
        ("ClientAddress", "::1"),
    ]);
    let fields = [("User", r"CORP\jane"), ("WorkstationName", "kali"), ("IpAddress", "::1")];
    check(event("Security", SECURITY, 4779, &session), "session_reconnect", &fields);
}

#[test]
fn connections_filtered_by_windows() {
    let data = data(&[
        ("ProcessID", "7620"),
        ("Application", r"\device\harddiskvolume3\ngrok.exe"),
        ("Direction", "%%14593"),
        ("SourceAddress", "127.0.0.1"),
        ("SourcePort", "49271"),
        ("DestAddress", "127.0.0.1"),
        ("DestPort", "3389"),
    ]);
    let fields = [
        ("Image", r"\device\harddiskvolume3\ngrok.exe"),
        ("ProcessId", "7620"),
        ("SourceIp", "127.0.0.1"),
        ("SourcePort", "49271"),
        ("DestinationIp", "127.0.0.1"),
        ("DestinationPort", "3389"),
        ("Initiated", "true"),
    ];
    check(event("Security", SECURITY, 5156, &data), "network_connection", &fields);
}

#[test]
fn remote_desktop() {
    let core = "Microsoft-Windows-RemoteDesktopServices-RdpCoreTS";
    let fields = [("Address", "::1"), ("SourcePort", "50000")];
    check(event("x", core, 131, &data(&[("ClientIP", "[::1]:50000")])), "rdp", &fields);
    let user_data = "<UserData><EventXML xmlns='Event_NS'><Param1>jane</Param1>\
                     <Param2>CORP</Param2><Param3>127.0.0.1</Param3></EventXML></UserData>";
    let logon = "Microsoft-Windows-TerminalServices-RemoteConnectionManager";
    let fields = [("User", r"CORP\jane"), ("Address", "127.0.0.1")];
    check(event("x", logon, 1149, user_data), "rdp", &fields);
}

#[test]
fn packages_of_the_store() {
    let full = "ngrok.ngrok_3.10.0.0_x64__1g87z0zv29zzc";
    let text = data(&[("DeploymentOperation", "1"), ("PackageFullName", full), ("Path", "x:\\a")]);
    check(
        event("O", "Microsoft-Windows-AppXDeployment-Server", 400, &text),
        "package",
        &[("Name", full), ("Image", "x:\\a"), ("Source", "store")],
    );
}

#[test]
fn commands_of_tasks_and_hosts_of_powershell() {
    let task = "<Task><Exec><Command>&amp;quot;C:\\n.exe&amp;quot;</Command>\
                <Arguments>tcp 3389</Arguments></Exec></Task>";
    let escaped = task.replace('<', "&lt;").replace('>', "&gt;");
    let data = data(&[("TaskName", r"\n"), ("TaskContent", &escaped)]);
    let fields = [("TaskCommand", "\"C:\\n.exe\" tcp 3389")];
    check(event("Security", SECURITY, 4698, &data), "task", &fields);
    let host = "<EventData><Data>Available</Data><Data>None</Data>\
                <Data>\tHostName=ConsoleHost\r\n\tHostApplication=powershell -c a=b\r\n\
                \tEngineVersion=5.1</Data></EventData>";
    let fields = [("HostApplication", "powershell -c a=b")];
    let channel = "Windows PowerShell";
    check(event(channel, "PowerShell", 400, host), "ps_classic_start", &fields);
}

#[test]
fn cleared_logs_name_the_channel() {
    let cleared = "<UserData><LogFileCleared><SubjectUserName>jane</SubjectUserName>\
                   <SubjectDomainName>CORP</SubjectDomainName><Channel>Application</Channel>\
                   </LogFileCleared></UserData>";
    let provider = "Microsoft-Windows-Eventlog";
    let fields = [("ClearedChannel", "Application"), ("Channel", "System"), ("User", r"CORP\jane")];
    check(event("System", provider, 104, cleared), "log_cleared", &fields);
    let fields = [("ClearedChannel", "Security")];
    check(event("Security", provider, 1102, cleared), "log_cleared", &fields);
}

#[test]
fn a_document_in_any_encoding_is_read_and_lines_are_counted() {
    let one = event("System", SERVICES, 7036, &data(&[("param1", "ngrök"), ("param2", "x")]));
    let document = format!("<?xml version='1.0'?>\r\n<Events>\n{one}\n\n{one}</Events>\n");
    let le: Vec<u8> =
        [0xfeff].into_iter().chain(document.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> =
        [0xfeff].into_iter().chain(document.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    for bytes in [document.into_bytes(), le, be] {
        assert!(EventXml.recognizes(&bytes[..200]));
        let seen = parse(bytes, &Everything);
        let places: Vec<_> = seen.records.iter().map(|r| r.locator.to_string()).collect();
        assert_eq!(places, ["line:3", "line:5"]);
        assert_eq!(seen.records[1].text("ServiceName"), Some("ngrök"));
        assert_eq!((seen.extent.records, seen.extent.store.as_deref()), (2, Some("System")));
        assert!(seen.damage.is_empty() && seen.extent.first.is_some());
    }
}

#[test]
fn a_damaged_event_costs_only_itself() {
    let good = event("System", SERVICES, 7036, "");
    let unended = &good[..good.len() - 40];
    let torn = good.replace("</System>", "</Sistem>");
    let text = format!("{good}\n{unended}\n{good}\n{torn}\n{good}\n{unended}");
    let seen = parse(text.into_bytes(), &Everything);
    let places: Vec<_> = seen.records.iter().map(|r| r.locator.to_string()).collect();
    assert_eq!(places, ["line:1", "line:3", "line:5"]);
    let lost: Vec<_> = seen.damage.iter().map(|d| (d.locator.clone().unwrap(), d.lost)).collect();
    let line = |n| (Locator::Line(n), true);
    assert_eq!(lost, [line(2), line(4), line(6)]);
}

#[test]
fn an_endless_event_is_bounded_and_the_next_one_read() {
    let good = event("System", SERVICES, 7036, "");
    let text = format!("<Event>{}\n{good}", "x".repeat(MAX_EVENT_BYTES + 1_000_000));
    let seen = parse(text.into_bytes(), &Everything);
    assert_eq!((seen.records.len(), seen.damage.len()), (1, 1));
}

#[test]
fn crowds_of_starts_cost_no_time() {
    for crowd in ["<Event ", "<Event>\n", "<Event xmlns='x'>", "<Event></Event>"] {
        let text = crowd.repeat(600_000 / crowd.len());
        assert!(!parse(text.into_bytes(), &Everything).damage.is_empty());
    }
}

#[test]
fn entities_hide_nothing_from_the_filter() {
    struct Quoted;
    impl Filter for Quoted {
        fn admits(&self, _: &[u8]) -> bool {
            true
        }
        fn admits_text(&self, text: &[u8]) -> bool {
            memmem::find(text, b"\"n\" & co").is_some()
        }
    }
    let hit = event("c", "p", 1, &data(&[("x", "&quot;n&quot; &#38; co")]));
    let other = event("c", "p", 1, &data(&[("x", "y")]));
    let seen = parse(format!("{other}\n{hit}\n").into_bytes(), &Quoted);
    assert_eq!((seen.records.len(), seen.extent.records), (1, 2));
}

#[test]
fn other_xml_is_not_recognized() {
    for text in ["", "<?xml version='1.0'?><Task>", "<EventData>", "Event", "ElfFile\0"] {
        assert!(!EventXml.recognizes(text.as_bytes()), "{text}");
    }
    assert!(EventXml.recognizes(b"\xef\xbb\xbf<?xml version='1.0'?>\n<Events>"));
}
