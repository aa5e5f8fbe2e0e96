//! Which addresses a fetch may reach. Judged after name resolution, on the very addresses that are then
//! connected to, so that a name that changes its answer (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is to a fetch that an administrator configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Public,
    Loopback,
    Private,
    /// Link-local, metadata services, multicast, documentation and reserved: never.
    Never,
}

pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        // The virtual services of Azure, Alibaba and Oracle outside of link-local.
        [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, _] => Reach::Never,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Reach::Never,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] | [192, 88, 99, _] => Reach::Never,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| reach_v4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g == 0 && h == 1 => Reach::Loopback,
        // Mapped, translated (RFC 6052) and 6to4 addresses are what they embed.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => embedded(g, h),
        [0x2002, ..] => embedded(b, c),
        // The metadata service of AWS, inside the private range.
        [0xfd00, 0x0ec2, ..] => Reach::Never,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_classified() {
        for (text, expected) in [
            ("93.184.215.14", Reach::Public),
            ("2606:4700::1111", Reach::Public),
            ("127.0.0.1", Reach::Loopback),
            ("127.9.9.9", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.1.2.3", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("192.168.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("fd12:3456::1", Reach::Private),
            ("::ffff:10.0.0.1", Reach::Private),
            ("64:ff9b::10.0.0.1", Reach::Private),
            ("2002:0a00:0001::1", Reach::Private),
            ("169.254.169.254", Reach::Never),
            ("::ffff:169.254.169.254", Reach::Never),
            ("64:ff9b::a9fe:a9fe", Reach::Never),
            ("2002:a9fe:a9fe::", Reach::Never),
            ("fd00:ec2::254", Reach::Never),
            ("168.63.129.16", Reach::Never),
            ("100.100.100.200", Reach::Never),
            ("192.0.0.192", Reach::Never),
            ("0.0.0.0", Reach::Never),
            ("255.255.255.255", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("fe80::1", Reach::Never),
            ("fec0::1", Reach::Never),
            ("ff02::1", Reach::Never),
            ("::", Reach::Never),
            ("::7f00:1", Reach::Never),
            ("2001:db8::1", Reach::Never),
            ("2001::1", Reach::Never),
            ("203.0.113.9", Reach::Never),
        ] {
            assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
        }
    }
}
