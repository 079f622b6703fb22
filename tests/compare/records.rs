//! Prints what a parser reads from a file, one JSON object a line, nothing screened
//! away: `cargo run --example records -- usn_journal FILE [SIDECAR]…`. For comparisons
//! with other tools (`tests/compare`).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::sync::Mutex;

use adit::model::{Damage, Everything, Extent, Input, ReadAt, Record, Sink, Value};
use serde_json::{Map, json};

/// An open file.
struct Opened(Mutex<File>, u64);

impl ReadAt for Opened {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.0.lock().map_err(|_| io::Error::other("poisoned"))?;
        file.seek(SeekFrom::Start(offset))?;
        file.read(buf)
    }
}

/// Writes records, and damage to stderr.
struct Printer<W: Write>(W);

impl<W: Write> Sink for Printer<W> {
    fn record(&mut self, record: Record) -> ControlFlow<()> {
        let mut object = Map::new();
        object.insert("category".into(), record.category.into());
        object.insert("locator".into(), record.locator.to_string().into());
        for (name, value) in record.fields {
            let value = match value {
                Value::Text(text) => text.into(),
                Value::Number(n) => n.into(),
                Value::List(all) => all.into(),
            };
            // As rules see it: the first of a name counts.
            object.entry(name.into_owned()).or_insert(value);
        }
        let times: Vec<_> = record.times.iter().map(|m| json!([m.meaning, m.raw])).collect();
        object.insert("times".into(), times.into());
        object.insert("recovered".into(), record.recovered.into());
        match writeln!(self.0, "{}", serde_json::Value::Object(object)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn damaged(&mut self, damage: Damage) {
        let at = damage.locator.map_or_else(String::new, |at| at.to_string());
        eprintln!("damage {at}: {}", damage.message);
    }

    fn extent(&mut self, _: Extent) {}
}

fn open(path: &str) -> io::Result<Opened> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok(Opened(Mutex::new(file), size))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(parser), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: records PARSER FILE [SIDECAR]…".into());
    };
    let parser = adit::parse::by_name(&parser).ok_or("no parser of that name")?;
    let bytes = open(&path)?;
    let sidecars = arguments.map(|path| open(&path)).collect::<io::Result<Vec<_>>>()?;
    let input = Input {
        bytes: &bytes,
        sidecars: sidecars.iter().map(|file| -> &dyn ReadAt { file }).collect(),
        name: path.rsplit('/').next().unwrap_or_default(),
        modified: None,
        filter: &Everything,
        paths: None,
        zone: None,
    };
    let mut printer = Printer(BufWriter::new(io::stdout().lock()));
    parser.parse(&input, &mut printer)?;
    printer.0.flush()?;
    Ok(())
}
