use std::ops::Range;

/// So many neighbouring runs of a tier become one of the next.
pub(crate) const FANOUT: usize = 8;

/// The tier of a run of so many segments: 0 below [`FANOUT`], 1 below its square, and so on.
fn tier(segments: usize) -> u32 {
    segments.max(1).ilog(FANOUT)
}

/// Which neighbouring runs to merge next, given the segments of each; `None` while there are few
/// enough: at most seven of a tier in a row.
pub(crate) fn due(segments: &[usize]) -> Option<Range<usize>> {
    let mut start = 0;
    for (at, run) in segments.iter().enumerate() {
        if tier(*run) != tier(segments[start]) {
            start = at;
        }
        if at + 1 - start == FANOUT {
            return Some(start..at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs after so many segments were sealed and everything due was merged.
    fn after(sealed: usize) -> (Vec<usize>, usize) {
        let (mut runs, mut written) = (Vec::new(), 0);
        for one in std::iter::repeat_n(1, sealed) {
            runs.push(one);
            written += one;
            while let Some(range) = due(&runs) {
                let merged: usize = runs[range.clone()].iter().sum();
                written += merged;
                runs.splice(range, [merged]);
            }
        }
        (runs, written)
    }

    #[test]
    fn runs_stay_few_and_are_rewritten_seldom() {
        assert_eq!(after(7).0, [1; 7]);
        assert_eq!(after(8).0, [8]);
        assert_eq!(after(75).0, [64, 8, 1, 1, 1]);
        for sealed in [500, 511, 512, 4_095] {
            let (runs, written) = after(sealed);
            assert_eq!(runs.iter().sum::<usize>(), sealed);
            assert!(runs.len() <= 28, "{runs:?}");
            assert!(written <= sealed * 5, "{written}");
        }
    }

    #[test]
    fn what_was_made_again_between_larger_runs_is_merged() {
        let mut runs = vec![64; 2];
        runs.extend([1; 20]);
        runs.extend([64, 8, 8]);
        assert_eq!(due(&runs), Some(2..10));
        runs.splice(2..10, [8]);
        assert_eq!(due(&runs), Some(3..11));
    }
}
