//! How wide each column of a table is. Pure: widths in, widths out.

/// What a column would take, in terminal columns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    /// Its title.
    pub(super) title: usize,
    /// Its widest cell so far.
    pub(super) cells: usize,
    /// Whether cut cells would say nothing, or something false: numbers, times.
    pub(super) rigid: bool,
}

impl Wish {
    /// All that it would take.
    pub(super) fn natural(self) -> usize {
        self.title.max(self.cells).max(1)
    }

    /// The least that it can do with, if the others are cut at `least`.
    fn floor(self, least: usize) -> usize {
        let floor = self.natural().min(least);
        if self.rigid {
            floor.max(self.cells)
        } else {
            floor
        }
    }
}

/// The blanks between two columns.
pub(super) const GAP: usize = 2;

/// The widths with which the columns fit a terminal: each as wide as it would like to be, or else
/// the widest ones cut to a common width. `None` where they would be cut to stubs: then a row
/// reads better as a list.
pub(super) fn widths(wishes: &[Wish], terminal: usize) -> Option<Vec<usize>> {
    // On a wide terminal a stub is longer, as there is no need for one.
    let least = (terminal / 10).clamp(6, 12);
    let gaps = GAP * wishes.len().saturating_sub(1);
    let room = terminal.checked_sub(gaps)?;
    let capped = |cap: usize| -> Vec<usize> {
        let width = |wish: &Wish| wish.natural().min(cap).max(wish.floor(least));
        wishes.iter().map(width).collect()
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
    for (width, wish) in best.iter_mut().zip(wishes) {
        if spare > 0 && *width < wish.natural() {
            *width += 1;
            spare -= 1;
        }
    }
    Some(best)
}

/// Gives columns of text some of the room that is left, for rows that are still to come: up to
/// half as wide again.
pub(super) fn widen(widths: &mut [usize], wishes: &[Wish], terminal: usize) {
    let used = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let soft = wishes.iter().filter(|wish| !wish.rigid).count();
    let Some(share) = terminal.saturating_sub(used).checked_div(soft) else {
        return;
    };
    for (width, wish) in widths.iter_mut().zip(wishes) {
        if !wish.rigid {
            *width += share.min(*width / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft(cells: usize) -> Wish {
        Wish {
            title: 4,
            cells,
            rigid: false,
        }
    }

    fn rigid(cells: usize) -> Wish {
        Wish {
            title: 4,
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
        let count = Wish {
            title: 40,
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
                let wishes: Vec<Wish> = (0..count).map(|n| soft(n * 7 % 60)).collect();
                if let Some(widths) = widths(&wishes, terminal) {
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
