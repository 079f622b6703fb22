//! Archives as file trees, read in place: nothing is unpacked to disk, links are
//! shown and not followed, memory is bounded whatever the archive claims.

mod block;
mod header;
mod inflated;
mod name;
mod pool;
mod recover;
mod slice;
mod stream;
mod tar;
#[cfg(test)]
mod tar_tests;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod zip;

pub(super) use slice::{Sparse, Stretch};
pub(super) use stream::read_full;
pub(super) use tar::{TarTree, unwrapped};
pub(super) use zip::ZipTree;
