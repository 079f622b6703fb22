//! TaskCache: scheduled tasks as the service keeps them in SOFTWARE.
//!
//! `Tasks\{id}` holds what a task does (`Actions`) and when it was registered and ran
//! (`DynamicInfo`); `Tree\<folder>\<name>` leads to it. A task whose entry in `Tree` has
//! lost its security descriptor (`SD`), has `Index` 0 or is gone runs all the same but
//! is not shown: somebody hid it. Its XML file may be gone too.
//!
//! ```text
//! Actions      u16 version · [2 on: text, context] · (u16 kind · text id · …)*
//!              6666 program: text command, arguments, directory · [3: u16 flags]
//!              7777 COM handler: CLSID · text data          texts: u32 bytes · UTF-16LE
//!              9999 message: text caption, content          8888 mail: 8 texts · lists
//! DynamicInfo  4 registered · 12 last started · 20 state · 24 result · 28 last completed
//! ```
//!
//! Sources: libyal's winreg-kb, "Task Scheduler"; Microsoft on Tarrask (2022-04-12);
//! `testdata/parse/registry/artifacts-SOFTWARE`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::model::{Moment, Record};
use crate::parse::bytes::{piece, u16_at, u32_at, u64_at};

use super::cells::size;
use super::place::{Extractor, Root, at};
use super::{Data, Hive, Key, Output, record_of, utf16};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[at(
        Root::Software,
        r"Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tasks\*",
    )],
    read: |key, output| push(key, None, output),
    live: Some(push_live),
};

const TASK_CACHE: &str = r"Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache";
/// Levels of folders below `Tree`.
const MAX_FOLDERS: usize = 32;
/// Actions read of one task; Windows allows 32.
const MAX_ACTIONS: usize = 64;

/// Pushes every task, then what `Tree` has without one.
fn push_live(hive: &mut Hive, output: &mut Output<'_>) -> ControlFlow<()> {
    let mut tree: BTreeMap<String, Key> = BTreeMap::new();
    for key in hive.below(&format!("{TASK_CACHE}\\Tree"), MAX_FOLDERS) {
        if let Some(id) = key.text("Id") {
            tree.insert(id.to_ascii_lowercase(), key);
        }
    }
    for key in hive.below(&format!("{TASK_CACHE}\\Tasks"), 1) {
        let entry = tree.remove(&key.name.to_ascii_lowercase());
        push(&key, Some(why_hidden(entry.as_ref())), output)?;
    }
    for (id, key) in &tree {
        let mut record = record_of(key, "task_cache", None);
        let root = format!("{TASK_CACHE}\\Tree");
        record.push("Name", key.path.get(root.len()..).unwrap_or_default());
        record.push("TaskId", id.as_str());
        record.push("Hidden", "no task of its id");
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

/// What keeps a task from being shown, empty if nothing.
fn why_hidden(entry: Option<&Key>) -> &'static str {
    let Some(entry) = entry else { return "no entry in Tree" };
    let secured = matches!(entry.data("SD"), Some(Data::Binary(sd)) if !sd.is_empty());
    match entry.number("Index") {
        _ if !secured => "no security descriptor",
        Some(0) => "index 0",
        _ => "",
    }
}

fn push(key: &Key, hidden: Option<&str>, output: &mut Output<'_>) -> ControlFlow<()> {
    let name = key.text("Path").or_else(|| key.text("URI")).unwrap_or_default();
    let actions = match key.data("Actions") {
        Some(Data::Binary(data)) => actions(data),
        _ => Vec::new(),
    };
    if name.is_empty() && actions.is_empty() {
        return ControlFlow::Continue(());
    }
    let base = record_of(key, "task_cache", None);
    let nothing = [Action::default()];
    for action in if actions.is_empty() { nothing.as_slice() } else { &actions } {
        let mut record = base.clone();
        record.push("Name", name.as_str());
        action.add_to(&mut record);
        record.push("TaskId", key.name.as_str());
        for field in ["Author", "Description", "Date", "Source"] {
            record.push(field, key.text(field).unwrap_or_default());
        }
        record.push("Hidden", hidden.unwrap_or_default());
        add_times(&mut record, key);
        output.push(record)?;
    }
    ControlFlow::Continue(())
}

fn add_times(record: &mut Record, key: &Key) {
    let Some(Data::Binary(info)) = key.data("DynamicInfo") else { return };
    let meanings = [(4, "Task Registered"), (12, "Task Last Started"), (28, "Task Last Completed")];
    for (at, meaning) in meanings {
        record.times.extend(u64_at(info, at).and_then(|at| Moment::of_filetime(at, meaning)));
    }
    if let Some(result) = u32_at(info, 24) {
        record.push("LastResult", i64::from(result));
    }
}

/// One thing that a task does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Action {
    /// Whose rights it has: the name of a principal in the task's XML.
    context: String,
    command: String,
    arguments: String,
    directory: String,
    /// CLSID of a COM handler.
    handler: String,
    /// Texts of a message or mail.
    message: String,
}

impl Action {
    fn add_to(&self, record: &mut Record) {
        let command = [self.command.as_str(), self.arguments.as_str()].join(" ");
        record.push("CommandLine", command.trim());
        record.push("WorkingDirectory", self.directory.as_str());
        record.push("ComHandler", self.handler.as_str());
        record.push("ComData", if self.handler.is_empty() { "" } else { &self.message });
        record.push("Message", if self.handler.is_empty() { &self.message } else { "" });
        record.push("Context", self.context.as_str());
    }
}

/// The actions as far as they can be read.
fn actions(data: &[u8]) -> Vec<Action> {
    let mut reader = Reader { data, at: 2 };
    let Some(version) = u16_at(data, 0) else { return Vec::new() };
    let context = if version > 1 { reader.text() } else { Some(String::new()) };
    let mut actions = Vec::new();
    let Some(context) = context else { return actions };
    while actions.len() < MAX_ACTIONS {
        let Some(mut action) = reader.action(version) else { break };
        action.context.clone_from(&context);
        actions.push(action);
    }
    actions
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn action(&mut self, version: u16) -> Option<Action> {
        let mut action = Action::default();
        let kind = u16_at(self.data, self.at)?;
        self.skip(2)?;
        self.text()?; // the action's own name
        match kind {
            0x6666 => {
                action.command = self.text()?;
                action.arguments = self.text()?;
                action.directory = self.text()?;
                if version > 2 {
                    let _ = self.skip(2); // the last one's flags may be missing
                }
            }
            0x7777 => {
                action.handler = clsid(piece(self.data, self.at, 16)?)?;
                self.skip(16)?;
                action.message = self.text()?;
            }
            0x9999 => action.message = [self.text()?, self.text()?].join(": "),
            0x8888 => action.message = self.mail()?,
            _ => return None,
        }
        Some(action)
    }

    fn mail(&mut self) -> Option<String> {
        let mut texts = Vec::new();
        for _ in 0..8 {
            texts.push(self.text()?);
        }
        for per_entry in [1u32, 2] {
            let count = u32_at(self.data, self.at)?;
            self.skip(4)?;
            // Each text takes four bytes or more: the data bound the loop.
            for _ in 0..count.checked_mul(per_entry)? {
                self.text()?;
            }
        }
        texts.retain(|text| !text.is_empty());
        Some(texts.join(" "))
    }

    fn text(&mut self) -> Option<String> {
        let length = size(u32_at(self.data, self.at)?);
        self.skip(4)?;
        let text = utf16(piece(self.data, self.at, length)?);
        self.skip(length)?;
        Some(text)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.data.len())?;
        Some(())
    }
}

/// The GUID of 16 bytes as text, in braces and capitals.
pub(super) fn clsid(bytes: &[u8]) -> Option<String> {
    let (a, b, c) = (u32_at(bytes, 0)?, u16_at(bytes, 4)?, u16_at(bytes, 6)?);
    let rest = u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?);
    Some(format!("{{{a:08X}-{b:04X}-{c:04X}-{:04X}-{:012X}}}", rest >> 48, rest & 0xFFFF_FFFF_FFFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [&u32::try_from(wide.len()).unwrap().to_le_bytes()[..], &wide].concat()
    }

    #[test]
    fn each_kind_of_action_is_read() {
        let program = [text("id"), text("ngrok"), text("tcp 22"), text(""), vec![0, 0]].concat();
        let handler = [text(""), (1..=16).collect(), text("data")].concat();
        let message = [text(""), text("Title"), text("Hello")].concat();
        let parts: [(&[u8], &[u8]); 3] =
            [(&[0x66; 2], &program), (&[0x77; 2], &handler), (&[0x99; 2], &message)];
        let mut data = [&[3, 0][..], &text("Author")].concat();
        for (kind, body) in parts {
            data.extend([kind, body].concat());
        }
        let all = actions(&data);
        let shown: Vec<String> = all
            .iter()
            .map(|a| format!("{}|{}|{}|{}", a.command, a.arguments, a.handler, a.message))
            .collect();
        let handler = "||{04030201-0605-0807-090A-0B0C0D0E0F10}|data";
        assert_eq!(shown, ["ngrok|tcp 22||", handler, "|||Title: Hello"]);
        for end in 0..data.len() {
            assert!(actions(&data[..end]).len() <= 3);
        }
    }
}
