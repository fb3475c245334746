//! The state machine of identity: beside its executable model (`model.py`), message by message over 10,000 recorded
//! histories; and its own promises, over random events in random order and over every order of a few.

#![allow(clippy::unwrap_used, clippy::panic)]

mod everything;
mod lines;
mod recorded;
mod rest;
mod world;
