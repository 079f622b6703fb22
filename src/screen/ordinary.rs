//! What ordinary logs are full of, and what is therefore no good to look for first.

use std::sync::LazyLock;

use super::fingerprint::{CLASSES, class};
use super::sweep::LETTERS;

/// Bad triggers where a rule has a better one.
const TEXTS: &[&str] = &[
    "service",
    "services",
    "start",
    "run",
    "install",
    "config",
    ".exe",
    "\\chrome.exe",
    "\\msedge.exe",
    "\\firefox.exe",
    "\\iexplore.exe",
    "\\brave.exe",
    "\\opera.exe",
    "\\vivaldi.exe",
    "\\safari.exe",
    "\\msedgewebview2.exe",
    "\\powershell.exe",
    "\\cmd.exe",
    "\\windows\\",
    "\\services\\",
    "\\run\\",
    "\\currentversion\\run",
    "\\winlogon\\",
    "http",
    "https",
    "tcp",
    "http ",
    "https://",
    "http://",
    "file:",
    "version",
    "agent",
    " -r",
    "newprocessname",
    "security",
    "microsoft",
    "microsoft-windows-",
];

/// A sample of ordinary logs of any host: names of fields, folders, programs, protocols.
const LOGS: &str = concat!(
    r" Microsoft-Windows-Security-Auditing Microsoft-Windows-Sysmon/Operational Eventlog Service Control Manager",
    r" Microsoft-Windows-PowerShell/Operational Microsoft-Windows-TaskScheduler WMI-Activity DNS-Client TerminalServices",
    r" LocalSessionManager RemoteConnectionManager Application System Computer Channel EventRecordID Provider Keywords",
    r" Execution ProcessID ThreadID Correlation ActivityID TimeCreated Version Level Opcode EventData UserData",
    r" SubjectUserSid SubjectUserName SubjectDomainName SubjectLogonId NewProcessName TokenElevationType CommandLine",
    r" TargetUserName TargetDomainName TargetLogonId ParentProcessName MandatoryLabel LogonType LogonProcessName",
    r" AuthenticationPackageName WorkstationName LogonGuid TransmittedServices LmPackageName KeyLength IpAddress IpPort",
    r" ImpersonationLevel RestrictedAdminMode VirtualAccount ElevatedToken Status FailureReason PrivilegeList",
    r" SourceAddress SourcePort DestAddress DestPort Protocol LayerName RemoteMachineID ObjectServer ObjectType ObjectName",
    r" HandleId AccessList AccessMask ResourceAttributes RuleName UtcTime ProcessGuid Image FileVersion Description Product",
    r" Company OriginalFileName CurrentDirectory TerminalSessionId IntegrityLevel Hashes SHA1= MD5= SHA256= IMPHASH=",
    r" ParentImage ParentCommandLine SourceHostname DestinationHostname DestinationPortName QueryName QueryResults",
    r" TargetFilename CreationUtcTime TargetObject Details ImageLoaded Signed Signature SignatureStatus ScriptBlockText",
    r" MessageNumber HostApplication PipelineId EngineVersion TaskName ActionName ResultCode ServiceName ImagePath",
    r" C:\Windows\System32\svchost.exe -k netsvcs -p -s C:\Windows\System32\services.exe lsass.exe \SysWOW64\",
    r" C:\Program Files\ C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe --type=utility --lang=en-US",
    r" C:\Program Files\Google\Chrome\Application\chrome.exe --type=renderer --field-trial-handle --disable-features",
    r" C:\ProgramData\Microsoft\Windows Defender\Platform\ C:\Users\Administrator\AppData\Local\Temp\ \Roaming\",
    r" C:\Users\Public\Documents\ \Downloads\ \Desktop\ \Packages\ \Local\Microsoft\ \Device\HarddiskVolume",
    r" HKLM\System\CurrentControlSet\Services\ HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run HKU\S-1-5-21-",
    r" powershell.exe -NoProfile -ExecutionPolicy Bypass -Command -EncodedCommand cmd.exe /c conhost.exe 0xffffffff",
    r" rundll32.exe dllhost.exe wevtutil.exe taskhostw.exe backgroundTaskHost.exe RuntimeBroker.exe wmiprvse.exe explorer.exe",
    r" \Microsoft\Windows\UpdateOrchestrator\Schedule Scan \Microsoft\Windows\WindowsUpdate\Scheduled Start",
    r" Windows Update update updated updater GoogleUpdate.exe EdgeUpdate OneDrive.exe Teams.exe Outlook setup installer",
    r" NT AUTHORITY\SYSTEM LOCAL SERVICE NETWORK SERVICE localhost local domain.local .example.com www. .net .org",
    r" https://www.microsoft.com/en-us/ http://schemas.microsoft.com/win/2004/08/events/event login.microsoftonline.com",
    r" settings-win.data.microsoft.com ctldl.windowsupdate.com clients.google.com cloudfront.net amazonaws.com azure.com",
    r" Get-ChildItem Set-Location Import-Module Write-Host Get-Process Where-Object ForEach-Object New-Object param function",
    r" return $true $null string Invoke-Command remote Remove-Item Test-Path Join-Path -ErrorAction SilentlyContinue",
    r" The service entered the running state. was successfully installed started stopped terminated unexpectedly error",
    r" configuration config profile settings session connection connected client server proxy host port user name password",
    r" The operation completed successfully. An error occurred while process thread module version product package failed",
    r" certificate security policy registry driver device network interface address request response event log report",
    r" SeSecurityPrivilege SeBackupPrivilege SeDebugPrivilege SeImpersonatePrivilege Negotiate Kerberos NTLM Advapi User32",
    r" NtLmSsp tcp udp true false High Medium System Low Valid 127.0.0.1 0.0.0.0 192.168. 10.0. ::ffff: fe80:: -",
    r" root daemon systemd[1]: Started Stopped Starting session opened closed for user by (uid=0) CRON CMD sudo COMMAND=",
    r" /usr/bin/ /usr/sbin/ /usr/lib/ /usr/share/ /var/log/ /var/lib/ /etc/ /home/ /bin/sh /bin/bash python kernel: sshd[",
    r" Microsoft Teredo Tunneling Adapter https://github.com/ credentials reverse remote access backend headless platform",
    r" Accepted publickey password from port ssh2 pam_unix authentication failure type=SYSCALL msg=audit exe= comm= key=",
);

/// Words of this many places each tell where in [`LOGS`] something stands, a bit for each.
pub(super) const WORDS: usize = LOGS.len() / 64;

/// Places in ordinary logs.
pub(super) type Places = [u64; WORDS];

/// Letter of a fingerprint and class of a byte → the places so many bytes before one.
static PLACES: LazyLock<Vec<Places>> = LazyLock::new(|| {
    let mut all = vec![[0; WORDS]; LETTERS * CLASSES];
    for letter in 0..LETTERS {
        for (place, byte) in LOGS.bytes().skip(letter).take(WORDS * 64).enumerate() {
            let places = all.get_mut(letter * CLASSES + class(byte));
            let word = places.and_then(|places| places.get_mut(place / 64));
            word.into_iter().for_each(|word| *word |= 1 << (place % 64));
        }
    }
    all
});

/// Where in ordinary logs a byte of that class stands so many bytes further on.
pub(super) fn places(letter: usize, class: usize) -> &'static Places {
    PLACES.get(letter * CLASSES + class).unwrap_or(&[u64::MAX; WORDS])
}

/// Whether ordinary logs are full of it.
pub(super) fn in_logs(text: &str) -> bool {
    static LOWER: LazyLock<String> = LazyLock::new(|| LOGS.to_ascii_lowercase());
    LOWER.contains(text)
}

pub(super) fn is_ordinary(text: &str) -> bool {
    TEXTS.contains(&text)
}
