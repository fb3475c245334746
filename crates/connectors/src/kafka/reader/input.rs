//! One partition that is read.

use catchment_runtime::log::Place;
use catchment_runtime::{Batch, BatchLimits, NextOffset, TopicPartition};

/// What is set aside of one partition while another is asked for, in bytes; beyond, it is not fetched any more.
const SET_ASIDE: usize = 4 << 20;

/// What the client has been told about a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fetch {
    /// It does not fetch it.
    #[default]
    Off,
    /// It fetches it, and what it brings comes next.
    On,
    /// It fetches it from where it should not.
    Elsewhere,
}

/// A partition that is read.
#[derive(Default)]
pub(super) struct Input {
    /// What the lane gets next.
    pub(super) next: NextOffset,
    /// What the client brings next; `next` and this differ by what is set aside.
    pub(super) fetched: NextOffset,
    /// Brought and not yet handed out, from `head` on.
    pub(super) aside: Batch,
    pub(super) head: usize,
    pub(super) fetch: Fetch,
    pub(super) held: bool,
    /// `next` is not in the partition, which starts here.
    pub(super) gap: Option<NextOffset>,
}

impl Input {
    pub(super) fn has_nothing_aside(&self) -> bool {
        self.head >= self.aside.len()
    }

    /// Whether the client is to fetch it.
    pub(super) fn is_wanted(&self) -> bool {
        !self.held && self.gap.is_none() && self.aside.bytes() <= SET_ASIDE
    }

    /// The client has to be told something.
    pub(super) fn is_amiss(&self) -> bool {
        self.fetch != if self.is_wanted() { Fetch::On } else { Fetch::Off }
    }

    pub(super) fn go_to(&mut self, next: NextOffset) {
        (self.next, self.fetched, self.gap, self.head) = (next, next, None, 0);
        self.aside.clear();
        if self.fetch == Fetch::On {
            self.fetch = Fetch::Elsewhere;
        }
    }

    /// Hands out what was set aside; true if all of it fitted.
    pub(super) fn hand_out(&mut self, at: TopicPartition, limits: &BatchLimits, batch: &mut Batch) -> bool {
        while let Some(record) = self.aside.get(self.head) {
            if !batch.has_room(limits, self.aside.size_of(self.head)) {
                return false;
            }
            let place = Place { at, offset: record.offset, append_time: record.append_time };
            batch.push(place, record.key, record.value, record.headers.clone());
            self.next = record.offset.next();
            self.head += 1;
        }
        self.aside.clear();
        self.head = 0;
        true
    }
}
