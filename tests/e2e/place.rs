//! Tests share the machine, but for one that measures: that one waits until no other runs, and others wait for it.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

struct Taken {
    shared: usize,
    alone: bool,
    /// Tests that wait to be alone.
    waiting: usize,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken { shared: 0, alone: false, waiting: 0 });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// Places of this test.
    static MINE: Cell<usize> = const { Cell::new(0) };
}

/// A place on the machine, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Place {
    alone: bool,
}

fn taken() -> MutexGuard<'static, Taken> {
    // A test that failed gives its place back as any other.
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Place {
    /// Beside others.
    pub(crate) fn shared() -> Place {
        // A test that has one already is waited for by whoever wants to be alone.
        let is_first = MINE.get() == 0;
        let must_wait = |taken: &mut Taken| taken.alone || (is_first && taken.waiting > 0);
        let mut taken = CHANGED.wait_while(taken(), must_wait).unwrap_or_else(PoisonError::into_inner);
        taken.shared += 1;
        MINE.set(MINE.get() + 1);
        Place { alone: false }
    }

    /// With nobody beside.
    pub(crate) fn alone() -> Place {
        let mut waiting = taken();
        waiting.waiting += 1;
        let must_wait = |taken: &mut Taken| taken.alone || taken.shared > 0;
        let mut taken = CHANGED.wait_while(waiting, must_wait).unwrap_or_else(PoisonError::into_inner);
        taken.waiting -= 1;
        taken.alone = true;
        Place { alone: true }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = taken();
        if self.alone {
            taken.alone = false;
        } else {
            taken.shared -= 1;
            MINE.set(MINE.get().saturating_sub(1));
        }
        drop(taken);
        CHANGED.notify_all();
    }
}
