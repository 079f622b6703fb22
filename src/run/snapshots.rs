//! Shadow copies repeat most of what the volume says; only what they alone hold is
//! reported.

use std::collections::BTreeSet;

use crate::model::{Event, without_snapshot};

/// Leaves out what a newer state of the volume says in the same place, word for word.
pub fn drop_repeated(events: Vec<Event>) -> Vec<Event> {
    let is_historic = |event: &Event| without_snapshot(event.path.as_str()).0.is_some();
    if !events.iter().any(is_historic) {
        return events;
    }
    let mut order: Vec<usize> = (0..events.len()).collect();
    // The volume itself, then its snapshots from the newest on.
    let age = |at: &usize| {
        let number = events.get(*at).and_then(|e| without_snapshot(e.path.as_str()).0);
        number.map_or(0, |number| u64::MAX - number)
    };
    order.sort_by_key(age);
    let mut said = BTreeSet::new();
    let new: BTreeSet<usize> = order
        .into_iter()
        .filter(|at| {
            events.get(*at).is_some_and(|event| said.insert(content(event)) || !is_historic(event))
        })
        .collect();
    let kept = events.into_iter().enumerate().filter(|(at, _)| new.contains(at));
    kept.map(|(_, event)| event).collect()
}

/// Everything that an event says but for the snapshot it was found in and the
/// file's last access.
fn content(event: &Event) -> String {
    let record = &event.record;
    // What is left over in an index moves about in it.
    let place = match record.category {
        "index_entry" => String::new(),
        _ => record.locator.to_string(),
    };
    let mut out = format!(
        "{}\0{}\0{}\0{}",
        without_snapshot(event.path.as_str()).1.to_lowercase(),
        place,
        record.category,
        record.recovered
    );
    for (name, value) in &record.fields {
        let value = value.to_string();
        out.push_str(&format!("\0{name}={}", without_snapshot(&value).1));
    }
    for moment in record.times.iter().filter(|m| !m.meaning.starts_with("File Accessed")) {
        out.push_str(&format!("\0{}={}", moment.meaning, moment.raw));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{EvidencePath, Locator, Record};

    fn event(path: &str, id: u64, text: &str) -> Event {
        let mut record = Record::new("event", Locator::Record(id));
        record.push("Text", text);
        Event {
            artifact: Arc::from("a"),
            path: EvidencePath::new(path),
            record,
            hits: Vec::new(),
            source: Arc::from("x"),
            sha256: None,
        }
    }

    #[test]
    fn only_what_a_snapshot_alone_holds_is_kept() {
        let events = vec![
            event(r"C:\a.evtx", 1, "one"),
            event(r"vss1:C:\a.evtx", 1, "one"),
            event(r"vss1:C:\a.evtx", 2, "two"),
            event(r"vss2:C:\A.evtx", 2, "two"),
            event(r"vss2:C:\a.evtx", 3, "three"),
        ];
        let kept: Vec<String> = drop_repeated(events)
            .iter()
            .map(|e| format!("{} {}", e.path, e.record.locator))
            .collect();
        let expected =
            [r"C:\a.evtx record:1", r"vss2:C:\A.evtx record:2", r"vss2:C:\a.evtx record:3"];
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_volume_itself_is_left_alone() {
        let events =
            vec![event(r"C:\a", 1, "one"), event(r"C:\a", 1, "one"), event(r"vss1:C:\a", 1, "one")];
        assert_eq!(drop_repeated(events).len(), 2);
    }
}
