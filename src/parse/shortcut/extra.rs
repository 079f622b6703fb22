//! Blocks at a shortcut's end: the machine it was made on, the target by variables.
//!
//! ```text
//! block   = bytes:u32 signature:u32 …
//! tracker = 0xa0000003 0x58:u32 0:u32 machine:16 (volume:16 object:16)×2
//! ```
//!
//! The object's identifier is of the kind that holds the network card's address.

use super::super::bytes::{ansi, guid, u32_at, utf16_text};
use super::items::properties;
use crate::model::Record;

/// Blocks that are read.
const MAX_BLOCKS: usize = 64;
/// System.AppUserModel.ID and System.Link.TargetParsingPath.
const APPLICATION: (&str, u32) = ("{9F4C2855-9F79-4B39-A8D0-E1D42DE1D5F3}", 5);
const PARSING_PATH: (&str, u32) = ("{B9B4B3FC-2B51-4A42-B5D8-324146AFCF25}", 2);

#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) environment: String,
    pub(super) parsing_path: String,
    /// Descriptor of a program that Windows Installer puts there.
    pub(super) installer: String,
    application: String,
    known_folder: String,
    machine: String,
    droid: String,
    birth_droid: String,
    mac: String,
}

impl Extra {
    /// The blocks from `at` on; what is cut off is told.
    pub(super) fn read(bytes: &[u8], at: usize, faults: &mut Vec<(usize, String)>) -> Self {
        let mut found = Self::default();
        let mut at = at;
        for _ in 0..MAX_BLOCKS {
            let size = u32_at(bytes, at).and_then(|size| usize::try_from(size).ok());
            let Some(size) = size.filter(|size| *size >= 8) else { break };
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(block) = rest.get(..size) else {
                faults.push((at, "cut off in its extra data".to_owned()));
                found.block(rest);
                break;
            };
            found.block(block);
            at = at.saturating_add(size);
        }
        found
    }

    fn block(&mut self, block: &[u8]) {
        let Some(signature) = u32_at(block, 4) else { return };
        let data = block.get(8..).unwrap_or_default();
        let two_forms = || {
            let wide = data.get(260..).map(utf16_text).unwrap_or_default();
            if wide.is_empty() { ansi(data.get(..260).unwrap_or(data)) } else { wide }
        };
        match signature {
            0xa000_0001 => self.environment = two_forms(),
            0xa000_0003 => self.tracker(data),
            0xa000_0006 => self.installer = two_forms(),
            0xa000_0009 => self.properties(data),
            0xa000_000b => self.known_folder = guid(data).unwrap_or_default(),
            _ => {}
        }
    }

    fn tracker(&mut self, data: &[u8]) {
        self.machine = ansi(data.get(8..24).unwrap_or_default());
        let droid = |at: usize| {
            let volume = data.get(at..).and_then(guid)?;
            let object = data.get(at.checked_add(16)?..).and_then(guid)?;
            Some(format!("{volume} {object}"))
        };
        self.droid = droid(24).unwrap_or_default();
        self.birth_droid = droid(56).unwrap_or_default();
        self.mac = mac(data.get(40..56).unwrap_or_default()).unwrap_or_default();
    }

    fn properties(&mut self, data: &[u8]) {
        for (format, id, text) in properties(data) {
            match (format.as_str(), id) {
                APPLICATION => self.application = text,
                PARSING_PATH => self.parsing_path = text,
                _ => {}
            }
        }
    }

    pub(super) fn describe(&self, record: &mut Record) {
        record.push("EnvironmentTarget", self.environment.as_str());
        record.push("ParsingPath", self.parsing_path.as_str());
        record.push("InstallerTarget", self.installer.as_str());
        record.push("AppUserModelId", self.application.as_str());
        record.push("KnownFolder", self.known_folder.as_str());
        record.push("MachineId", self.machine.as_str());
        record.push("MacAddress", self.mac.as_str());
        record.push("Droid", self.droid.as_str());
        if self.birth_droid != self.droid {
            record.push("BirthDroid", self.birth_droid.as_str());
        }
    }
}

/// The network card's address in an identifier made of time and card.
fn mac(guid: &[u8]) -> Option<String> {
    let by_time = guid.get(7)? >> 4 == 1;
    let node = guid.get(10..16).filter(|_| by_time)?;
    Some(node.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}
