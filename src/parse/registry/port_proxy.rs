//! PortProxy: connections that Windows takes and passes on to another address.
//!
//! Values of `Services\PortProxy\{v4tov4,v4tov6,v6tov4,v6tov6}\tcp`: the name is where
//! it listens (`*/8080`), the data where it leads (`10.0.0.5/3389`). The key's time is
//! the last change of any of them. Set with `netsh interface portproxy`.

use std::net::IpAddr;
use std::ops::ControlFlow;

use super::place::{Extractor, Root, at};
use super::{Key, Output, record_of, target};

pub const EXTRACTOR: Extractor =
    Extractor { places: &[at(Root::System, r"Services\PortProxy\*\*")], read, live: None };

fn read(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    for value in &key.values {
        let Some(leads) = value.data.text() else { continue };
        let Some((to, to_port)) = leads.rsplit_once('/') else { continue };
        let (from, from_port) = value.name.rsplit_once('/').unwrap_or((&value.name, ""));
        let mut record = record_of(key, "port_proxy", Some(value.name.clone()));
        let field = if to.parse::<IpAddr>().is_ok() { "IpAddress" } else { "HostName" };
        record.push(field, to);
        record.push("Port", to_port);
        record.push("ListenAddress", from);
        record.push("ListenPort", from_port);
        record.push("Protocol", key.name.as_str());
        record.push("Details", format!("{} -> {leads}", value.name));
        record.push("TargetObject", target(key, Some(&value.name)));
        output.push(record)?;
    }
    ControlFlow::Continue(())
}
