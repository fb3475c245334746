//! The process as the kernel sees it, under the names that all Prometheus clients give it.
//!
//! Read from `/proc` when the page is asked for; what can't be read there is left out of the page. The recorder can't
//! hold these: its counters are whole numbers, and seconds of a processor are not.

use std::fmt::Write as _;
use std::fs;

use crate::metrics::{self, Kind};

/// Clock ticks in a second, in which the kernel counts processor time for user space: 100 on every architecture that
/// Rust runs Linux on.
const TICKS: f64 = 100.0;

/// What the kernel says of the process; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Seconds on processors.
    pub cpu_seconds: Option<f64>,
    /// Bytes in RAM.
    pub resident_bytes: Option<f64>,
    /// Start, in seconds since 1970.
    pub start_seconds: Option<f64>,
    /// Open file descriptors.
    pub open_fds: Option<f64>,
    /// Bound of open file descriptors.
    pub max_fds: Option<f64>,
    /// Threads.
    pub threads: Option<f64>,
}

/// Asks the kernel.
#[must_use]
pub fn read() -> Process {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let fds = fs::read_dir("/proc/self/fd").ok();
    // One of them is the directory that is being read.
    let fds = fds.map(|entries| entries.count().saturating_sub(1));
    Process {
        open_fds: fds.and_then(|count| u32::try_from(count).ok()).map(f64::from),
        ..parse(
            &text("/proc/self/stat"),
            &text("/proc/self/status"),
            &text("/proc/self/limits"),
            &text("/proc/stat"),
        )
    }
}

/// Reads the files of proc(5): `stat`, `status` and `limits` of the process, and `stat` of the machine.
fn parse(stat: &str, status: &str, limits: &str, machine: &str) -> Process {
    // The second field is the name of the program in brackets, which may hold anything.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    // Fields are counted from 1 in proc(5), and the first one here is the third.
    let field = |number: usize| number_of(fields.get(number - 3).copied());
    let row = |text: &str, name: &str| -> Option<String> {
        text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
    };
    let first = |row: Option<String>| number_of(row?.split_whitespace().next());
    let booted = first(row(machine, "btime "));
    Process {
        cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
        resident_bytes: first(row(status, "VmRSS:")).map(|kib| kib * 1_024.0),
        start_seconds: booted.zip(field(22)).map(|(booted, started)| booted + started / TICKS),
        open_fds: None,
        max_fds: first(row(limits, "Max open files")),
        threads: field(20),
    }
}

fn number_of(text: Option<&str>) -> Option<f64> {
    text?.parse().ok()
}

/// Adds to the page what is known.
pub fn render(process: &Process, page: &mut String) {
    let values = [
        (metrics::PROCESS_CPU, process.cpu_seconds),
        (metrics::PROCESS_MEMORY, process.resident_bytes),
        (metrics::PROCESS_START, process.start_seconds),
        (metrics::PROCESS_FDS, process.open_fds),
        (metrics::PROCESS_MAX_FDS, process.max_fds),
        (metrics::PROCESS_THREADS, process.threads),
    ];
    for (name, value) in values {
        let metric = metrics::ALL.iter().find(|metric| metric.name == name);
        let (Some(metric), Some(value)) = (metric, value) else { continue };
        let kind = if metric.kind == Kind::Counter { "counter" } else { "gauge" };
        // Writing to a text can't fail.
        let _ = writeln!(page, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n", metric.help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "42 (a) b) S 1 2 3 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 7 0 1278969 3133440 418";

    #[test]
    fn the_files_of_the_kernel_are_read() {
        let status = "Name:\tcatchment\nVmRSS:\t    2048 kB\nThreads:\t7\n";
        let limits = "Limit   Soft Limit   Hard Limit   Units\nMax open files            1024                 4096                 files\n";
        let process = parse(STAT, status, limits, "cpu 1 2 3\nbtime 1000\n");
        let expected = Process {
            cpu_seconds: Some(3.0),
            resident_bytes: Some(2_097_152.0),
            start_seconds: Some(13_789.69),
            open_fds: None,
            max_fds: Some(1_024.0),
            threads: Some(7.0),
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn what_the_kernel_does_not_say_is_left_out() {
        let process = parse("", "VmRSS: lots", "Max open files unlimited unlimited files", "btime");
        assert_eq!(process, Process::default());
        let mut page = String::new();
        render(&process, &mut page);
        assert_eq!(page, "");
        assert_eq!(parse("1 (x", "", "", ""), Process::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_seen() {
        let process = read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1e6), "{process:?}");
        assert!(process.start_seconds.is_some_and(|start| start > 1.6e9), "{process:?}");
        assert!(process.open_fds.is_some_and(|fds| fds >= 3.0), "{process:?}");
        assert!(process.threads.is_some_and(|threads| threads >= 1.0), "{process:?}");
        assert!(process.cpu_seconds.is_some() && process.max_fds.is_some(), "{process:?}");
    }
}
