//! Who is who: identifiers that events name together become one customer, and no accident makes two people one.
//!
//! Every identifier is a **node**, on the partition of its key. A node is a **root**, which holds a customer, or an **alias**
//! of a strictly smaller node. A root that learns that one of its identifiers was seen with another customer's **asks**
//! the smaller of the two roots, and stays a root until the answer. So a pointer, once set, is for good; nothing is ever
//! handed back; and while an answer is under way, both customers go on working.
//!
//! This is the state machine alone: a node and a message give the node as it is then, and messages to other nodes. What
//! carries messages must give each exactly once. For the order of one identifier's events it must keep the order of what
//! one partition sends to another; nothing else rests on any order.
//!
//! What holds, and is tested (`tests/identity`):
//! - pointers go to strictly smaller nodes, and waits from larger roots to smaller ones, so there is no cycle and no deadlock;
//! - no customer ever breaks a [limit](Limits), not even by what it has granted;
//! - every member is connected to the root by evidence inside the customer, which goes when the customer is forgotten;
//! - where no limit refuses anything, the customers at rest are the connected components of the identifiers seen together,
//!   whatever the order.
//!
//! With limits, *which* of two unions that exclude each other comes about depends on which is asked for first.

mod customer;
mod limits;
mod message;
mod node;
mod sorted;

pub use customer::{Content, Customer, Member, Tried};
pub use limits::{Limit, Limits};
pub use message::{Ask, Evidence, Impossible, Link, Message, Seen, Stamp};
pub use node::{Alias, Effects, Node, Note, Root, Route, Rules, Standing, Waiting};
pub use sorted::Sorted;
