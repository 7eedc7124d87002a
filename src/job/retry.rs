//! Owns the backoff between attempts.
//! It must not know what failed or count what is left: it only says how long to wait.

use std::time::Duration;

/// No wait is longer than this, jitter aside.
const DELAY_MAX: Duration = Duration::from_secs(3600);
/// Each wait varies by up to this many per mille to either side, so that failures together do not return together.
const JITTER_PER_MILLE: u64 = 100;

/// How often and how far apart a failed execution is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first. 0 means one attempt only.
    pub retries: u32,
    /// The wait before the first retry; each further one doubles it.
    pub delay: Duration,
}

impl RetryPolicy {
    /// The wait before retry number `retry` (1 is the first): `delay * 2^(retry-1)`, at most an hour, +-10 %.
    /// `noise` is any number that differs from execution to execution; the same one gives the same wait.
    pub fn wait(&self, retry: u32, noise: u64) -> Duration {
        let doublings = retry.saturating_sub(1).min(31);
        let plain = self.delay.saturating_mul(1 << doublings).min(DELAY_MAX);
        let plain_us = u64::try_from(plain.as_micros()).unwrap_or(u64::MAX);
        let per_mille = 1000 - JITTER_PER_MILLE + mix(noise) % (2 * JITTER_PER_MILLE + 1);
        Duration::from_micros(plain_us / 1000 * per_mille + plain_us % 1000 * per_mille / 1000)
    }
}

/// Spreads neighbouring numbers over all of u64 (the finaliser of SplitMix64, Steele et al. 2014).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_stay_within_ten_per_cent_and_end_at_an_hour() {
        let policy = RetryPolicy { retries: 3, delay: Duration::from_secs(1) };
        for (retry, seconds) in [(1, 1), (2, 2), (3, 4), (12, 2048), (13, 3600), (40, 3600), (u32::MAX, 3600)] {
            let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
            for noise in 0..1000 {
                let wait = policy.wait(retry, noise);
                least = least.min(wait);
                most = most.max(wait);
            }
            let plain = Duration::from_secs(seconds);
            assert!(least >= plain * 9 / 10 && least < plain * 92 / 100, "retry {retry}: {least:?}");
            assert!(most <= plain * 11 / 10 && most > plain * 108 / 100, "retry {retry}: {most:?}");
        }
    }

    #[test]
    fn a_zero_delay_stays_zero() {
        assert_eq!(RetryPolicy { retries: 1, delay: Duration::ZERO }.wait(5, 9), Duration::ZERO);
    }
}
