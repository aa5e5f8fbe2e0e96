//! How much, how many and how long: every limit of the network floor, with its default. The configuration file embeds it.

use std::time::Duration;

use serde::Deserialize;

use crate::auth::throttle::ThrottleLimits;
use crate::gate::request::MAX_BATCH_BODY;

/// Durations are seconds, or text such as `"1h30m"` and `"250ms"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at the same time; the next ones wait in the kernel's queue. 4096
    pub max_connections: u32,
    /// Connections of one address (IPv6: of one /64); the next ones are closed. No cap unless given.
    pub max_connections_per_address: Option<u32>,
    /// From the TCP connection to the end of the TLS handshake. 5 s
    #[serde(with = "span")]
    pub handshake_timeout: Duration,
    /// From the first byte of a request's head to its last; also how long a new connection may stay without a request. 10 s
    #[serde(with = "span")]
    pub header_timeout: Duration,
    /// For the whole of a request's body. 60 s
    #[serde(with = "span")]
    pub body_timeout: Duration,
    /// How long a body may be slower than `body_min_rate`, and how long it waits for `body_budget`. 10 s
    #[serde(with = "span")]
    pub body_grace: Duration,
    /// Bytes per second, averaged over the body. 1024
    pub body_min_rate: u32,
    /// Bytes that all bodies being read or answered may hold together. 256 MiB
    pub body_budget: usize,
    /// How long the client may refuse to read a single byte. 30 s
    #[serde(with = "span")]
    pub write_timeout: Duration,
    /// How long the client may take to read one answer; it is cut between one and two times this. 120 s
    #[serde(with = "span")]
    pub answer_timeout: Duration,
    /// Between two requests on a connection. 75 s
    #[serde(with = "span")]
    pub idle_timeout: Duration,
    /// For requests in flight when the server stops. 10 s
    #[serde(with = "span")]
    pub drain_timeout: Duration,
    /// Bytes of a request's head, in HTTP/1.1 with its first line. 16 KiB; a Kerberos ticket with many groups may need more
    pub max_header_bytes: u32,
    /// Header fields of a request. 64
    pub max_headers: usize,
    /// Requests at the same time on one HTTP/2 connection. 128
    pub max_streams: u32,
    /// How often an HTTP/2 client is asked whether it lives. 30 s
    #[serde(with = "span")]
    pub ping_interval: Duration,
    /// How long it may take to say so. 20 s
    #[serde(with = "span")]
    pub ping_timeout: Duration,
    /// HTTP/2 streams that the client opened and reset before they were looked at (CVE-2023-44487). 20
    pub max_pending_resets: usize,
    /// Refusals of callers without credential, or with one that proves nothing, that one address (IPv6: one /64) gets entries of their own
    /// for; the next ones get a 429 and share an entry a minute. 5,000
    pub stranger_burst: u32,
    /// How long until one of them is forgiven. 500 ms
    #[serde(with = "span")]
    pub stranger_interval: Duration,
    /// HTTP/2 streams that had to be reset because of the client's errors (RUSTSEC-2024-0003). 128
    pub max_error_resets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_address: None,
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            body_grace: Duration::from_secs(10),
            body_min_rate: 1024,
            body_budget: 256 * 1024 * 1024,
            write_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(10),
            max_header_bytes: 16 * 1024,
            max_headers: 64,
            max_streams: 128,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            max_pending_resets: 20,
            max_error_resets: 128,
            stranger_burst: 5000,
            stranger_interval: Duration::from_millis(500),
        }
    }
}

impl Limits {
    /// Says what cannot work, before anything listens.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.max_connections == 0 || self.max_connections_per_address == Some(0) {
            return Err("`max_connections` and `max_connections_per_address` must be at least 1");
        }
        if self.body_budget < MAX_BATCH_BODY {
            return Err("`body_budget` must hold at least one batch: 33554432 bytes");
        }
        if self.body_min_rate == 0 || self.max_streams == 0 || self.max_headers < 16 || self.max_header_bytes < 4096 {
            return Err("`body_min_rate` and `max_streams` must be at least 1, `max_headers` 16, `max_header_bytes` 4096");
        }
        if self.stranger_burst == 0 || self.stranger_interval < Duration::from_millis(1) {
            return Err("`stranger_burst` must be at least 1 and `stranger_interval` 1 ms");
        }
        let timeouts = [
            self.handshake_timeout,
            self.header_timeout,
            self.body_timeout,
            self.body_grace,
            self.write_timeout,
            self.answer_timeout,
            self.idle_timeout,
            self.ping_interval,
            self.ping_timeout,
        ];
        if timeouts.iter().any(Duration::is_zero) {
            return Err("every timeout but `drain_timeout` must be longer than zero");
        }
        Ok(())
    }

    /// How much strangers may be refused before they share an entry. Their addresses are remembered in a few megabytes at most.
    #[must_use]
    pub fn strangers(&self) -> ThrottleLimits {
        let refill_ms = u32::try_from(self.stranger_interval.as_millis()).unwrap_or(u32::MAX);
        ThrottleLimits { burst: self.stranger_burst, refill_ms, addresses: 20_000 }
    }

    /// How often a connection is looked at: a timeout is noticed at most this much too late.
    #[must_use]
    pub fn tick(&self) -> Duration {
        let shortest = self.header_timeout.min(self.write_timeout).min(self.answer_timeout).min(self.idle_timeout);
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(2))
    }
}

/// Durations in the configuration file.
pub mod span {
    use std::fmt;
    use std::time::Duration;

    use serde::Deserializer;
    use serde::de::{Error, Visitor};

    use crate::model::text::parse_duration;

    struct Reading;

    impl Visitor<'_> for Reading {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("seconds, or a duration such as \"1h30m\"")
        }

        fn visit_u64<E: Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: Error>(self, seconds: i64) -> Result<Duration, E> {
            u64::try_from(seconds).map(Duration::from_secs).map_err(|_| E::custom("a duration is not negative"))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            parse_duration(text).ok_or_else(|| E::custom("a duration is seconds, or text such as \"1h30m\""))
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_any(Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_defaults_and_they_work() {
        let limits: Limits = toml::from_str("").expect("defaults");
        assert_eq!(limits.max_connections, 4096);
        assert_eq!(limits.check(), Ok(()));
    }

    #[test]
    fn reads_durations_and_refuses_unknown_names() {
        let limits: Limits = toml::from_str("idle_timeout = \"2m\"\nheader_timeout = 3\nmax_connections_per_address = 8").expect("limits");
        assert_eq!(limits.idle_timeout, Duration::from_secs(120));
        assert_eq!(limits.header_timeout, Duration::from_secs(3));
        assert_eq!(limits.max_connections_per_address, Some(8));
        for wrong in ["idle_timeuot = 1", "idle_timeout = -1", "idle_timeout = \"soon\"", "idle_timeout = 1.5"] {
            assert!(toml::from_str::<Limits>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let with = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            limits.check()
        };
        assert!(with(|l| l.max_connections = 0).is_err());
        assert!(with(|l| l.body_budget = 1024).is_err());
        assert!(with(|l| l.idle_timeout = Duration::ZERO).is_err());
        assert!(with(|l| l.drain_timeout = Duration::ZERO).is_ok());
    }
}
