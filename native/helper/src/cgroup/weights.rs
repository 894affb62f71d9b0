//! Docker's units of version 1 in those of version 2.

/// CPU shares (2 to 262144, default 1024) as `cpu.weight` (1 to 10000, default 100).
///
/// The curve of the OCI runtimes: quadratic in the logarithm, through the least, the default and the greatest value.
pub(crate) fn cpu_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        3..=262_143 => {
            // At most 262143, which every f64 holds exactly; the result lies within 1 to 10000.
            let log = f64::from(u32::try_from(shares).unwrap_or(u32::MAX)).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let weight = 10_f64.powf(exponent).ceil() as u64;
            weight.clamp(1, 10_000)
        }
        _ => 10_000,
    }
}

/// A block I/O weight (10 to 1000) as `io.weight` (1 to 10000).
pub(crate) fn io_weight(weight: u64) -> u64 {
    1 + weight.clamp(10, 1000).saturating_sub(10) * 9999 / 990
}

/// What of a limit of memory and swap together is left for swap.
pub(crate) fn swap_alone(memory: u64, memory_and_swap: u64) -> u64 {
    memory_and_swap.saturating_sub(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_weight_keeps_the_ends_and_the_default() {
        let table = [(2, 1), (3, 1), (512, 59), (1024, 100), (2048, 170), (262_144, 10_000)];
        for (shares, weight) in table {
            let got = cpu_weight(shares);
            assert!(got.abs_diff(weight) <= weight / 50 + 1, "{shares} gives {got}, not about {weight}");
        }
        assert_eq!([cpu_weight(2), cpu_weight(1024), cpu_weight(262_144)], [1, 100, 10_000]);
        assert!((2..=262_144).step_by(97).map(cpu_weight).is_sorted());
    }

    #[test]
    fn io_weight_keeps_the_ends() {
        assert_eq!([io_weight(10), io_weight(100), io_weight(1000)], [1, 910, 10_000]);
    }

    #[test]
    fn swap_alone_is_the_difference() {
        assert_eq!([swap_alone(100, 100), swap_alone(100, 150), swap_alone(100, 50)], [0, 50, 0]);
    }
}
