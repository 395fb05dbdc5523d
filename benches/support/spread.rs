//! A number that was measured several times.

use std::fmt;

/// The middle of what was measured, and between what a half of it lies.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// A quarter lies below.
    pub lower: f64,
    /// The median.
    pub median: f64,
    /// A quarter lies above.
    pub upper: f64,
}

impl Spread {
    /// Of at least one number.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Spread {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (numbers.len().saturating_sub(1)) as f64;
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            let number = |at: usize| numbers.get(at).copied().unwrap_or(f64::NAN);
            number(below) + (number(above) - number(below)) * place.fract()
        };
        Spread { lower: at(0.25), median: at(0.5), upper: at(0.75) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let text = format!("{:.digits$} ({:.digits$}..{:.digits$})", self.median, self.lower, self.upper);
        f.pad_integral(true, "", &text)
    }
}
