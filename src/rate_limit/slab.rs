//! [`Slabs`]: the counts that a place of a [`Table`](super::table::Table) has no room for, in records of a few
//! sizes.

/// The bytes of records. The first hold windows of 16 segments with counts of two bytes and of four, then
/// windows of up to 60 segments, and all of them logs.
const SIZES: [usize; 9] = [48, 80, 144, 256, 512, 1_024, 2_048, 4_096, 8_192];

/// Stands for no record, and where records end.
const NONE: u32 = u32::MAX;

/// The records under one lock.
#[derive(Debug)]
pub(super) struct Slabs([Slab; SIZES.len()]);

/// A record: of which size, and which.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) class: u8,
    pub(super) index: u32,
}

/// The records of a size. A free one begins with which is the next.
#[derive(Debug)]
struct Slab {
    size: usize,
    bytes: Vec<u8>,
    free: u32,
}

impl Slabs {
    pub(super) fn new() -> Self {
        Self(SIZES.map(|size| Slab {
            size,
            bytes: Vec::new(),
            free: NONE,
        }))
    }

    /// A record of at least so many bytes, of which there may be `most`. What it holds is still to be
    /// overwritten.
    pub(super) fn take(&mut self, bytes: usize, most: usize) -> Record {
        let class = SIZES
            .partition_point(|size| *size < bytes)
            .min(SIZES.len() - 1);
        #[allow(clippy::cast_possible_truncation, reason = "there are a few sizes")]
        Record {
            class: class as u8,
            index: self.0[class].take(most),
        }
    }

    /// Frees a record.
    pub(super) fn give_back(&mut self, record: Record) {
        self.0[usize::from(record.class)].give_back(record.index);
    }

    /// What a record holds.
    #[inline]
    pub(super) fn state(&mut self, record: Record) -> &mut [u8] {
        self.0[usize::from(record.class)].record(record.index)
    }

    /// The bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|slab| slab.bytes.capacity()).sum()
    }
}

impl Slab {
    fn take(&mut self, most: usize) -> u32 {
        if self.free == NONE {
            return self.add(most);
        }
        let index = self.free;
        let next = self.record(index).first_chunk().copied();
        self.free = next.map_or(NONE, u32::from_le_bytes);
        index
    }

    fn give_back(&mut self, index: u32) {
        let next = self.free.to_le_bytes();
        self.record(index)[..next.len()].copy_from_slice(&next);
        self.free = index;
    }

    /// One more record. Room is made for twice as many, but not touched before it is needed: of the largest
    /// that would be tens of megabytes at once, under the lock.
    #[cold]
    fn add(&mut self, most: usize) -> u32 {
        let old = self.bytes.len() / self.size;
        if self.bytes.capacity() < (old + 1) * self.size {
            let new = (2 * old).min(most).max(old + 1);
            self.bytes.reserve_exact((new - old) * self.size);
        }
        self.bytes.resize((old + 1) * self.size, 0);
        #[allow(
            clippy::cast_possible_truncation,
            reason = "fewer than places in a table"
        )]
        let index = old as u32;
        index
    }

    #[inline]
    fn record(&mut self, index: u32) -> &mut [u8] {
        let at = index as usize * self.size;
        &mut self.bytes[at..at + self.size]
    }
}
