//! The real process under `strace`: what it syncs before it acknowledges, and what it does when
//! the system refuses one of its calls.

use std::collections::BTreeSet;

use crate::ledger::Broken;
use crate::order;
use crate::planted::Fault;
use crate::program::{Said, WRITERS};
use crate::trace::{Call, is_segment};
use crate::traced::{Before, Life, Traced};

fn is_done(said: &Said) -> bool {
    matches!(said, Said::Done(..))
}

#[test]
#[ignore = "needs strace"]
fn every_acknowledgement_follows_a_sync() {
    let mut traced = Traced::new(1, None);

    for _ in 0..3 {
        let life = traced.live(&[], None);
        assert_eq!(order::broken(&life.calls), [""; 0]);
        let traced = life.calls.iter().filter(|call| call.said().is_some_and(|s| is_done(&s)));
        assert_eq!(traced.count(), life.count(is_done), "the trace shows them all");
        assert!(life.count(is_done) > 100, "{:?}", life.said);
        assert!(life.calls.iter().filter(|call| call.name == "rename").count() > 3);
    }
    traced.check().unwrap();
}

#[test]
#[ignore = "needs strace"]
fn an_acknowledgement_without_its_sync_is_noticed() {
    for fault in [Fault::NoSync, Fault::LateSync, Fault::LateWrites, Fault::NoFolderSync] {
        let life = Traced::new(1, Some(fault)).live(&[], None);
        assert!(life.ended_well(), "it looks fine to its users");
        let broken = order::broken(&life.calls);
        assert!(broken.iter().any(|broken| broken.contains("before a sync")), "{fault:?}");
    }
}

/// The store stopped where its writer was refused, and acknowledged nothing that was not durable.
fn stopped(life: &Life) -> Result<(), Broken> {
    let mut refused = life.refused().filter(|call| order::is_of_writer(&life.calls, call));
    let refused = refused.next().ok_or("its writer was not refused anything")?;
    let written = |call: &Call| call.begin > refused.end && call.frame().is_some();
    let told = life.said.last().is_some_and(|said| match said {
        Said::Closed(reason) => reason.as_ref().is_some_and(|reason| reason.contains("os error")),
        _ => false,
    });
    let writers = life.count(|said| matches!(said, Said::Stopped(_)));
    let must = [
        ("it wrote on", !life.calls.iter().any(written)),
        ("it did not say why it stopped", told),
        ("it answered appends", writers == WRITERS as usize),
    ];
    must.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(what, _)| Err((*what).to_owned()))?;
    order::broken(&life.calls).into_iter().next().map_or(Ok(()), Err)
}

/// What the program does when one of its calls is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    RefusedToOpen,
    Stopped,
    WentOn,
}

fn outcome(life: &Life) -> Result<Outcome, Broken> {
    if let Some(Said::NotOpened(why)) = life.said.last() {
        // The system refused: nobody may be told that the store is damaged.
        return if why.starts_with("Io {") { Ok(Outcome::RefusedToOpen) } else { Err(why.clone()) };
    }
    if life.refused().any(|call| order::is_of_writer(&life.calls, call)) {
        return stopped(life).map(|()| Outcome::Stopped);
    }
    if life.ended_well() {
        return Ok(Outcome::WentOn);
    }
    Err(format!("{:?}", life.said.last()))
}

/// Refuses the n-th of some calls in each thread, for every n. The store must stop where its
/// writer is refused, say so where opening is, and go on elsewhere; nothing is lost. Which of
/// these came about.
fn refuse_each(call: &str, error: &str, most: u32) -> BTreeSet<Outcome> {
    let mut outcomes = Vec::new();
    for n in 1..=most {
        let injection = format!("{call}:error={error}:when={n}");
        for before in [Before::Nothing, Before::Closed, Before::Killed] {
            let case = format!("{before:?}, then {injection}");
            let mut traced = Traced::after(before, n.into());
            let life = traced.live(&[&injection], None);
            assert!(life.refused().count() > 0, "{case}: nothing was refused");
            let outcome = outcome(&life);
            outcomes.push(outcome.unwrap_or_else(|broken| panic!("{case}: {broken}")));
            traced.check().unwrap_or_else(|broken| panic!("{case}: {broken}"));
            traced.live_untraced(usize::MAX);
            traced.check().unwrap_or_else(|broken| panic!("{case}, and on: {broken}"));
        }
    }
    outcomes.into_iter().collect()
}

#[test]
#[ignore = "needs strace"]
fn a_failed_sync_stops_the_store() {
    let outcomes = refuse_each("fdatasync", "EIO", 8);
    assert!(outcomes.contains(&Outcome::RefusedToOpen) && outcomes.contains(&Outcome::Stopped));
}

#[test]
#[ignore = "needs strace"]
fn a_failed_write_stops_the_store() {
    let outcomes = refuse_each("pwrite64", "EIO", 8);
    assert!(outcomes.contains(&Outcome::RefusedToOpen) && outcomes.contains(&Outcome::Stopped));
}

#[test]
#[ignore = "needs strace"]
fn a_failed_sync_of_the_folder_stops_the_store() {
    let outcomes = refuse_each("fsync", "EIO", 3);
    assert!(outcomes.contains(&Outcome::RefusedToOpen) && outcomes.contains(&Outcome::Stopped));
}

#[test]
#[ignore = "needs strace"]
fn a_store_that_hides_a_refusal_is_noticed() {
    for (fault, injection) in [
        (Fault::SyncErrorsIgnored, "fdatasync:error=EIO:when=9"),
        (Fault::WriteErrorsIgnored, "pwrite64:error=EIO:when=9"),
    ] {
        let life = Traced::new(1, Some(fault)).live(&[injection], None);
        assert_eq!(outcome(&life), Err("it wrote on".into()), "{fault:?}");
    }
}

/// The store refuses appends while the disk is full, and goes on afterwards without a restart.
/// Returns how many it refused.
#[track_caller]
fn heals(before: &[Before], injections: &[&str]) -> usize {
    let mut total = 0;
    for before in before {
        let mut traced = Traced::after(*before, 7);
        // Many segments begin.
        traced.segment_bytes = 8 << 10;
        let life = traced.live(injections, None);
        assert!(life.ended_well(), "{injections:?}: {:?}", life.said.last());
        let refused = life.count(|said| matches!(said, Said::Unavailable(_)));
        // Without zeros ahead of the log, and without an index, nobody needs to be refused.
        let frame = life.refused().any(|call| is_segment(&call.file()) && !call.prepares());
        assert!(refused > 0 || !frame, "{injections:?}: {:?}", life.said);
        assert!(life.refused().next().is_some(), "{injections:?}");
        total += refused;
        assert_eq!(order::broken(&life.calls), [""; 0], "{injections:?}");
        traced.check().unwrap_or_else(|broken| panic!("{before:?}, {injections:?}: {broken}"));
    }
    total
}

#[test]
#[ignore = "needs strace"]
fn a_full_disk_refuses_and_heals() {
    for error in ["ENOSPC", "EDQUOT", "EFBIG"] {
        let refused = ["9", "9..16", "20..60"].map(|when| {
            let injection = format!("pwrite64:error={error}:when={when}");
            heals(&[Before::Closed, Before::Killed], &[&injection])
        });
        assert!(refused[1] > 0 && refused[2] > 0, "{error}: {refused:?}");
    }
}

#[test]
#[ignore = "needs strace"]
fn a_disk_that_is_full_when_a_segment_begins_refuses_and_heals() {
    // Opening calls it fewer times, beginning a segment twice.
    for when in ["30", "31", "32", "33"] {
        assert!(heals(&[Before::Nothing], &[&format!("openat:error=ENOSPC:when={when}")]) > 0);
    }
}

#[test]
#[ignore = "needs strace"]
fn a_write_that_cannot_be_taken_back_stops_the_store() {
    let mut lives = (9..20).map(|n| {
        let mut traced = Traced::after(Before::Closed, 3);
        traced.segment_bytes = 1 << 20;
        let write = format!("pwrite64:error=ENOSPC:when={n}");
        let life = traced.live(&[&write, "ftruncate:error=EIO:when=1"], None);
        (traced, life)
    });
    // What is refused must be a frame: there need not be zeros ahead of one.
    let refuses_frame =
        |life: &Life| life.refused().any(|call| call.name == "pwrite64" && !call.prepares());

    let (mut traced, life) = lives.find(|(_, life)| refuses_frame(life)).unwrap();

    assert_eq!(outcome(&life), Ok(Outcome::Stopped));
    traced.check().unwrap();
}

#[test]
#[ignore = "needs strace"]
fn an_interrupted_write_is_repeated() {
    let mut traced = Traced::after(Before::Closed, 4);

    let life = traced.live(&["pwrite64:error=EINTR:when=2+3"], None);

    assert!(life.ended_well() && life.refused().count() > 9, "{:?}", life.said.last());
    assert_eq!(order::broken(&life.calls), [""; 0]);
    traced.check().unwrap();
}

/// What is done in the background can be done again: an index is not needed to be durable.
#[test]
#[ignore = "needs strace"]
fn a_refusal_while_sealing_stops_nothing() {
    let index = "00000000000000000000.idx.tmp";
    for (call, error) in [
        ("openat", "EMFILE"),
        ("pwrite64", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("fdatasync", "EIO"),
        ("rename", "EIO"),
    ] {
        let mut traced = Traced::new(5, None);
        let life = traced.live(&[&format!("{call}:error={error}:when=1")], Some(index));
        assert!(life.refused().count() > 0, "{call} {error}: nothing was refused");
        assert!(life.ended_well(), "{call} {error}: {:?}", life.said.last());
        traced.check().unwrap_or_else(|broken| panic!("{call} {error}: {broken}"));
    }
}
