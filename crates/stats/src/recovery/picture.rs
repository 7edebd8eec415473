//! A timeline as one line of cells.

use super::bounds::ComponentRecovery;
use super::rule::WindowState;
use slatest_core::model::Nanos;

/// The states as letters: `g`ood, `b`ad, `u`nknown.
pub(super) fn letters(states: impl Iterator<Item = WindowState>) -> String {
    let letter = |state| match state {
        WindowState::Good => 'g',
        WindowState::Bad => 'b',
        WindowState::Unknown => 'u',
    };
    states.map(letter).collect()
}

/// Something to mark above a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its letter: `F` fault, `D` detected, `H` healed, `R` restored.
    pub letter: char,
    /// When, on the run's clock.
    pub at: Nanos,
}

/// Two lines: the marks, and a cell for each window (`▁` good, `█` bad, `·` unknown), at most `columns` wide. Where
/// there are more windows than columns, a cell stands for several, and shows the worst of them: bad before
/// unknown before good. Of two marks on one cell the first in the list is shown there, and the other in the next free
/// cell. The second value is how many windows a cell stands for.
pub fn picture(component: &ComponentRecovery, marks: &[Mark], columns: usize) -> (String, String, usize) {
    let states = component.timeline.as_bytes();
    let each = states.len().div_ceil(columns.max(1)).max(1);
    let cell = |states: &[u8]| {
        if states.contains(&b'b') {
            '█'
        } else if states.contains(&b'u') {
            '·'
        } else {
            '▁'
        }
    };
    let cells: String = states.chunks(each).map(cell).collect();
    let width = states.len().div_ceil(each);
    let mut above = vec![' '; width];
    for mark in marks {
        let Some(offset) = mark.at.0.checked_sub(component.timeline_from.0) else { continue };
        let at = usize::try_from(offset / component.window.0.max(1)).unwrap_or(usize::MAX) / each;
        if let Some(free) = above.iter_mut().skip(at).find(|known| **known == ' ') {
            *free = mark.letter;
        }
    }
    let above: String = above.into_iter().collect();
    (above.trim_end().to_owned(), cells, each)
}
