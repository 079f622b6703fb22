//! ShellBags: folders that a user looked at in Explorer.
//!
//! Keys below `Shell\BagMRU` form the tree of folders; the shell item of each stands in
//! its parent, under the key's own name. A folder stays known after it is deleted. The
//! key's time is when something below it changed, not necessarily a visit.
//!
//! Source: libyal's winreg-kb, "Shell Bags".

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::place::Extractor;
use super::{Data, Hive, Key, Output, record_of, shell_item};

pub const EXTRACTOR: Extractor =
    Extractor { places: &[], read: |_, _| ControlFlow::Continue(()), live: Some(push_live) };

const ROOTS: &[&str] = &[
    r"Local Settings\Software\Microsoft\Windows\Shell\BagMRU",
    r"Local Settings\Software\Microsoft\Windows\ShellNoRoam\BagMRU",
    r"Software\Microsoft\Windows\Shell\BagMRU",
    r"Software\Microsoft\Windows\ShellNoRoam\BagMRU",
];
/// Levels of folders.
const MAX_FOLDERS: usize = 64;
/// Bytes of a path.
const MAX_PATH: usize = 32 << 10;

fn push_live(hive: &mut Hive, output: &mut Output<'_>) -> ControlFlow<()> {
    for root in ROOTS {
        let Some(top) = hive.key(root) else { continue };
        let keys = hive.below(root, MAX_FOLDERS);
        // By the path of the key: its folder, and its values for those below it.
        let mut folders: HashMap<&str, (String, &Key)> = HashMap::new();
        folders.insert(&top.path, (String::new(), &top));
        for key in &keys {
            let Some((above, name)) = key.path.rsplit_once('\\') else { continue };
            let Some((folder, parent)) = folders.get(above) else { continue };
            let Some(Data::Binary(item)) = parent.data(name) else { continue };
            let name = shell_item::first(item).and_then(shell_item::name).unwrap_or_default();
            let path = shell_item::joined(folder, &name);
            if path.len() > MAX_PATH {
                continue;
            }
            if path != *folder {
                let mut record = record_of(key, "shell_bag", None);
                record.push("Image", path.as_str());
                output.add_user(&mut record);
                output.push(record)?;
            }
            folders.insert(&key.path, (path, key));
        }
    }
    ControlFlow::Continue(())
}
