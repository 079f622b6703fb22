//! Logins over ssh that came from the host itself, as a tunnel's do: each told by
//! several logs, ended by a disconnect of its port or by its login record.

use jiff::{SignedDuration, Timestamp};

use super::super::is_loopback;
use super::{Group, Service, same_user};
use crate::model::{Event, Precision, Record};

/// Logs tell of one login this close together.
const LOGIN_SPAN: SignedDuration = SignedDuration::from_secs(5);
/// What clocks are set back by.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Every accepted login over loopback, in time order, with its end.
pub(super) fn logins(events: &[Event]) -> Vec<Group> {
    let mut views: Vec<View> =
        events.iter().enumerate().filter_map(|(index, event)| view(index, event)).collect();
    views.sort_by_key(|view| (view.at, view.event));
    let mut groups: Vec<Group> = Vec::new();
    // What names the port opens a login; login records join it.
    let (ported, others): (Vec<&View>, Vec<&View>) =
        views.iter().partition(|view| view.port.is_some());
    for view in ported.into_iter().chain(others) {
        let of_time = groups.iter().position(|group| takes(group, view));
        // An hour apart where one log cannot tell which of two hours it was.
        let of_twin = || groups.iter().position(|group| takes(group, &view.an_hour_on(group)));
        match of_time.or_else(of_twin).and_then(|index| groups.get_mut(index)) {
            Some(group) => add(group, view),
            None if view.opens => groups.push(opened(view)),
            None => {}
        }
    }
    let starts: Vec<(Timestamp, Option<i64>)> = groups.iter().map(|g| (g.from, g.port)).collect();
    for group in &mut groups {
        close(group, &starts, events);
    }
    groups.sort_by_key(|group| (group.from, group.events.first().copied()));
    groups
}

/// What one log says of a login.
#[derive(Clone)]
struct View {
    at: Timestamp,
    event: usize,
    port: Option<i64>,
    user: String,
    until: Option<Timestamp>,
    /// Its hour may be the next one: it came twice, or the zone is not known.
    is_unsure: bool,
    /// Whether it tells of a login by itself; the last login of a user does not.
    opens: bool,
}

impl View {
    /// The same an hour later, or if the group is the unsure one, an hour earlier.
    fn an_hour_on(&self, group: &Group) -> Self {
        let on = match (self.is_unsure, group.is_unsure) {
            (true, false) => HOUR,
            (false, true) => -HOUR,
            _ => SignedDuration::ZERO,
        };
        Self { at: self.at.saturating_add(on).unwrap_or(self.at), ..self.clone() }
    }
}

fn is_unsure(record: &Record) -> bool {
    record.times.first().is_some_and(|moment| moment.precision == Precision::AssumedZone)
}

fn view(event: usize, e: &Event) -> Option<View> {
    let record = &e.record;
    if e.hits.is_empty()
        || !record.text("IpAddress").is_some_and(is_loopback)
        || record.text("Outcome") != Some("accepted")
    {
        return None;
    }
    let opens = match record.category {
        "ssh_login" => true,
        "login_record" => record.text("Kind") == Some("login"),
        _ => return None,
    };
    let until = record.times.iter().find(|m| m.meaning == "Logout").and_then(|m| m.at);
    Some(View {
        at: record.first_time()?,
        event,
        port: record.number("IpPort"),
        user: record.text("User").unwrap_or_default().to_owned(),
        until,
        is_unsure: is_unsure(record),
        opens,
    })
}

fn opened(view: &View) -> Group {
    Group {
        service: Service::Ssh,
        from: view.at,
        until: view.until,
        port: view.port,
        session: None,
        user: view.user.clone(),
        entered: true,
        connected: true,
        is_unsure: view.is_unsure,
        events: vec![view.event],
    }
}

fn takes(group: &Group, view: &View) -> bool {
    let same_port = match (group.port, view.port) {
        (Some(own), Some(other)) => own == other,
        _ => true,
    };
    let user = group.user.is_empty() || view.user.is_empty() || same_user(&group.user, &view.user);
    same_port && user && view.at.duration_since(group.from).abs() <= LOGIN_SPAN
}

fn add(group: &mut Group, view: &View) {
    // The finest time is kept: logs that cut to the second are earlier for no reason.
    let is_finer = view.port.is_some() && is_whole(group.from) && !is_whole(view.at);
    if (group.is_unsure || is_finer) && !view.is_unsure {
        group.from = view.at;
        group.is_unsure = false;
    }
    group.until = group.until.or(view.until);
    if group.user.is_empty() {
        group.user.clone_from(&view.user);
    }
    group.port = group.port.or(view.port);
    group.events.push(view.event);
}

fn is_whole(at: Timestamp) -> bool {
    at.subsec_nanosecond() == 0
}

/// The end: a disconnect of the same port before the next login from that port.
fn close(group: &mut Group, starts: &[(Timestamp, Option<i64>)], events: &[Event]) {
    let Some(port) = group.port else { return };
    let next = starts
        .iter()
        .filter(|(from, other)| *from > group.from && *other == Some(port))
        .map(|(from, _)| *from)
        .min();
    let mut end: Option<Timestamp> = None;
    for (index, event) in events.iter().enumerate() {
        let record = &event.record;
        let Some(at) = record.first_time() else { continue };
        let at = match at.checked_add(HOUR) {
            Ok(later) if at < group.from && is_unsure(record) => later,
            _ => at,
        };
        let fits = record.category == "ssh_logout"
            && !event.hits.is_empty()
            && record.number("IpPort") == Some(port)
            && at >= group.from.saturating_sub(LOGIN_SPAN).unwrap_or(group.from)
            && next.is_none_or(|next| at < next)
            && record.text("User").is_none_or(|user| same_user(user, &group.user));
        if !fits {
            continue;
        }
        let finer = end.is_none_or(|end| {
            is_whole(end) && !is_whole(at) || at < end && is_whole(end) == is_whole(at)
        });
        if finer {
            end = Some(at);
        }
        group.events.push(index);
    }
    group.until = end.or(group.until);
}

#[cfg(test)]
mod tests {
    use super::super::testing::event;
    use super::*;

    fn login(at: &str, port: &str) -> Event {
        let from = [("User", "root"), ("IpAddress", "127.0.0.1"), ("IpPort", port)];
        event("ssh_login", at, &[&from[..], &[("Outcome", "accepted")]].concat())
    }

    #[test]
    fn a_log_that_cannot_tell_the_hour_joins_one_that_can() {
        let unsure = |mut event: Event| {
            event.record.times[0].precision = Precision::AssumedZone;
            event
        };
        let end = [("IpAddress", "127.0.0.1"), ("IpPort", "50002")];
        let events = [
            unsure(login("2024-11-03T05:20:01Z", "50002")),
            unsure(event("ssh_logout", "2024-11-03T05:40:00Z", &end)),
            login("2024-11-03T06:20:01.2Z", "50002"),
            event("ssh_logout", "2024-11-03T06:40:00.1Z", &end),
            login("2024-11-03T07:20:01Z", "50003"),
        ];
        let groups = logins(&events);
        let told: Vec<_> = groups.iter().map(|g| (g.from.to_string(), g.events.len())).collect();
        let expected = [("2024-11-03T06:20:01.2Z", 4), ("2024-11-03T07:20:01Z", 1)];
        assert_eq!(told, expected.map(|(at, events)| (at.to_owned(), events)));
    }

    #[test]
    fn one_login_of_several_logs() {
        let record = [("User", "root"), ("IpAddress", "127.0.0.1"), ("Outcome", "accepted")];
        let end = [("IpAddress", "127.0.0.1"), ("IpPort", "49812")];
        let events = [
            login("2024-03-07T03:35:43Z", "49812"),
            login("2024-03-07T03:35:43.105Z", "49812"),
            event(
                "login_record",
                "2024-03-07T03:35:43.319Z",
                &[&record[..], &[("Kind", "login")]].concat(),
            ),
            event("ssh_logout", "2024-03-07T04:20:11Z", &end),
            login("2024-03-07T05:00:00Z", "49812"),
            login("2024-03-07T05:00:01Z", "50000"),
        ];
        let groups = logins(&events);
        let told: Vec<_> = groups
            .iter()
            .map(|g| (g.from.to_string(), g.until.map(|t| t.to_string()), g.port))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "2024-03-07T03:35:43.105Z".into(),
                    Some("2024-03-07T04:20:11Z".into()),
                    Some(49812)
                ),
                ("2024-03-07T05:00:00Z".into(), None, Some(49812)),
                ("2024-03-07T05:00:01Z".into(), None, Some(50000)),
            ]
        );
        assert_eq!(groups[0].events, [0, 1, 2, 3]);
    }
}
