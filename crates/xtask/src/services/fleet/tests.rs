use super::*;

/// Whether a process runs: neither gone nor ended.
fn runs(id: Id) -> bool {
    let output = Command::new("sh").args(["-c", &format!("kill -0 {}", id.0)]).output().unwrap();
    output.status.success()
}

#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        thread::sleep(PAUSE);
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn child_ends_with_its_fleet() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Fleet::default();
    let mut command = Command::new("sleep");
    command.arg("600");
    let id = fleet.spawn(&command, &directory.path().join("log")).unwrap();
    assert!(runs(id));
    assert!(fleet.ended(id).unwrap().is_none());
    drop(fleet);
    assert!(!runs(id));
}

#[test]
fn child_ends_with_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = thread::spawn(move || {
        let fleet = Fleet::default();
        sender.send(fleet.spawn(&shell("exec sleep 600"), &log).unwrap()).unwrap();
        panic!("as the test wants it");
    })
    .join();
    assert!(panicked.is_err());
    assert!(!runs(receiver.recv().unwrap()));
}

#[test]
fn group_is_stopped_and_not_only_its_leader() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let fleet = Fleet::default();
    fleet.spawn(&shell("sleep 600 & echo $!; wait"), &log).unwrap();
    let grandchild = || fs::read_to_string(&log).unwrap().trim().parse().ok().map(Id);
    until("the id of the grandchild", || grandchild().is_some());
    let grandchild = grandchild().unwrap();
    assert!(runs(grandchild));
    fleet.end();
    // Whoever inherits orphans buries it, in its own time.
    let ended = || {
        let state = fs::read_to_string(format!("/proc/{}/stat", grandchild.0)).unwrap_or_default();
        !runs(grandchild) || state.contains(") Z ")
    };
    until("the end of the grandchild", ended);
}

#[test]
fn run_tells_what_a_failed_command_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Fleet::default();
    let log = directory.path().join("log");
    fleet.run(&shell("true"), &log, PATIENCE).unwrap();
    let error = fleet.run(&shell("echo no such thing >&2; exit 3"), &log, PATIENCE).unwrap_err();
    assert_eq!(error.to_string(), "sh: exit status: 3\n  | no such thing\n");
}

#[test]
fn run_stops_a_command_that_takes_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Fleet::default();
    let log = directory.path().join("log");
    let error = fleet.run(&shell("echo $$; exec sleep 600"), &log, Duration::from_millis(200)).unwrap_err();
    assert!(error.to_string().starts_with("sh: not done after 0 s\n"), "{error}");
    // The process may have been stopped before it could say its id.
    if let Ok(id) = fs::read_to_string(&log).unwrap().trim().parse() {
        assert!(!runs(Id(id)));
    }
}

/// What the next tests start as a process of its own: a fleet that is in the midst of things.
#[test]
fn waits_with_a_child_if_asked() {
    let Some(directory) = std::env::var_os("TEST_WAITS_IN").map(PathBuf::from) else {
        return;
    };
    let fleet = Fleet::default();
    fleet.end_on_signals().unwrap();
    fleet.scratch(Some(directory.join("scratch")));
    let id = fleet.spawn(&shell("exec sleep 600"), &directory.join("log")).unwrap();
    fs::create_dir(directory.join("scratch")).unwrap();
    fs::write(directory.join("partial"), id.0.to_string()).unwrap();
    fs::rename(directory.join("partial"), directory.join("id")).unwrap();
    thread::sleep(Duration::from_secs(60));
    panic!("nobody sent a signal");
}

/// Starts the test above, hands it a signal, and gives its exit code and the id of its child.
fn interrupt(directory: &Path, name: &str) -> (Option<i32>, Id) {
    let mut waiting = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "services::fleet::tests::waits_with_a_child_if_asked"])
        .env("TEST_WAITS_IN", directory)
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    until("the child", || directory.join("id").exists());
    let id = Id(fs::read_to_string(directory.join("id")).unwrap().parse().unwrap());
    assert!(runs(id));
    signal(&waiting, name);
    (waiting.wait().unwrap().code(), id)
}

#[test]
fn signals_stop_the_children_first() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let directory = tempfile::tempdir().unwrap();
        let (exit, child) = interrupt(directory.path(), name);
        assert_eq!(exit, Some(code), "{name}");
        assert!(!runs(child), "{name}");
        assert!(!directory.path().join("scratch").exists(), "{name}");
    }
}

#[test]
fn child_does_not_survive_a_kill() {
    if tied(&Command::new("true")).get_program() != "setpriv" {
        println!("skipped: no setpriv that knows --pdeathsig");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (exit, child) = interrupt(directory.path(), "KILL");
    assert_eq!(exit, None);
    until("the end of the child", || {
        let state = fs::read_to_string(format!("/proc/{}/stat", child.0)).unwrap_or_default();
        !runs(child) || state.contains(") Z ")
    });
}
