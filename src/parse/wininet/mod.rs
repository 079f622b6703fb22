//! What Internet Explorer, Edge before 2020 and every other program that uses Windows'
//! WinINet left of the addresses that it asked.
//!
//! Up to Internet Explorer 9 each folder of the history and of the cache has its own
//! `index.dat`; from Internet Explorer 10 on one database of a user holds all of them
//! (`WebCacheV01.dat`, at first V16 and V24). Both hold the same entries, which [`entry`]
//! explains; what stands beside an entry (title, headers, download) is in [`data`].
//!
//! Explorer tells the history of local files, too: `file:///C:/…` is a file that a person
//! opened, mostly outside of the browser.

mod data;
mod entry;
mod index_dat;
#[cfg(test)]
mod tests;
mod web_cache;

pub use self::index_dat::IndexDat;
pub use self::web_cache::WebCache;

use std::ops::ControlFlow;

use super::offer::offer;
use crate::model::{Extent, Input, Record, Sink};

/// Where records go: past the filter, counted.
struct Output<'a> {
    input: &'a Input<'a>,
    sink: &'a mut dyn Sink,
    extent: Extent,
}

impl<'a> Output<'a> {
    fn new(input: &'a Input<'a>, sink: &'a mut dyn Sink) -> Self {
        Self { input, sink, extent: Extent::default() }
    }

    fn push(&mut self, record: Record) -> ControlFlow<()> {
        self.extent.count(&record);
        offer(record, self.input, self.sink)
    }
}
