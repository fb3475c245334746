//! Tests over the workspace as a whole and over the program as a user starts it.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod directions;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod known;
#[cfg(test)]
mod mappings;
#[cfg(test)]
mod operating;
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod shuffled;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod traces;
