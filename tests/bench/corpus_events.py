"""The events of the benchmark's corpus: field lists as Windows writes them, values at random.

`background(channel)` gives (event, weight) pairs, `hits(channel)` the events of a tunnel
agent.  Field names, types and the shape of the data follow the providers' manifests.
"""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Callable

COMPUTER = "WKS-0231.corp.example"
DOMAIN, MACHINE = "CORP", "S-1-5-21-2871932034-1193847711-3302194481"
NS = "http://schemas.microsoft.com/win/2004/08/events/event"
SYSTEM_SID, NULL_SID, ZERO = "S-1-5-18", "S-1-0-0", "00000000-0000-0000-0000-000000000000"
SHARES = {"Security": 34, "Microsoft-Windows-Sysmon/Operational": 28, "Microsoft-Windows-PowerShell/Operational": 8, "System": 6, "Application": 6,
          "Microsoft-Windows-TaskScheduler/Operational": 6, "Microsoft-Windows-DNS-Client/Operational": 6, "Windows PowerShell": 3,
          "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational": 1, "Microsoft-Windows-WMI-Activity/Operational": 2}
AUDIT = 0x8020000000000000


def file_name(channel: str) -> str:
    return channel.replace("/", "%4") + ".evtx"


@dataclass
class Values:
    data: list
    user: str | None = None
    activity: bytes | None = None
    pid: int = 4
    tid: int = 8


class Event:
    """One event id of one provider, with a function that draws its values."""

    def __init__(self, channel: str, provider: str, guid: str, event_id: int, spec: str, make: Callable[[random.Random], Values], *, version: int = 0,
                 level: int = 4, task: int = 0, opcode: int = 0, keywords: int = 0x8000000000000000, user_data: str = "", classic: bool = False):
        self.channel, self.provider, self.event_id, self.version = channel, provider, event_id, version
        self.level, self.task, self.opcode, self.keywords, self.classic, self.draw = level, task, opcode, keywords, classic, make
        self.fields = [tuple(x.split(":")) if ":" in x else (x, "str") for x in spec.split()]
        attributes = [("Name", provider)] + ([("Guid", "{%s}" % guid)] if guid else [])
        self.outer = ["Event", [("xmlns", NS)], [
            ["System", [], [
                ["Provider", attributes, []], ["EventID", [("Qualifiers", (4, "u16"))], [(3, "u16")]], ["Version", [], [(11, "u8")]],
                ["Level", [], [(0, "u8")]], ["Task", [], [(2, "u16")]], ["Opcode", [], [(1, "u8")]], ["Keywords", [], [(5, "hex64")]],
                ["TimeCreated", [("SystemTime", (6, "time"))], []], ["EventRecordID", [], [(10, "u64")]],
                ["Correlation", [("ActivityID", (7, "guid")), ("RelatedActivityID", (13, "guid"))], []],
                ["Execution", [("ProcessID", (8, "u32")), ("ThreadID", (9, "u32"))], []], ["Channel", [], [channel]],
                ["Computer", [], [COMPUTER]], ["Security", [("UserID", (12, "sid"))], []]]],
            (17, "xml")]]
        subs = [(i, k) for i, (_, k) in enumerate(self.fields)]
        if user_data:
            self.inner = ["UserData", [], [["EventXML", [("xmlns", user_data)], [[n, [], [s]] for (n, _), s in zip(self.fields, subs)]]]]
        elif classic:
            self.inner = ["EventData", [], [["Data" if k == "strs" else "Binary", [], [s]] for (_, k), s in zip(self.fields, subs)]]
        else:
            self.inner = ["EventData", [], [["Data", [("Name", n)], [s]] for (n, _), s in zip(self.fields, subs)]]


# --- what a host's logs are full of ----------------------------------------

USERS = [("m.keller", 1108), ("s.ivanova", 1109), ("j.osei", 1110), ("svc_sql", 1121), ("backup", 1130), ("a.lindqvist", 1144), ("Administrator", 500)]
DIRS = ["C:\\Windows\\System32\\", "C:\\Windows\\SysWOW64\\", "C:\\Program Files\\Contoso\\Agent\\", "C:\\Program Files (x86)\\Fabrikam\\Reader\\", "C:\\Program Files\\Common Files\\Northwind\\",
        "C:\\Program Files\\Google\\Chrome\\Application\\", "C:\\Program Files\\Microsoft Office\\root\\Office16\\", "C:\\ProgramData\\Contoso\\Updates\\", "C:\\Users\\m.keller\\AppData\\Local\\Temp\\"]
EXES = ["svchost.exe", "conhost.exe", "taskhostw.exe", "backgroundTaskHost.exe", "RuntimeBroker.exe", "chrome.exe", "msedge.exe", "OUTLOOK.EXE", "EXCEL.EXE", "powershell.exe", "cmd.exe", "WmiPrvSE.exe",
        "SearchProtocolHost.exe", "dllhost.exe", "MsMpEng.exe", "agentsvc.exe", "reader64.exe", "sqlservr.exe", "spoolsv.exe", "lsass.exe", "explorer.exe", "gpupdate.exe", "msiexec.exe", "wevtutil.exe", "setup.exe"]
WORDS = ("the of and report update index service group policy network printer driver session storage cache memory module package install remove user folder value error warning status result server client query "
         "record table column number string version system device volume backup restore schedule trigger monitor health check sync inventory collect export import filter object property method class event log").split()
HOSTS = ["www.example.com", "login.microsoftonline.com", "outlook.office365.com", "ctldl.windowsupdate.com", "settings-win.data.microsoft.com", "clients4.google.com", "fileserver02.corp.example", "dc01.corp.example",
         "wpad.corp.example", "api.contoso.com", "cdn.fabrikam.com", "time.windows.com", "proxy.corp.example", "print01.corp.example", "v10.events.data.microsoft.com", "news.example.org"]
SERVICES = ["Windows Update", "Background Intelligent Transfer Service", "Windows Modules Installer", "WMI Performance Adapter", "Contoso Inventory Agent", "Software Protection", "Volume Shadow Copy", "Print Spooler", "Device Setup Manager"]
TASKS = ["\\Microsoft\\Windows\\UpdateOrchestrator\\Schedule Scan", "\\Microsoft\\Windows\\Flighting\\OneSettings\\RefreshCache", "\\Contoso\\Inventory", "\\Microsoft\\Office\\Office Automatic Updates 2.0", "\\GoogleUpdateTaskMachineUA",
         "\\Microsoft\\Windows\\Defrag\\ScheduledDefrag", "\\Microsoft\\Windows\\Windows Error Reporting\\QueueReporting", "\\Backup\\Nightly"]
R = random.Random


def words(r: R, a: int, b: int) -> str:
    return " ".join(r.choices(WORDS, k=r.randint(a, b)))


def image(r: R) -> str:
    return r.choice(DIRS) + r.choice(EXES)


def command(r: R) -> str:
    i = image(r)
    args = " ".join("%s%s%s" % (r.choice(("-", "/", "--")), r.choice(WORDS), r.choice(("", "=%d" % r.randrange(9999), " \"%s%s.dat\"" % (r.choice(DIRS), r.choice(WORDS))))) for _ in range(r.randrange(6)))
    return f'"{i}" {args}'.rstrip()


def guid(r: R) -> bytes:
    return r.getrandbits(128).to_bytes(16, "little")


def ip(r: R) -> str:
    return "%s.%d.%d" % (r.choice(("10.20", "10.21", "192.168", "172.16", "52.96", "20.190")), r.randrange(256), r.randrange(1, 255))


def pid(r: R) -> int:
    return 4 * r.randrange(50, 3000)


def hashes(r: R) -> str:
    return "MD5=%032X,SHA256=%064X,IMPHASH=%032X" % (r.getrandbits(128), r.getrandbits(256), r.getrandbits(128))


def account(r: R) -> tuple[str, str, str, int]:
    if r.random() < 0.5:
        return SYSTEM_SID, "WKS-0231$", DOMAIN, 0x3E7
    name, rid = r.choice(USERS)
    return f"{MACHINE}-{rid}", name, DOMAIN, r.randrange(0x10000, 0x9FFFFFF)


def who(r: R) -> str:
    a = account(r)
    return "NT AUTHORITY\\SYSTEM" if a[0] == SYSTEM_SID else f"{a[2]}\\{a[1]}"


UTC = "2025-01-01 00:00:00.000"  # stamped with each record's time
SY, SYG = "Microsoft-Windows-Sysmon/Operational", "5770385F-C22A-43E0-BF4C-06F5698FFBD9"
SE, SEG = "Security", "54849625-5478-4994-A5BA-3E3B0328C30D"
SS, SSG = "System", "555908D1-A6D7-4695-8E1E-26931D2012F4"
PS, PSG = "Microsoft-Windows-PowerShell/Operational", "A0C1853B-5C40-4B15-8766-3CF1C58F985A"
TS, TSG = "Microsoft-Windows-TaskScheduler/Operational", "DE7B24EA-73C8-4A09-985D-5BDADCFA9017"
DN, DNG = "Microsoft-Windows-DNS-Client/Operational", "1C95126E-7EEA-49A9-A3FE-A378B03DDB4D"
LS, LSG = "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational", "5D896912-022D-40AA-A3A8-4FA5515C76D7"
WM, WMG = "Microsoft-Windows-WMI-Activity/Operational", "1418EF04-B0B4-4623-BF7E-D74AB47BBDAA"
AP, WP = "Application", "Windows PowerShell"
_all: list[tuple[Event, float]] = []
_hits: list[Event] = []


def sysmon(event_id: int, version: int, spec: str, make: Callable[[R], list]) -> Event:
    return Event(SY, "Microsoft-Windows-Sysmon", SYG, event_id, spec, lambda r: Values(make(r), SYSTEM_SID, None, 2856, 3912), version=version, task=event_id)


def security(event_id: int, version: int, task: int, spec: str, make: Callable[[R], list]) -> Event:
    return Event(SE, "Microsoft-Windows-Security-Auditing", SEG, event_id, spec, lambda r: Values(make(r), None, guid(r) if r.random() < 0.5 else None, 684, r.randrange(100, 9000)),
                 version=version, level=0, task=task, keywords=AUDIT)


def also(weight: float, event: Event) -> None:
    _all.append((event, weight))


def hit(event: Event) -> None:
    _hits.append(event)


S1 = ("RuleName UtcTime ProcessGuid:guid ProcessId:u32 Image FileVersion Description Product Company OriginalFileName CommandLine CurrentDirectory User LogonGuid:guid LogonId:hex64 TerminalSessionId:u32 IntegrityLevel Hashes "
      "ParentProcessGuid:guid ParentProcessId:u32 ParentImage ParentCommandLine ParentUser")
S3 = ("RuleName UtcTime ProcessGuid:guid ProcessId:u32 Image User Protocol Initiated:bool SourceIsIpv6:bool SourceIp SourceHostname SourcePort:u16 SourcePortName DestinationIsIpv6:bool DestinationIp DestinationHostname "
      "DestinationPort:u16 DestinationPortName")
S22 = "RuleName UtcTime ProcessGuid:guid ProcessId:u32 QueryName QueryStatus QueryResults Image User"


def connection(r: R) -> list:
    port, local = r.randrange(49152, 65535), r.random() < 0.06
    src, dst = ("127.0.0.1", "127.0.0.1") if local else ("10.20.4.31", ip(r))
    return ["-", UTC, guid(r), pid(r), image(r), who(r), r.choice(("tcp", "udp")), int(r.random() < 0.8), 0, src, COMPUTER, port, "-", 0, dst,
            COMPUTER if local else r.choice(HOSTS), r.randrange(49152, 65535) if local else r.choice((443, 80, 53, 88, 135, 389, 445, 8530)), "-"]


def process(r: R) -> list:
    i = image(r)
    return ["-", UTC, guid(r), pid(r), i, "10.0.%d.%d" % (r.randrange(30000), r.randrange(5000)), words(r, 2, 5), words(r, 2, 4), r.choice(("Microsoft Corporation", "Contoso Ltd.", "Fabrikam Inc.", "-")), i.rsplit("\\", 1)[1],
            command(r), "C:\\Windows\\system32\\", who(r), guid(r), r.randrange(0x3E7, 0x9FFFFFF), r.randrange(3), r.choice(("System", "Medium", "High")), hashes(r), guid(r), pid(r), image(r), command(r), who(r)]


also(24, sysmon(1, 5, S1, process))
also(20, sysmon(3, 5, S3, connection))
also(14, sysmon(5, 3, "RuleName UtcTime ProcessGuid:guid ProcessId:u32 Image User", lambda r: ["-", UTC, guid(r), pid(r), image(r), who(r)]))
also(10, sysmon(7, 3, "RuleName UtcTime ProcessGuid:guid ProcessId:u32 Image ImageLoaded FileVersion Description Product Company OriginalFileName Hashes Signed Signature SignatureStatus User",
                lambda r: ["-", UTC, guid(r), pid(r), image(r), r.choice(DIRS) + r.choice(WORDS) + ".dll", "10.0.19041.1", words(r, 2, 5), words(r, 2, 4), "Microsoft Corporation", r.choice(WORDS) + ".dll", hashes(r), "true", "Microsoft Windows", "Valid", who(r)]))
also(12, sysmon(11, 2, "RuleName UtcTime ProcessGuid:guid ProcessId:u32 Image TargetFilename CreationUtcTime User", lambda r: ["-", UTC, guid(r), pid(r), image(r), r.choice(DIRS) + words(r, 1, 3).replace(" ", "_") + r.choice((".tmp", ".dat", ".log", ".dll")), UTC, who(r)]))
also(14, sysmon(13, 2, "RuleName EventType UtcTime ProcessGuid:guid ProcessId:u32 Image TargetObject Details User",
                lambda r: ["-", "SetValue", UTC, guid(r), pid(r), image(r), "HKLM\\System\\CurrentControlSet\\Services\\%s\\%s" % (r.choice(WORDS), r.choice(WORDS)), r.choice(("DWORD (0x00000002)", "Binary Data", image(r))), who(r)]))
also(16, sysmon(22, 5, S22, lambda r: ["-", UTC, guid(r), pid(r), r.choice(HOSTS), "0", "::ffff:%s;" % ip(r), image(r), who(r)]))
also(4, sysmon(23, 5, "RuleName UtcTime ProcessGuid:guid ProcessId:u32 User Image TargetFilename Hashes IsExecutable:bool Archived", lambda r: ["-", UTC, guid(r), pid(r), who(r), image(r), r.choice(DIRS) + r.choice(WORDS) + ".tmp", hashes(r), 0, "true"]))

S4688 = ("SubjectUserSid:sid SubjectUserName SubjectDomainName SubjectLogonId:hex64 NewProcessId:hex64 NewProcessName TokenElevationType ProcessId:hex64 CommandLine TargetUserSid:sid TargetUserName TargetDomainName "
         "TargetLogonId:hex64 ParentProcessName MandatoryLabel:sid")
S4624 = ("SubjectUserSid:sid SubjectUserName SubjectDomainName SubjectLogonId:hex64 TargetUserSid:sid TargetUserName TargetDomainName TargetLogonId:hex64 LogonType:u32 LogonProcessName AuthenticationPackageName "
         "WorkstationName LogonGuid:guid TransmittedServices LmPackageName KeyLength:u32 ProcessId:hex64 ProcessName IpAddress IpPort ImpersonationLevel RestrictedAdminMode TargetOutboundUserName "
         "TargetOutboundDomainName VirtualAccount TargetLinkedLogonId:hex64 ElevatedToken")


def logon(r: R) -> list:
    x = r.random()
    if x < 0.02:  # at the console, or a service of this host: loopback as on any host
        kind, addr = (r.choice((2, 7, 11)), "127.0.0.1") if x < 0.015 else (3, "::1")
    elif x < 0.6:
        kind, addr = 5, "-"
    else:
        kind, addr = (3, ip(r)) if x < 0.98 else (10, ip(r))
    return [SYSTEM_SID, "WKS-0231$", DOMAIN, 0x3E7, *account(r), kind, r.choice(("Advapi  ", "Kerberos", "User32 ", "NtLmSsp ")), r.choice(("Negotiate", "Kerberos", "NTLM")), "-", guid(r), "-", "-", 0, pid(r),
            "C:\\Windows\\System32\\services.exe", addr, "0" if addr != "-" else "-", "%%1833", "-", "-", "-", "%%1843", 0, "%%1842"]


S5156 = "ProcessID:u64 Application Direction SourceAddress SourcePort DestAddress DestPort Protocol:u32 FilterRTID:u64 LayerName LayerRTID:u64 RemoteUserID:sid RemoteMachineID:sid"
also(16, security(4688, 2, 13312, S4688, lambda r: [*account(r), pid(r), image(r), "%%1936", pid(r), command(r), NULL_SID, "-", "-", 0, image(r), "S-1-16-16384"]))
also(12, security(4689, 0, 13313, "SubjectUserSid:sid SubjectUserName SubjectDomainName SubjectLogonId:hex64 Status:hex32 ProcessId:hex64 ProcessName", lambda r: [*account(r), 0, pid(r), image(r)]))
also(14, security(4624, 2, 12544, S4624, logon))
also(10, security(4634, 0, 12545, "TargetUserSid:sid TargetUserName TargetDomainName TargetLogonId:hex64 LogonType:u32", lambda r: [*account(r), 3]))
also(8, security(4672, 0, 12548, "SubjectUserSid:sid SubjectUserName SubjectDomainName SubjectLogonId:hex64 PrivilegeList", lambda r: [*account(r), "SeSecurityPrivilege\r\n\t\t\tSeBackupPrivilege\r\n\t\t\tSeRestorePrivilege\r\n\t\t\tSeDebugPrivilege"]))
also(18, security(5156, 1, 12810, S5156, lambda r: [pid(r), "\\device\\harddiskvolume3" + image(r)[2:].lower(), "%%14593", "10.20.4.31", str(r.randrange(49152, 65535)), ip(r), str(r.choice((443, 80, 53, 88, 389, 445))), 6, r.randrange(70000, 99999), "%%14611", 48, NULL_SID, NULL_SID]))
also(8, security(4663, 1, 12800, "SubjectUserSid:sid SubjectUserName SubjectDomainName SubjectLogonId:hex64 ObjectServer ObjectType ObjectName HandleId:hex64 AccessList AccessMask:hex32 ProcessId:hex64 ProcessName ResourceAttributes",
                  lambda r: [*account(r), "Security", "File", r.choice(DIRS) + words(r, 1, 3), pid(r), "%%4416\r\n\t\t\t\t", 1, pid(r), image(r), "S:AI"]))
also(2, security(4625, 0, 12544, "SubjectUserSid:sid SubjectUserName SubjectDomainName SubjectLogonId:hex64 TargetUserSid:sid TargetUserName TargetDomainName Status:hex32 FailureReason SubStatus:hex32 LogonType:u32 LogonProcessName "
                     "AuthenticationPackageName WorkstationName TransmittedServices LmPackageName KeyLength:u32 ProcessId:hex64 ProcessName IpAddress IpPort",
                  lambda r: [NULL_SID, "-", "-", 0, NULL_SID, r.choice(USERS)[0], DOMAIN, 0xC000006D, "%%2313", 0xC000006A, 3, "NtLmSsp ", "NTLM", "WKS-%04d" % r.randrange(400), "-", "-", 0, 0, "-", ip(r), str(r.randrange(49152, 65535))]))

SCM = dict(level=4, keywords=0x8080000000000000)
also(30, Event(SS, "Service Control Manager", SSG, 7036, "param1 param2 Binary:bin", lambda r: Values([r.choice(SERVICES), r.choice(("running", "stopped")), r.choice(WORDS).encode("utf-16-le") + b"/\x004\0\0\0"], None, None, 664, r.randrange(9000)), **SCM))
also(6, Event(SS, "Service Control Manager", SSG, 7040, "param1 param2 param3 param4", lambda r: Values([r.choice(SERVICES), "demand start", "auto start", r.choice(WORDS)], SYSTEM_SID, None, 664, r.randrange(9000)), **SCM))
also(1, Event(SS, "Service Control Manager", SSG, 7045, "ServiceName ImagePath ServiceType StartType AccountName", lambda r: Values([r.choice(SERVICES), "\"%s\"" % image(r), "user mode service", "demand start", "LocalSystem"], SYSTEM_SID, None, 664, 5504), **SCM))
also(10, Event(SS, "Microsoft-Windows-Kernel-General", "A68CA8B7-004F-D7B6-A698-07E2DE0F1F5D", 16, "HiveNameLength:u16 HiveName KeysUpdated:u32 DirtyPages:u32", lambda r: Values([60, "\\??\\C:\\Users\\m.keller\\AppData\\Local\\Packages\\" + words(r, 1, 2).replace(" ", ".") + "\\Settings\\settings.dat", r.randrange(50), r.randrange(9)], SYSTEM_SID)))
also(8, Event(SS, "Microsoft-Windows-DistributedCOM", "1B562E86-B7AA-4131-BADC-B6F3A001407E", 10016, "param1 param2 param3 param4 param5 param6 param7 param8 param9 param10 param11",
              lambda r: Values(["application-specific", "Local", "Activation", "{%032X}" % r.getrandbits(128), "{%032X}" % r.getrandbits(128), DOMAIN, r.choice(USERS)[0], f"{MACHINE}-1108", "LocalHost (Using LRPC)", "Unavailable", "Unavailable"], SYSTEM_SID, None, 1012, 1300), level=3, keywords=0x8080000000000000))

PS4 = "MessageNumber:u32 MessageTotal:u32 ScriptBlockText ScriptBlockId Path"


def script(r: R) -> str:
    lines = ["$%s = Get-%s -Name '%s' | Where-Object { $_.%s -gt %d }" % (r.choice(WORDS), r.choice(WORDS).title(), words(r, 1, 3), r.choice(WORDS).title(), r.randrange(99)) for _ in range(r.choice((1, 2, 4, 12, 40)))]
    return "\r\n".join(lines)


also(10, Event(PS, "Microsoft-Windows-PowerShell", PSG, 4104, PS4, lambda r: Values([1, 1, script(r), "%08x-1111-4222-8333-%012x" % (r.getrandbits(32), r.getrandbits(48)), r.choice(("", "C:\\Scripts\\inventory.ps1"))], r.choice((SYSTEM_SID, f"{MACHINE}-1108")), guid(r), pid(r), pid(r)), version=1, level=5, task=2, opcode=15, keywords=0))
also(6, Event(PS, "Microsoft-Windows-PowerShell", PSG, 4103, "ContextInfo UserData Payload", lambda r: Values([
    "        Severity = Informational\r\n        Host Name = ConsoleHost\r\n        Host Version = 5.1.19041.4291\r\n        Host Application = powershell.exe -File C:\\Scripts\\%s.ps1\r\n        Command Name = Get-%s\r\n        User = %s\r\n" % (r.choice(WORDS), r.choice(WORDS).title(), who(r)),
    "", "CommandInvocation(Get-%s): \"Get-%s\"\r\nParameterBinding(Get-%s): name=\"Name\"; value=\"%s\"\r\n" % (*(r.choice(WORDS).title() for _ in range(3)), words(r, 1, 6))], SYSTEM_SID, guid(r), pid(r), pid(r)), version=1, task=106, opcode=20, keywords=0))
also(6, Event(PS, "Microsoft-Windows-PowerShell", PSG, 40961, "", lambda r: Values([], SYSTEM_SID, None, pid(r), pid(r)), version=1, task=4, opcode=1, keywords=0))
also(1, Event(WP, "PowerShell", "", 400, "Data:strs Binary:bin", lambda r: Values([["Available", "None", "\tNewEngineState=Available\r\n\tPreviousEngineState=None\r\n\r\n\tSequenceNumber=13\r\n\r\n\tHostName=ConsoleHost\r\n\tHostVersion=5.1.19041.4291\r\n\tHostId=%08x\r\n\tHostApplication=powershell.exe -NoProfile -File C:\\Scripts\\%s.ps1\r\n\tEngineVersion=5.1.19041.4291\r\n" % (r.getrandbits(32), words(r, 1, 3).replace(" ", "-"))], None], pid=0, tid=0), classic=True, task=4, keywords=0x80000000000000))
also(3, Event(WP, "PowerShell", "", 600, "Data:strs Binary:bin", lambda r: Values([["Registry", "Started", "\tProviderName=Registry\r\n\tNewProviderState=Started\r\n\r\n\tSequenceNumber=1\r\n\r\n\tHostName=ConsoleHost\r\n\tHostApplication=powershell.exe -NoProfile -File C:\\Scripts\\%s.ps1\r\n" % words(r, 1, 3).replace(" ", "-")], None], pid=0, tid=0), classic=True, task=6, keywords=0x80000000000000))
also(3, Event(AP, "MsiInstaller", "", 1033, "Data:strs Binary:bin", lambda r: Values([[words(r, 2, 4).title(), "1.%d.%d" % (r.randrange(99), r.randrange(999)), "1033", "0", r.choice(("Contoso Ltd.", "Fabrikam Inc.")), "(NULL)", ""], b"{%032X}" % r.getrandbits(128)], SYSTEM_SID, pid=0, tid=0), classic=True, keywords=0x80000000000000))
also(5, Event(AP, "Windows Error Reporting", "", 1001, "Data:strs Binary:bin", lambda r: Values([["", "0", "CLR20r3", "Not available", "0", *(r.choice(EXES) for _ in range(9)), words(r, 3, 30)], None], pid=0, tid=0), classic=True, keywords=0x80000000000000))
also(6, Event(AP, "Contoso Inventory Agent", "", 1, "Data:strs Binary:bin", lambda r: Values([[words(r, 5, 60)], None], pid=0, tid=0), classic=True, keywords=0x80000000000000))
TK = dict(keywords=0x8000000000000001)
also(5, Event(TS, "Microsoft-Windows-TaskScheduler", TSG, 200, "TaskName ActionName TaskInstanceId:guid EnginePID:u32", lambda r: Values([r.choice(TASKS), image(r), guid(r), pid(r)], SYSTEM_SID, guid(r), 1268, 6596), version=1, task=200, opcode=1, **TK))
also(5, Event(TS, "Microsoft-Windows-TaskScheduler", TSG, 201, "TaskName TaskInstanceId:guid ActionName ResultCode:u32 EnginePID:u32", lambda r: Values([r.choice(TASKS), guid(r), image(r), 0, pid(r)], SYSTEM_SID, guid(r), 1268, 6596), version=2, task=201, opcode=2, **TK))
also(5, Event(TS, "Microsoft-Windows-TaskScheduler", TSG, 129, "TaskName Path ProcessID:u32 Priority:u32", lambda r: Values([r.choice(TASKS), image(r), pid(r), 16384], SYSTEM_SID, None, 1268, 6596), task=129, **TK))
also(5, Event(TS, "Microsoft-Windows-TaskScheduler", TSG, 100, "TaskName UserContext InstanceId:guid", lambda r: Values([r.choice(TASKS), who(r), guid(r)], SYSTEM_SID, guid(r), 1268, 6596), task=100, opcode=1, **TK))
also(5, Event(DN, "Microsoft-Windows-DNS-Client", DNG, 3006, "QueryName QueryType:u32 QueryOptions:u64 ServerList IsNetworkQuery:u32 NetworkQueryIndex:u32 InterfaceIndex:u32 IsAsyncQuery:u32", lambda r: Values([r.choice(HOSTS), 1, 1073741824, "", 0, 0, 0, 0], f"{MACHINE}-1108", None, 1640, 4460)))
also(5, Event(DN, "Microsoft-Windows-DNS-Client", DNG, 3008, "QueryName QueryType:u32 QueryOptions:u64 QueryStatus:u32 QueryResults", lambda r: Values([r.choice(HOSTS), 1, 1073741824, 0, ip(r) + ";"], f"{MACHINE}-1108", None, 1640, 4460)))
LU = dict(user_data="Event_NS", keywords=0x1000000000000000)
also(3, Event(LS, "Microsoft-Windows-TerminalServices-LocalSessionManager", LSG, 21, "User SessionID:u32 Address", lambda r: Values([DOMAIN + "\\" + r.choice(USERS)[0], r.randrange(1, 9), r.choice(("LOCAL", "LOCAL", ip(r)))], SYSTEM_SID, guid(r), 1104, 940), **LU))
also(3, Event(LS, "Microsoft-Windows-TerminalServices-LocalSessionManager", LSG, 24, "User SessionID:u32 Address", lambda r: Values([DOMAIN + "\\" + r.choice(USERS)[0], r.randrange(1, 9), "LOCAL"], SYSTEM_SID, guid(r), 1104, 940), **LU))
also(1, Event(WM, "Microsoft-Windows-WMI-Activity", WMG, 5857, "ProviderName Code:hex32 HostProcess ProcessID:u32 ProviderPath", lambda r: Values([r.choice(WORDS).title() + "Provider", 0, "wmiprvse.exe", pid(r), "%systemroot%\\system32\\wbem\\" + r.choice(WORDS) + ".dll"], SYSTEM_SID, None, pid(r), pid(r)), user_data="http://manifests.microsoft.com/win/2006/windows/WMI"))

# --- a tunnel agent at work (for --hits) -------------------------------------

EXE = "C:\\Users\\Public\\Libraries\\ngrok.exe"
# One file, one digest: the agent is not rebuilt at every start.
EXE_HASHES = "MD5=%032X,SHA256=%064X,IMPHASH=%032X" % (0x5EED, 0xA6E27, 0x1234)


def agent(r: R) -> list:
    v = process(r)
    v[4], v[7], v[8], v[9], v[10] = EXE, "ngrok agent", "ngrok, Inc.", "ngrok.exe", EXE + " tcp 3389 --region eu"
    v[17] = EXE_HASHES
    return v


def dial(r: R) -> list:
    v = connection(r)
    v[4], v[7], v[14], v[15], v[16] = EXE, 1, "3.125.223.134", "-", 443
    return v


hit(sysmon(1, 5, S1, agent))
hit(sysmon(3, 5, S3, dial))
hit(sysmon(22, 5, S22, lambda r: ["-", UTC, guid(r), pid(r), "connect.eu.ngrok-agent.com", "0", "::ffff:3.125.223.134;", EXE, who(r)]))
hit(security(4688, 2, 13312, S4688, lambda r: [*account(r), pid(r), EXE, "%%1936", pid(r), EXE + " tcp 3389", NULL_SID, "-", "-", 0, image(r), "S-1-16-16384"]))
hit(Event(SS, "Service Control Manager", SSG, 7045, "ServiceName ImagePath ServiceType StartType AccountName", lambda r: Values(["ngrok", EXE + " service run --config C:\\Users\\Public\\Libraries\\n.yml", "user mode service", "auto start", "LocalSystem"], SYSTEM_SID, None, 664, 5504), **SCM))


def background(channel: str) -> list[tuple[Event, float]]:
    return [(e, w) for e, w in _all if e.channel == channel]


def hits(channel: str) -> list[Event]:
    return [e for e in _hits if e.channel == channel]
