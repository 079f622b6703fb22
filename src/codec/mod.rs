//! Codes that more than one stage unpacks: files of the system packed by the file
//! system, and formats that pack themselves.

pub(crate) mod lz77;
pub(crate) mod prefix;
pub(crate) mod xpress;
