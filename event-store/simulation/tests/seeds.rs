//! Simulated disasters in the usual tests: few seeds. The command `cargo simulate` runs millions.

use daybook_event_store_simulation::{Coverage, run};

#[test]
fn every_invariant_holds() {
    let mut coverage = Coverage::default();
    for seed in 1_000_000..1_000_400 {
        let outcome = run(seed, false);
        assert_eq!(outcome.violation, None, "cargo simulate --seed {seed} --trace");
        coverage += &outcome.recording.coverage;
    }
    assert_eq!(coverage.missing(), [""; 0], "the schedule reaches everything");
}

#[test]
fn a_seed_does_the_same_every_time() {
    let digest = |seed| run(seed, false).recording.digest;
    let digests: Vec<_> = (0..50).map(digest).collect();

    assert_eq!((0..50).map(digest).collect::<Vec<_>>(), digests);
    let others = std::thread::spawn(move || (0..50).map(digest).collect::<Vec<_>>());
    assert_eq!(others.join().expect("a run does not panic"), digests, "on another thread");
    assert!(digests.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_trace_tells_the_steps_and_does_not_change_them() {
    let (quiet, traced) = (run(7, false), run(7, true));

    assert_eq!(quiet.recording.digest, traced.recording.digest);
    let trace = traced.recording.trace.unwrap_or_default();
    assert!(trace.contains("open, attempt 0") && trace.contains("power failure"), "{trace}");
}
