//! Measuring: loads that are made from a seed.

pub mod load;
