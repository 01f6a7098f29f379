//! A network of IP addresses, as `relay.networks` names it.

/// A network in CIDR form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its address.
    pub address: std::net::IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

impl Network {
    /// Answers whether `ip` is in the network; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, ip: std::net::IpAddr) -> bool {
        use std::net::IpAddr;
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(net) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(net) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, prefix: u8) -> Network {
        Network {
            address: address.parse().unwrap(),
            prefix,
        }
    }

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        for (net, ip, inside) in [
            (network("127.0.0.0", 8), "127.9.9.9", true),
            (network("127.0.0.0", 8), "128.0.0.1", false),
            (network("127.0.0.0", 8), "::ffff:127.0.0.1", true),
            (network("0.0.0.0", 0), "203.0.113.1", true),
            (network("0.0.0.0", 0), "::1", false),
            (network("::1", 128), "::1", true),
            (network("::1", 128), "::2", false),
            (network("2001:db8::", 32), "2001:db8:1::5", true),
        ] {
            assert_eq!(net.contains(ip.parse().unwrap()), inside, "{net:?} {ip}");
        }
    }
}
