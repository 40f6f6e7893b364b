//! Amounts of money for people, exact: in millionths of a dollar.

/// Dollars with two decimal places, or as many more as it takes to be exact.
pub(super) fn usd(micros: u128) -> String {
    let fraction = format!("{:06}", micros % 1_000_000);
    let cents = fraction.trim_end_matches('0');
    format!("{}.{cents:0<2}", grouped(micros / 1_000_000))
}

/// A whole number with commas between thousands.
pub(super) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && place % 3 == first {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact_and_have_at_least_two_decimal_places() {
        for (micros, text) in [
            (0, "0.00"),
            (248_000, "0.248"),
            (960_000, "0.96"),
            (1_234_567_000_000, "1,234,567.00"),
            (1, "0.000001"),
        ] {
            assert_eq!(usd(micros), text);
        }
    }
}
