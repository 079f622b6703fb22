//! Sample logs against their golden records; damage of every kind.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::model::{Everything, Extent, Filter, Record, Value};
use crate::parse::PARSERS;

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
        self.extent = Extent::merge([extent]);
    }
}

impl Seen {
    fn live(&self) -> usize {
        self.records.iter().filter(|record| !record.recovered).count()
    }

    fn lost(&self) -> bool {
        self.damage.iter().any(|damage| damage.lost)
    }
}

/// Admits what holds this lower-case text, as UTF-8 or UTF-16LE.
struct Literal(&'static str);

impl Filter for Literal {
    fn admits(&self, block: &[u8]) -> bool {
        let wide: Vec<u8> = self.0.bytes().flat_map(|byte| [byte, 0]).collect();
        let block = block.to_ascii_lowercase();
        [self.0.as_bytes(), &wide].iter().any(|what| memchr::memmem::find(&block, what).is_some())
    }

    fn admits_text(&self, text: &[u8]) -> bool {
        memchr::memmem::find(&text.to_ascii_lowercase(), self.0.as_bytes()).is_some()
    }
}

/// Admits nothing.
struct Nothing;

impl Filter for Nothing {
    fn admits(&self, _: &[u8]) -> bool {
        false
    }

    fn admits_text(&self, _: &[u8]) -> bool {
        false
    }
}

fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/parse/evtx").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(sample(name)).unwrap()
}

fn input<'a>(bytes: &'a Vec<u8>, filter: &'a dyn Filter) -> Input<'a> {
    Input {
        bytes,
        sidecars: Vec::new(),
        name: "x.evtx",
        modified: None,
        filter,
        paths: None,
        zone: None,
    }
}

fn parse(bytes: &Vec<u8>, filter: &dyn Filter) -> Seen {
    let mut seen = Seen::default();
    Evtx.parse(&input(bytes, filter), &mut seen).unwrap();
    seen
}

fn line(record: &Record) -> String {
    let mut text = format!("{} {}", record.locator, record.category);
    if record.recovered {
        text.push_str(" recovered");
    }
    for moment in &record.times {
        let at = moment.at.map(|at| format!("{at:.7}")).unwrap_or_default();
        write!(text, " [{} {at}]", moment.meaning).unwrap();
    }
    for (name, value) in &record.fields {
        match value {
            Value::Text(value) => write!(text, " {name}={value:?}").unwrap(),
            Value::Number(value) => write!(text, " {name}={value}").unwrap(),
            Value::List(all) => write!(text, " {name}={all:?}").unwrap(),
        }
    }
    text
}

/// The records of a sample that hold `literal`, as the golden file beside it has them.
fn check(name: &str, literal: &'static str) {
    let seen = parse(&bytes(&format!("{name}.evtx")), &Literal(literal));
    let lines: Vec<String> = seen.records.iter().map(line).collect();
    let found = format!("{:?} {:?}\n{}\n", seen.extent, seen.damage, lines.join("\n"));
    let golden = sample(&format!("{name}.golden"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert_eq!(found, expected, "{name}");
}

#[test]
fn installed_services_and_their_states() {
    check("system", "service control manager");
}

#[test]
fn script_blocks() {
    check("powershell", "ngrok");
}

#[test]
fn sysmon_processes_names_and_connections() {
    check("sysmon", "ngrok");
}

#[test]
fn audited_logons_and_processes() {
    check("security", "okafor");
}

#[test]
fn records_of_a_cleared_log_are_recovered() {
    let seen = parse(&bytes("cleared.evtx"), &Everything);
    assert_eq!((seen.live(), seen.records.len()), (0, 134));
    assert_eq!(seen.extent.records, 0);
    assert!(!seen.lost(), "{:?}", seen.damage);
}

#[test]
fn every_category_is_known_before() {
    let known = Evtx.categories().unwrap();
    let folder = sample("").read_dir().unwrap().flatten();
    for log in folder.filter(|entry| entry.path().extension().is_some_and(|e| e == "evtx")) {
        let bytes = std::fs::read(log.path()).unwrap();
        for record in parse(&bytes, &Everything).records {
            let texts = &known.iter().find(|(category, _)| *category == record.category).unwrap().1;
            let named = [record.text("Channel"), record.text("Provider")];
            let named = named.map(|name| name.unwrap_or_default().to_ascii_lowercase());
            assert!(texts.is_empty() || texts.iter().any(|text| named.contains(text)));
        }
    }
}

#[test]
fn the_filter_costs_no_match() {
    for name in ["system.evtx", "powershell.evtx", "sysmon.evtx", "security.evtx", "cleared.evtx"] {
        let bytes = bytes(name);
        let all: Vec<String> = parse(&bytes, &Everything).records.iter().map(line).collect();
        for literal in ["ngrok", "svchost.exe", "powershell", "okafor", "corp", "firewall"] {
            let found: Vec<String> =
                parse(&bytes, &Literal(literal)).records.iter().map(line).collect();
            let expected = all.iter().filter(|line| line.to_ascii_lowercase().contains(literal));
            for line in expected {
                assert!(found.contains(line), "{literal} in {name}: {line}");
            }
        }
    }
}

#[test]
fn what_no_rule_wants_is_still_measured() {
    for name in ["system.evtx", "sysmon.evtx", "security.evtx"] {
        let bytes = bytes(name);
        let (whole, none) = (parse(&bytes, &Everything), parse(&bytes, &Nothing));
        assert_eq!(whole.extent, none.extent, "{name}");
        assert_eq!(whole.live() as u64, whole.extent.records, "{name}");
        assert!(none.records.is_empty() && none.extent.computer.is_some(), "{name}");
        assert_eq!((whole.damage, none.damage), (vec![], vec![]), "{name}");
    }
}

#[test]
fn ranges_in_any_order_make_the_same_extent() {
    let bytes = bytes("security.evtx");
    let input = input(&bytes, &Everything);
    let file = EvtxFile::open(&bytes).unwrap();
    let mut seen = Seen::default();
    let parts: Vec<Reach> =
        (0..file.chunk_count()).map(|n| parse_chunks(&file, &input, n..n + 1, &mut seen)).collect();
    assert!(parts.len() > 1);
    assert_eq!(
        Extent::merge(parts.into_iter().rev().map(Reach::into_extent)),
        parse(&bytes, &Everything).extent
    );
}

#[test]
fn threads_may_share_a_file() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&EvtxFile::open(&bytes("system.evtx")).unwrap());
    shared(&Reach::default());
}

#[test]
fn a_cut_file_says_what_it_lost() {
    let mut bytes = bytes("security.evtx");
    let whole = parse(&bytes, &Everything).live();
    bytes.truncate(4096 + 65536 + 9000);
    let cut = parse(&bytes, &Everything);
    assert!(cut.live() > 0 && cut.live() < whole);
    assert!(cut.lost());
    assert!(parse(&bytes, &Nothing).lost(), "also when nothing of it matters");
    assert!(cut.damage.iter().any(|d| d.message.contains("the file ends 9000 bytes into it")));
}

#[test]
fn a_lost_file_header_costs_no_record() {
    let whole = bytes("system.evtx");
    let expected = parse(&whole, &Everything).live();
    let mut zeroed = whole.clone();
    zeroed[..4096].fill(0);
    let headless = whole[4096..].to_vec();
    for bytes in [zeroed, headless] {
        let seen = parse(&bytes, &Everything);
        assert_eq!(seen.live(), expected);
        assert!(seen.damage.iter().any(|d| d.message.contains("file header")));
    }
}

#[test]
fn a_lost_chunk_header_is_told_and_its_records_recovered() {
    let mut bytes = bytes("system.evtx");
    let expected = parse(&bytes, &Everything).live();
    bytes[4096..4096 + 512].fill(0);
    let seen = parse(&bytes, &Everything);
    assert_eq!((seen.live(), seen.records.len()), (0, expected));
    assert!(seen.lost());
    assert_eq!(seen.damage[0].locator, Some(Locator::Offset(4096)));
}

#[test]
fn an_unreadable_record_is_told_though_nothing_of_it_matters() {
    let whole = bytes("system.evtx");
    let expected = parse(&whole, &Everything).live();
    let first = 4096 + 512;
    let size = u32::from_le_bytes(whole[first + 4..first + 8].try_into().unwrap()) as usize;
    let mut torn = whole.clone();
    torn[first + size..first + size + 4].fill(0xee);
    let seen = parse(&torn, &Everything);
    assert_eq!(seen.live(), expected - 1);
    let at = Some(Locator::Offset((first + size) as u64));
    assert!(seen.damage.iter().any(|d| d.lost && d.locator == at), "{:?}", seen.damage);
    assert!(parse(&torn, &Nothing).lost());
}

#[test]
fn a_changed_letter_is_a_remark_unless_the_log_was_open() {
    let mut bytes = bytes("system.evtx");
    let wide: Vec<u8> = "ngrok".bytes().flat_map(|byte| [byte, 0]).collect();
    let at = memchr::memmem::find(&bytes, &wide).unwrap();
    bytes[at] = b'm';
    let seen = parse(&bytes, &Everything);
    assert_eq!(seen.damage.iter().map(|d| d.lost).collect::<Vec<_>>(), [false]);
    bytes[120] |= 1;
    assert_eq!(parse(&bytes, &Everything).damage, []);
}

/// Offset in the file and size of each record of the first chunk.
fn records(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 4096 + 512;
    while bytes[at..].starts_with(b"\x2a\x2a\0\0") {
        let size = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        found.push((at, size));
        at += size;
    }
    found
}

/// Makes the first chunk's checksums fit.
fn mend_checksums(bytes: &mut [u8]) {
    let chunk = &mut bytes[4096..4096 + 65536];
    let free = u32::from_le_bytes(chunk[48..52].try_into().unwrap()) as usize;
    let events = crc32fast::hash(&chunk[512..free]);
    chunk[52..56].copy_from_slice(&events.to_le_bytes());
    let mut head = crc32fast::Hasher::new();
    head.update(&chunk[..120]);
    head.update(&chunk[128..512]);
    chunk[124..128].copy_from_slice(&head.finalize().to_le_bytes());
}

#[test]
fn a_record_hidden_in_another_is_revealed() {
    let mut bytes = bytes("system.evtx");
    let whole = parse(&bytes, &Everything);
    let all = records(&bytes);
    let ((before, size), (_, hidden)) = (all[4], all[5]);
    let grown = u32::try_from(size + hidden).unwrap().to_le_bytes();
    bytes[before + 4..before + 8].copy_from_slice(&grown);
    bytes[before + size + hidden - 4..before + size + hidden].copy_from_slice(&grown);
    mend_checksums(&mut bytes);
    let seen = parse(&bytes, &Everything);
    let found: Vec<_> = seen.records.iter().filter(|r| r.recovered).map(|r| &r.locator).collect();
    assert_eq!(found, [&whole.records[5].locator]);
    assert_eq!((seen.live(), seen.extent.gaps.len()), (whole.live() - 1, 1));
    assert_eq!(seen.damage.iter().map(|d| d.lost).collect::<Vec<_>>(), [false]);
    assert_eq!(parse(&bytes, &Nothing).damage, seen.damage);
}

#[test]
fn an_emptied_chunk_is_lost_and_one_too_many_is_left_over() {
    let whole = bytes("sysmon.evtx");
    let live = parse(&whole, &Everything).live();
    let mut emptied = whole.clone();
    emptied[4096 + 65536..].fill(0);
    let seen = parse(&emptied, &Everything);
    assert!(seen.live() < live && seen.lost());
    let mut longer = whole.clone();
    longer.extend_from_slice(&whole[4096..4096 + 65536]);
    let seen = parse(&longer, &Everything);
    assert_eq!((seen.live() as u64, seen.extent.records), (live as u64, live as u64));
    assert!(seen.records.iter().any(|record| record.recovered));
}

#[test]
fn a_bad_sector_costs_one_chunk() {
    struct Torn(Vec<u8>);
    impl ReadAt for Torn {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let bad = 4096 + 100;
            if (offset..offset + buf.len() as u64).contains(&bad) {
                return Err(io::Error::other("bad sector"));
            }
            self.0.read_at(offset, buf)
        }
    }
    let torn = Torn(bytes("security.evtx"));
    let mut seen = Seen::default();
    let filter = &Everything;
    let input = Input {
        bytes: &torn,
        sidecars: Vec::new(),
        name: "x",
        modified: None,
        filter,
        paths: None,
        zone: None,
    };
    Evtx.parse(&input, &mut seen).unwrap();
    assert!(seen.lost() && seen.live() > 0);
    assert_eq!(seen.extent.records, seen.live() as u64);
}

#[test]
fn other_formats_and_empty_files_are_foreign() {
    for bytes in [Vec::new(), b"<Events></Events>".to_vec(), vec![0; 70_000]] {
        let mut seen = Seen::default();
        let result = Evtx.parse(&input(&bytes, &Everything), &mut seen);
        assert!(matches!(result, Err(ParseError::Foreign { .. })));
    }
    let start = &bytes("system.evtx")[..4096];
    let names: Vec<_> = PARSERS.iter().filter(|p| p.recognizes(start)).map(|p| p.name()).collect();
    assert_eq!(names, ["evtx"]);
}

#[test]
fn damage_never_panics_and_never_goes_unsaid() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 32).unwrap()
    };
    for name in ["system.evtx", "powershell.evtx", "security.evtx"] {
        let whole = bytes(name);
        let expected = parse(&whole, &Everything).live();
        for flips in [1, 5, 50, 700] {
            let mut torn = whole.clone();
            for _ in 0..flips {
                let at = random() % (torn.len() - 4096) + 4096;
                torn[at] ^= 1 << (random() % 8);
            }
            let seen = parse(&torn, &Everything);
            assert!(seen.live() >= expected || seen.lost(), "{name}, {flips} flips");
        }
    }
}
