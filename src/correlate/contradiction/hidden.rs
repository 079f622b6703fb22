//! What was made to hide: a creation set back, runs that Windows no longer notes.

use std::collections::BTreeMap;

use super::row;
use crate::correlate::{Tool, path};
use crate::model::{Event, Moment, RowStage, SystemFacts};

/// What a time set back weighs: archives and copies may keep a whole second, too.
const SET_BACK: u8 = 35;
/// What it weighs that runs are not noted: a setting that tuners change, too.
const NOT_NOTED: u8 = 30;

/// Files of the tool whose creation, as everybody is shown it, is before the one that the
/// file system noted with the name; once for each file.
pub(super) fn set_back(mine: &[&Event], tool: &Tool) -> Vec<Event> {
    let mut files: BTreeMap<String, &Event> = BTreeMap::new();
    for event in mine.iter().filter(|e| e.record.text("Timestomped").is_some()) {
        files.entry(path::tail(event.path.as_str())).or_insert(event);
    }
    let of = |event: &&Event| {
        let (own, named) = (time(event, "File Created ($SI)")?, time(event, "File Created ($FN)")?);
        let message = format!(
            "{} shows {:.0} as its creation, a whole second, but got its name {:.0}: consistent \
             with a time set back to hide when it came, or with a copy that kept its source's",
            event.path.as_str(),
            own.at?,
            named.at?
        );
        let mut out = row(event, tool, "contradiction-set-back", SET_BACK, message);
        out.record.times = vec![named.clone()];
        out.hits.iter_mut().for_each(|hit| hit.stage = RowStage::CleanedUp);
        Some(out)
    };
    files.values().filter_map(of).collect()
}

fn time<'a>(event: &'a Event, meaning: &str) -> Option<&'a Moment> {
    event.record.times.iter().find(|moment| moment.meaning == meaning)
}

/// The setting by which a workstation notes no runs, where the tool has been.
///
/// The key is written at every start of Windows, so that its time is no more than the
/// latest at which this was set: the row proves no step.
pub(super) fn unnoted(
    mine: &[&Event],
    events: &[Event],
    tool: &Tool,
    system: &SystemFacts,
) -> Option<Event> {
    let off = !mine.is_empty() && system.prefetch == Some(false) && !system.server;
    let is_setting = |event: &&Event| {
        event.hits.iter().any(|hit| &*hit.rule == "prefetch-off") && !event.record.recovered
    };
    let setting = events.iter().filter(|_| off).find(is_setting)?;
    let message = format!(
        "Prefetch is off on a workstation where {} was: what it ran since then left no .pf file; \
         consistent with hiding its runs, or with tuning. The key's time is at the latest that of \
         the last start of Windows",
        tool.id
    );
    Some(row(setting, tool, "contradiction-prefetch-off", NOT_NOTED, message))
}
