//! A run of the program as a process: started, listened to, killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use crate::program::{Said, Task};

/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Held to write while a program is started. Until the program is there, what is to become it has a
/// copy of each file that this process has open, and with it the locks of stores.
static STARTING: RwLock<()> = RwLock::new(());

/// As long as this is held no program is started: a store that is closed can be opened again.
pub(crate) fn none_starts() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts the program, behind other programs (`strace` with its options) if any.
    pub(crate) fn start(task: &Task, behind: &[String]) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut words = behind.iter().cloned().chain([this.to_str().unwrap().to_owned()]);
        let (name, value) = task.environment();
        let starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .args(["program::run", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(name, value)
            // Cargo's, in which a traced program would look for libraries for long.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start the program behind {behind:?}: {error}"));
        drop(starting);
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// The next thing that it says; nothing once it has ended.
    #[track_caller]
    pub(crate) fn next(&self) -> Option<Said> {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some(said) = Said::parse(&line) {
                        return Some(said);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("the program hangs"),
            }
        }
    }

    /// Kills it, and returns what it had said and nobody had listened to.
    pub(crate) fn kill(mut self) -> Vec<Said> {
        self.child.kill().unwrap();
        self.end()
    }

    /// Waits until it has ended, and returns what nobody had listened to.
    #[track_caller]
    fn end(mut self) -> Vec<Said> {
        let said = std::iter::from_fn(|| self.next()).collect();
        self.child.wait().unwrap();
        said
    }
}
