//! Random histories: writes, deletes, marks, crashes, zombies, and what happens to files.

use super::{Machine, MapLane, name, no_effects};
use crate::snapshot::memory::MemorySnapshots;
use proptest::prelude::*;

/// What happens. Machines are 0 and 1, of one log.
#[derive(Clone, Debug)]
enum Event {
    Set(u32, u8, u8),
    Delete(u32, u8),
    Step(usize),
    Mark(usize),
    /// The machine's lane dies, and a new one takes all partitions over.
    Start(usize),
    Crash(usize),
    /// What is on the machine's disk for that partition is kept for later.
    Copy(usize, u32),
    /// And put back.
    Restore(usize, u32),
    Lose(usize, u32),
    Tear(usize, u32, usize),
}

fn event() -> impl Strategy<Value = Event> {
    let (machine, number) = (0..2_usize, 0..2_u32);
    prop_oneof![
        6 => (number.clone(), 0..6_u8, any::<u8>()).prop_map(|(number, key, value)| Event::Set(number, key, value)),
        3 => (number.clone(), 0..6_u8).prop_map(|(number, key)| Event::Delete(number, key)),
        8 => machine.clone().prop_map(Event::Step),
        4 => machine.clone().prop_map(Event::Mark),
        3 => machine.clone().prop_map(Event::Start),
        1 => machine.clone().prop_map(Event::Crash),
        1 => (machine.clone(), number.clone()).prop_map(|(machine, number)| Event::Copy(machine, number)),
        1 => (machine.clone(), number.clone()).prop_map(|(machine, number)| Event::Restore(machine, number)),
        1 => (machine.clone(), number.clone()).prop_map(|(machine, number)| Event::Lose(machine, number)),
        1 => (machine, number, 0..400_usize).prop_map(|(machine, number, at)| Event::Tear(machine, number, at)),
    ]
}

struct World {
    machines: [Machine; 2],
    lanes: [Option<MapLane>; 2],
    copies: Vec<(usize, u32, Option<Vec<u8>>)>,
}

impl World {
    fn new() -> Self {
        let first = Machine::new();
        let second = Machine { log: first.log.clone(), disk: MemorySnapshots::new(100_000) };
        World { machines: [first, second], lanes: [None, None], copies: Vec::new() }
    }

    fn start(&mut self, at: usize) {
        self.lanes[at] = None;
        let lane = self.machines[at].lane(&format!("toy-{at}"));
        self.machines[at].check(&lane);
        self.lanes[at] = Some(lane);
    }

    fn happen(&mut self, event: &Event) {
        let log = &self.machines[0];
        match *event {
            Event::Set(number, key, value) => log.say(number, &[key, value]),
            Event::Delete(number, key) => log.say(number, &[key]),
            Event::Start(at) => self.start(at),
            Event::Crash(at) => self.lanes[at] = None,
            // An error is that of a lane which lost its partitions: it goes on as a zombie.
            Event::Step(at) => drop(self.lanes[at].as_mut().map(|lane| lane.step(Some(0), &mut no_effects))),
            Event::Mark(at) => drop(self.lanes[at].as_mut().map(MapLane::mark)),
            Event::Copy(at, number) => {
                self.copies.push((at, number, self.machines[at].disk.bytes(&name(number))));
            }
            Event::Restore(at, number) => {
                let copy = self.copies.iter().rev().find(|(of, what, _)| (*of, *what) == (at, number));
                if let Some((.., bytes)) = copy.filter(|_| self.lanes[at].is_none()) {
                    self.machines[at].disk.put(&name(number), bytes.clone());
                }
            }
            Event::Lose(at, number) => self.machines[at].disk.put(&name(number), None),
            Event::Tear(at, number, to) => self.machines[at].disk.tear(&name(number), to),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_state_is_what_the_changelogs_say(events in prop::collection::vec(event(), 0..60)) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
        world.start(0);
        world.start(1);
    }
}
