//! Tests over the workspace as a whole and over the program as a user starts it. All of them are one test binary,
//! `tests/all`, because each binary costs a link.
