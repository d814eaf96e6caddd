//! Lives of the program under `strace`.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::child::Running;
use crate::kills::check_folder;
use crate::ledger::{Broken, Ledger};
use crate::planted::Fault;
use crate::program::{Said, Task};
use crate::trace::{CALLS, Call, parse};

/// Operations of each writer.
const STEPS: u32 = 40;

/// A folder and what is known of it.
pub(crate) struct Traced {
    traces: TempDir,
    pub(crate) folder: PathBuf,
    ledger: Ledger,
    life: u32,
    fault: Option<Fault>,
    pub(crate) segment_bytes: u64,
}

/// A life of the program, as it told it and as the system saw it.
pub(crate) struct Life {
    pub(crate) said: Vec<Said>,
    pub(crate) calls: Vec<Call>,
}

impl Traced {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let traces = tempfile::tempdir().unwrap();
        let folder = traces.path().join("events");
        Self { traces, folder, ledger: Ledger::new(seed), life: 0, fault, segment_bytes: 16 << 10 }
    }

    /// In another folder, of a file system of its own.
    pub(crate) fn at(folder: PathBuf, seed: u64) -> Self {
        Self { folder, ..Self::new(seed, None) }
    }

    pub(crate) fn start(&mut self, behind: &[String]) -> Running {
        let (life, seed) = (self.life, self.ledger.seed());
        self.life += 1;
        let unanswered = self.ledger.begin(life);
        let (steps, segment_bytes, fault) = (STEPS, self.segment_bytes, self.fault);
        let task = Task {
            folder: self.folder.clone(),
            seed,
            life,
            steps,
            segment_bytes,
            unanswered,
            fault,
            tended: false,
        };
        Running::start(&task, behind)
    }

    pub(crate) fn hear(&mut self, said: &[Said]) {
        for said in said {
            self.ledger.hear(self.life - 1, said.clone());
        }
    }

    /// Runs the program with what is to be injected, and maybe with the only file that this is for.
    pub(crate) fn live(&mut self, injections: &[&str], only: Option<&str>) -> Life {
        let injections = injections.iter().map(|injection| format!("inject={injection}"));
        let mut options: Vec<_> = injections.flat_map(|inject| ["-e".into(), inject]).collect();
        if let Some(only) = only {
            options.extend(["-P".into(), self.folder.join(only).to_str().unwrap().into()]);
        }
        self.live_and(&options, |_| {})
    }

    /// Runs the program, and does something as it speaks.
    pub(crate) fn live_and(&mut self, options: &[String], mut listen: impl FnMut(&Said)) -> Life {
        let trace = self.traces.path().join("trace");
        let calls = format!("trace={CALLS}");
        let strace = ["strace", "-f", "-y", "-x", "-s", "96", "-o", trace.to_str().unwrap(), "-e"];
        let strace = strace.into_iter().map(str::to_owned).chain([calls]);
        let program = self.start(&strace.chain(options.iter().cloned()).collect::<Vec<_>>());
        let said: Vec<_> = std::iter::from_fn(|| program.next()).inspect(&mut listen).collect();
        self.hear(&said);
        Life { said, calls: parse(&std::fs::read_to_string(trace).unwrap()) }
    }

    /// Runs the program as it is, until it has said so many things or to its end.
    pub(crate) fn live_untraced(&mut self, things: usize) {
        let program = self.start(&[]);
        let mut said: Vec<_> = std::iter::from_fn(|| program.next()).take(things).collect();
        said.extend(program.kill());
        self.hear(&said);
    }

    /// Opens the folder as the program left it.
    pub(crate) fn check(&mut self) -> Result<(), Broken> {
        check_folder(&self.folder, &mut self.ledger)
    }
}

impl Life {
    pub(crate) fn count(&self, what: impl Fn(&Said) -> bool) -> usize {
        self.said.iter().filter(|said| what(said)).count()
    }

    pub(crate) fn ended_well(&self) -> bool {
        self.said.last() == Some(&Said::Closed(None))
    }

    /// The calls that were refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.injected())
    }
}

/// What there was before the program is refused something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Before {
    /// No folder.
    Nothing,
    /// A folder that was closed.
    Closed,
    /// A folder whose process was killed.
    Killed,
}

impl Traced {
    pub(crate) fn after(before: Before, seed: u64) -> Self {
        let mut traced = Self::new(seed, None);
        match before {
            Before::Nothing => {}
            Before::Closed => traced.live_untraced(usize::MAX),
            Before::Killed => traced.live_untraced(60),
        }
        traced
    }
}
