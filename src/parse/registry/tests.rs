//! Sample hives: sound, dirty, damaged, with deleted keys.

use std::ops::ControlFlow;

use crate::model::{Damage, Everything, Extent, Filter, Input, ReadAt, Record, Sink};
use crate::parse::{ParseError, Parser};

use super::{Hive, Registry, facts_of_hive, profiles_of_hive};

const DIRTY: &[u8] = include_bytes!("../../../testdata/parse/registry/dirty-SYSTEM");
const DIRTY_LOG: &[u8] = include_bytes!("../../../testdata/parse/registry/dirty-SYSTEM.LOG1");
const USER: &[u8] = include_bytes!("../../../testdata/parse/registry/dirty-NTUSER.DAT");
const USER_LOG: &[u8] = include_bytes!("../../../testdata/parse/registry/dirty-NTUSER.DAT.LOG1");
const SOFTWARE: &[u8] = include_bytes!("../../../testdata/parse/registry/SOFTWARE");
const DELETED: &[u8] = include_bytes!("../../../testdata/parse/registry/deleted-SYSTEM");
const DAMAGED: &[u8] = include_bytes!("../../../testdata/parse/registry/damaged-SYSTEM");

#[derive(Default)]
struct Collected {
    records: Vec<Record>,
    damages: Vec<Damage>,
}

impl Sink for Collected {
    fn record(&mut self, record: Record) -> ControlFlow<()> {
        self.records.push(record);
        ControlFlow::Continue(())
    }

    fn damaged(&mut self, damage: Damage) {
        self.damages.push(damage);
    }

    fn extent(&mut self, _: Extent) {}
}

impl Collected {
    fn lost(&self) -> usize {
        self.damages.iter().filter(|damage| damage.lost).count()
    }

    /// The records as `category time locator|field=value…`, fields as asked.
    fn lines(&self, fields: &[&str]) -> Vec<String> {
        let line = |record: &Record| {
            let time = record.times.first().map_or("-", |m| m.raw.as_str());
            let mark = if record.recovered { " recovered" } else { "" };
            let mut line = format!("{}{mark} {time} {}", record.category, record.locator);
            for name in fields {
                if let Some(value) = record.value(name) {
                    line.push_str(&format!(" {name}={value}"));
                }
            }
            line
        };
        self.records.iter().map(line).collect()
    }
}

/// Rejects every record and block without this text.
struct Containing(&'static str);

impl Filter for Containing {
    fn admits(&self, block: &[u8]) -> bool {
        let wide: Vec<u8> = self.0.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let holds = |needle: &[u8]| {
            block.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
        };
        holds(self.0.as_bytes()) || holds(&wide)
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        String::from_utf8_lossy(text).to_ascii_lowercase().contains(self.0)
    }
}

fn with_input<T>(
    hive: &[u8],
    logs: &[&[u8]],
    filter: &dyn Filter,
    read: impl FnOnce(&Input<'_>) -> T,
) -> T {
    let bytes = hive.to_vec();
    let logs: Vec<Vec<u8>> = logs.iter().map(|log| log.to_vec()).collect();
    let sidecars = logs.iter().map(|log| -> &dyn ReadAt { log }).collect();
    read(&Input {
        bytes: &bytes,
        sidecars,
        name: "hive",
        modified: None,
        filter,
        paths: None,
        zone: None,
    })
}

fn parse(hive: &[u8], logs: &[&[u8]], filter: &dyn Filter) -> Collected {
    let mut sink = Collected::default();
    with_input(hive, logs, filter, |input| Registry.parse(input, &mut sink)).unwrap();
    sink
}

#[test]
fn a_service_that_only_the_log_holds_is_found() {
    let found = parse(DIRTY, &[DIRTY_LOG, &[]], &Containing("wintunnel"));
    assert_eq!(found.lost(), 0, "{:?}", found.damages);
    assert_eq!(
        found.lines(&["ImagePath", "DisplayName", "ObjectName", "Start", "Type", "ControlSet"]),
        [concat!(
            r"service 2024-03-20T16:55:00.0000000Z key:ControlSet001\Services\WinTunnel ",
            r"ImagePath=C:\ngrok\ngrok.exe tcp 3389 --authtoken ",
            r"2aBcDeFgHiJkLmNoPqRsTuVwXyZ_4TestFixtureTokenOnly1 DisplayName=WinTunnel ",
            r"ObjectName=LocalSystem Start=2 Type=16 ControlSet=ControlSet001"
        )]
    );
}

#[test]
fn a_run_key_that_only_the_log_holds_is_found() {
    let found = parse(USER, &[USER_LOG], &Everything);
    assert_eq!(found.lost(), 0, "{:?}", found.damages);
    let key = r"Software\Microsoft\Windows\CurrentVersion\Run";
    let command = r"C:\ProgramData\Microsoft\Crypto\RSA\wuauhelper.exe tcp 3389";
    let expected = format!(
        r"run_key 2024-06-11T02:16:00.0000000Z key:{key}|WaaS TargetObject=HKCU\{key}\WaaS Details={command}"
    );
    assert!(found.lines(&["TargetObject", "Details"]).contains(&expected));
}

#[test]
fn without_usable_logs_the_last_changes_are_told_as_lost() {
    for logs in [&[][..], &[&[][..]], &[&[0x55; 4000][..]], &[&DIRTY_LOG[..700]]] {
        let found = parse(DIRTY, logs, &Containing("wintunnel"));
        assert_eq!(found.lost(), 1, "{:?}", found.damages);
        assert!(found.records.is_empty());
    }
}

#[test]
fn a_damaged_base_block_is_mended_from_the_log() {
    let mut hive = DIRTY.to_vec();
    hive[36..44].fill(0xEE);
    let found = parse(&hive, &[DIRTY_LOG], &Containing("wintunnel"));
    assert_eq!((found.lost(), found.records.len()), (0, 1), "{:?}", found.damages);
    assert!(parse(&hive, &[], &Containing("wintunnel")).lost() > 0);
}

#[test]
fn the_filter_rejects_records_and_nothing_else() {
    let all = parse(DELETED, &[], &Everything);
    let lines = all.lines(&["ImagePath", "Wrapped"]);
    let web: Vec<&String> = lines.iter().filter(|line| line.contains("nssm")).collect();
    assert_eq!(web.len(), 1);
    assert_eq!(
        web,
        parse(DELETED, &[], &Containing("nssm"))
            .lines(&["ImagePath", "Wrapped"])
            .iter()
            .collect::<Vec<_>>()
    );
    // A path that no cell holds.
    let found = parse(DELETED, &[], &Containing(r"services\ngrok"));
    assert!(found.records.iter().all(|record| record.recovered) && found.records.len() == 1);
}

#[test]
fn a_deleted_service_is_recovered_with_its_values() {
    let found = parse(DELETED, &[], &Containing("grok"));
    assert_eq!(found.lost(), 0, "{:?}", found.damages);
    let web = r"service 2024-09-02T21:16:00.0000000Z key:ControlSet001\Services\web ImagePath=C:\Tools\nssm.exe Wrapped=C:\Tools\ngrok.exe tcp 3389 AppEnvironmentExtra=NGROK_REGION=eu X=y";
    let source = r"eventlog_source 2023-06-01T08:00:00.0000000Z key:ControlSet001\Services\EventLog\Application\ngrok";
    let ngrok = r"service recovered 2024-09-02T21:16:00.0000000Z key:ControlSet001\Services\ngrok ImagePath=C:\PerfLogs\ngrok.exe service run --config C:\PerfLogs\n.yml";
    let bam = r"bam 2024-09-02T21:16:05.0000000Z key:ControlSet001\Services\bam\State\UserSettings\S-1-5-21-1177238915-2271478464-4105562837-1001|\Device\HarddiskVolume3\PerfLogs\ngrok.exe";
    let fields = ["ImagePath", "Wrapped", "AppEnvironmentExtra"];
    assert_eq!(found.lines(&fields), [web, source, bam, ngrok]);
}

#[test]
fn a_damaged_hive_is_salvaged_and_told() {
    let found = parse(DAMAGED, &[], &Containing("grok"));
    assert_eq!(found.lost(), 2, "{:?}", found.damages);
    let sound = parse(DELETED, &[], &Containing("grok"));
    let fields = ["ImagePath", "Wrapped", "TargetObject", "CurrentControlSet"];
    assert_eq!(found.lines(&fields), sound.lines(&fields));
}

#[test]
fn facts_come_from_both_hives() {
    let facts =
        |hive: &[u8], logs: &[&[u8]]| with_input(hive, logs, &Everything, facts_of_hive).unwrap();
    let system = facts(DIRTY, &[DIRTY_LOG]);
    let both = super::merge(system, facts(SOFTWARE, &[]));
    assert_eq!(both.name.as_deref(), Some("DESKTOP-7Q2K4VN"));
    assert_eq!(both.time_zone.as_deref(), Some("W. Europe Standard Time"));
    assert_eq!(both.bias_minutes, Some(-60));
    assert_eq!(both.os.as_deref(), Some("Windows 11 Pro 23H2 (build 22631.4046)"));
    let users = with_input(SOFTWARE, &[], &Everything, profiles_of_hive).unwrap();
    let user = ("S-1-5-21-3623811015-3361044348-30300820-1001", r"C:\Users\m.okafor");
    assert!(users.iter().any(|(sid, path)| (sid.as_str(), path.as_str()) == user));
}

#[test]
fn every_key_is_reached() {
    // Counted with regipy 6.5: 39 keys and 94 values, the root included.
    let (mut hive, _) = with_input(DELETED, &[], &Everything, Hive::open).unwrap();
    let keys = hive.below("", 512);
    let values: usize = keys.iter().map(|key| key.values.len()).sum();
    assert_eq!((keys.len() + 1, values), (39, 94));
}

#[test]
fn a_cut_hive_says_what_is_lost() {
    for tenth in 1..10 {
        let cut = &DELETED[..DELETED.len() * tenth / 10];
        let found = parse(cut, &[], &Everything);
        assert!(found.lost() > 0, "cut at {}", cut.len());
    }
}

#[test]
fn flipped_bytes_are_told_and_stop_nothing() {
    for hive in [DELETED, SOFTWARE] {
        for seed in 1..20_u64 {
            let mut bytes = hive.to_vec();
            let mut state = seed;
            for _ in 0..bytes.len() / 100 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
                let at = usize::try_from(state >> 33).unwrap() % bytes.len();
                if at >= 4 {
                    bytes[at] ^= u8::try_from(state >> 25 & 0xFF).unwrap() | 1;
                }
            }
            assert!(parse(&bytes, &[], &Everything).lost() > 0, "seed {seed}");
        }
    }
}

#[test]
fn damaged_logs_stop_nothing() {
    for at in 0..DIRTY_LOG.len() / 64 {
        let mut log = DIRTY_LOG.to_vec();
        log[at * 64] ^= 0x5A;
        let found = parse(DIRTY, &[&log], &Containing("wintunnel"));
        assert!(found.lost() > 0 || found.records.len() == 1, "byte {}", at * 64);
    }
}

#[test]
fn another_format_and_nothing_are_refused() {
    for bytes in [&b""[..], b"reg", b"ElfFile\0rest", &[0; 5000]] {
        let result = with_input(bytes, &[], &Everything, |input| {
            Registry.parse(input, &mut Collected::default())
        });
        assert!(matches!(result, Err(ParseError::Foreign { .. })));
    }
    let found = parse(b"regf", &[], &Everything);
    assert!(found.lost() > 0 && found.records.is_empty());
    let alone = with_input(DIRTY_LOG, &[], &Everything, |input| {
        Registry.parse(input, &mut Collected::default())
    });
    let said = alone.unwrap_err().to_string();
    assert!(said.contains("a transaction log; the hive"), "{said}");
}
