//! Values of options, checked at compile time.

use syn::{Error, LitStr};

/// A duration in milliseconds, from a text such as `"500ms"`, `"30s"`, `"10m"`, `"5h"` or `"2d"`.
pub(crate) fn duration_ms(text: &LitStr) -> syn::Result<u64> {
    let value = text.value();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let ms = factor.and_then(|factor: u64| number.parse::<u64>().ok()?.checked_mul(factor));
    ms.filter(|ms| *ms > 0).ok_or_else(|| {
        Error::new(text.span(), "expected a duration such as \"500ms\", \"30s\", \"10m\", \"5h\" or \"2d\"")
    })
}

/// A name that the engine will accept: `longest` bytes of letters, digits and `extra`.
pub(crate) fn name(text: &LitStr, longest: usize, extra: &str) -> syn::Result<String> {
    let value = text.value();
    let fits = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    if value.is_empty() || value.len() > longest || !value.chars().all(fits) || value.contains("..") {
        let message = format!("expected 1 to {longest} letters, digits or any of `{extra}`, and no `..`");
        return Err(Error::new(text.span(), message));
    }
    Ok(value)
}

/// What the names of workflows, activities and signals may contain beside letters and digits.
pub(crate) const NAME_EXTRA: &str = "-_.:@+=~";
/// The longest such name.
pub(crate) const LONGEST_NAME: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<u64> {
        duration_ms(&LitStr::new(text, proc_macro2::Span::call_site())).ok()
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let good = ["500ms", "30s", "10m", "5h", "2d"].map(ms);
        assert_eq!(good, [500, 30_000, 600_000, 18_000_000, 172_800_000].map(Some));
        let bad =
            ["", "5", "h", "5 h", "-5h", "5w", "0s", "1.5h", "99999999999999999999h", "999999999999999999d"];
        assert_eq!(bad.map(ms), [None; 10]);
    }
}
