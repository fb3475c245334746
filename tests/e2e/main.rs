//! The program as a user runs it, against a real broker and a real schema registry. Each test has a broker of its own,
//! since topics have fixed names; the registry is shared.

#![cfg(test)]

mod avro;
mod chaos;
mod deployment;
mod failover;
mod gate;
mod groups;
mod identity;
mod load;
mod network;
mod outcome;
mod overload;
mod place;
mod process;
mod rolling;
mod secured;
mod shop;
mod snapshots;
#[path = "../all/support.rs"]
#[allow(dead_code)]
mod support;
mod timers;
mod traces;
mod wait;
mod workers;
mod worlds;
