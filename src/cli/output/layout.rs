//! Computes the width of each column of a table, without I/O.

/// The width that a column asks for, in terminal columns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WidthRequest {
    /// Width of the column's name.
    pub(super) name: usize,
    /// Width of the widest cell so far.
    pub(super) cells: usize,
    /// Whether a cut cell would mislead, as a number or a time would.
    pub(super) rigid: bool,
}

impl WidthRequest {
    /// Returns the width that shows the name and all cells whole.
    pub(super) fn natural(self) -> usize {
        self.name.max(self.cells).max(1)
    }

    /// Returns the smallest acceptable width if other columns are cut at `least`.
    fn floor(self, least: usize) -> usize {
        let floor = self.natural().min(least);
        if self.rigid {
            floor.max(self.cells)
        } else {
            floor
        }
    }
}

/// Blanks between two columns.
pub(super) const GAP: usize = 2;

/// Returns widths that fit the terminal: the natural ones, or else the widest columns cut to a
/// common width. Returns `None` if columns would be cut to stubs; a list reads better then.
pub(super) fn widths(requests: &[WidthRequest], terminal: usize) -> Option<Vec<usize>> {
    // Stubs are longer on a wide terminal, which has room for them.
    let least = (terminal / 10).clamp(6, 12);
    let gaps = GAP * requests.len().saturating_sub(1);
    let room = terminal.checked_sub(gaps)?;
    let capped = |cap: usize| -> Vec<usize> {
        let width = |request: &WidthRequest| request.natural().min(cap).max(request.floor(least));
        requests.iter().map(width).collect()
    };
    let fits = |widths: &[usize]| widths.iter().sum::<usize>() <= room;
    let mut best = capped(least);
    if !fits(&best) {
        return None;
    }
    for cap in least + 1..=terminal {
        let next = capped(cap);
        if !fits(&next) {
            break;
        }
        best = next;
    }
    let mut spare = room - best.iter().sum::<usize>();
    for (width, request) in best.iter_mut().zip(requests) {
        if spare > 0 && *width < request.natural() {
            *width += 1;
            spare -= 1;
        }
    }
    Some(best)
}

/// Widens text columns by up to half, within the spare room, for longer cells in later rows.
pub(super) fn widen(widths: &mut [usize], requests: &[WidthRequest], terminal: usize) {
    let used = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let soft = requests.iter().filter(|request| !request.rigid).count();
    let Some(share) = terminal.saturating_sub(used).checked_div(soft) else {
        return;
    };
    for (width, request) in widths.iter_mut().zip(requests) {
        if !request.rigid {
            *width += share.min(*width / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft(cells: usize) -> WidthRequest {
        WidthRequest {
            name: 4,
            cells,
            rigid: false,
        }
    }

    fn rigid(cells: usize) -> WidthRequest {
        WidthRequest {
            name: 4,
            cells,
            rigid: true,
        }
    }

    #[test]
    fn columns_that_fit_are_as_wide_as_they_like() {
        assert_eq!(widths(&[soft(10), soft(66)], 80), Some(vec![10, 66]));
        assert_eq!(widths(&[], 80), Some(vec![]));
    }

    #[test]
    fn only_the_widest_are_cut_and_to_the_same_width() {
        assert_eq!(
            widths(&[soft(5), soft(100), soft(300)], 80),
            Some(vec![5, 36, 35])
        );
    }

    #[test]
    fn numbers_and_times_are_not_cut() {
        assert_eq!(widths(&[rigid(20), soft(100)], 40), Some(vec![20, 18]));
        assert_eq!(widths(&[rigid(20), soft(100)], 20), None);
    }

    #[test]
    fn a_long_title_over_short_numbers_is_cut() {
        let count = WidthRequest {
            name: 40,
            cells: 3,
            rigid: true,
        };
        assert_eq!(widths(&[count, soft(30)], 40), Some(vec![19, 19]));
    }

    #[test]
    fn stubs_are_refused() {
        assert_eq!(widths(&[soft(50); 9], 80), None);
        assert!(widths(&[soft(50); 8], 80).is_some());
    }

    #[test]
    fn the_sum_never_exceeds_the_terminal() {
        for terminal in [20, 40, 80, 200] {
            for count in 1..30 {
                let requests: Vec<WidthRequest> = (0..count).map(|n| soft(n * 7 % 60)).collect();
                if let Some(widths) = widths(&requests, terminal) {
                    let total = widths.iter().sum::<usize>() + GAP * (count - 1);
                    assert!(
                        total <= terminal,
                        "{count} columns in {terminal}: {widths:?}"
                    );
                }
            }
        }
    }
}
