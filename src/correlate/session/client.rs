//! What the logs of a remote desktop session say of the other side's machine.

use super::{Group, LOGON_SPAN};
use crate::model::Event;

/// The client's own machine name, as its network logon or reconnect gives it.
pub(super) fn workstation(of: &[usize], events: &[Event]) -> String {
    let named = |category: &str| {
        of.iter().filter_map(|i| events.get(*i)).find_map(|e| {
            let record = &e.record;
            let own = record.text("Computer").unwrap_or_default();
            let name = record.text("WorkstationName").filter(|_| record.category == category)?;
            let is_own = own.split('.').next().is_some_and(|h| h.eq_ignore_ascii_case(name));
            (!is_own).then(|| name.to_owned())
        })
    };
    named("session_reconnect").or_else(|| named("logon")).unwrap_or_default()
}

/// The client's zone (RdpCoreTS 104), noted under the activity of the connection (131):
/// its event, and the hours from UTC without the brackets that the log sets.
pub(super) fn zone(group: &Group, events: &[Event]) -> Option<(usize, String)> {
    let activity = |event: &Event| event.record.text("ActivityID").map(str::to_ascii_lowercase);
    let connected = group.events.iter().filter_map(|i| events.get(*i));
    let own: Vec<String> = connected
        .filter(|e| e.record.number("EventID") == Some(131))
        .filter_map(activity)
        .collect();
    let is_noted = |event: &Event| {
        let record = &event.record;
        let apart = record.first_time().map(|at| at.duration_since(group.from).abs());
        (record.category, record.number("EventID")) == ("rdp", Some(104))
            && apart.is_some_and(|apart| apart <= LOGON_SPAN)
            && activity(event).is_some_and(|id| own.contains(&id))
    };
    let (index, event) = events.iter().enumerate().find(|(_, event)| is_noted(event))?;
    let hours = event.record.value("TimezoneBiasHour")?.to_string();
    Some((index, hours.trim_matches(['[', ']', ' ']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{event, tool};

    #[test]
    fn the_zone_is_the_connections_own() {
        let rdp = |at: &str, id: &str, activity: &str, of: (&'static str, &str)| {
            let fields = [("EventID", id), ("ActivityID", activity), ("Address", "127.0.0.1"), of];
            event("rdp", at, &fields)
        };
        let other = ("TimezoneBiasHour", "[2]");
        let mut events = vec![
            rdp("2024-03-01T10:00:00Z", "131", "{F1A0}", ("SourcePort", "50001")),
            rdp("2024-03-01T10:00:01Z", "104", "{A0A0}", other),
            rdp("2024-03-01T10:00:02Z", "104", "{f1a0}", ("TimezoneBiasHour", "[-8]")),
            rdp("2024-03-01T10:00:03Z", "21", "", ("SessionID", "3")),
        ];
        let found = super::super::find(&mut events, &[tool("x")], &[]);
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((one.session.zone_hours.as_str(), one.events.contains(&2)), ("-8", true));
        assert!(!one.events.contains(&1));
    }
}
