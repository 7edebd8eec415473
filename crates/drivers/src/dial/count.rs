//! How many connections went to which address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most names that are counted, and most addresses of one: who answers look-ups decides how many there are.
const NAMES_MAX: usize = 64;
const ADDRESSES_MAX: usize = 256;
/// Most addresses that are said one by one.
const SAID_MAX: usize = 16;

/// Connections by name and address.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, BTreeMap<IpAddr, u64>>>);

impl Counts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<IpAddr, u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, host: &str, addresses: impl Iterator<Item = IpAddr>, count: u64) {
        let mut names = self.lock();
        if !names.contains_key(host) {
            if names.len() >= NAMES_MAX {
                return;
            }
            names.insert(host.to_owned(), BTreeMap::new());
        }
        let Some(counted) = names.get_mut(host) else { return };
        for address in addresses {
            if counted.len() < ADDRESSES_MAX || counted.contains_key(&address) {
                *counted.entry(address).or_default() += count;
            }
        }
    }

    /// These are addresses of the name, even if no connection goes there.
    pub(super) fn known(&self, host: &str, addresses: &[IpAddr]) {
        let new = self.lock().get(host).is_none_or(|counted| addresses.iter().any(|a| !counted.contains_key(a)));
        if new {
            self.add(host, addresses.iter().copied(), 0);
        }
    }

    /// A connection was made.
    pub(super) fn connected(&self, host: &str, address: IpAddr) {
        self.add(host, std::iter::once(address), 1);
    }

    /// A line for each name that had several addresses.
    pub(super) fn in_words(&self) -> Vec<String> {
        let names = self.lock();
        let several = names.iter().filter(|(_, addresses)| addresses.len() > 1);
        several.map(|(host, addresses)| line(host, addresses)).collect()
    }
}

fn line(host: &str, addresses: &BTreeMap<IpAddr, u64>) -> String {
    let mut most_first: Vec<_> = addresses.iter().collect();
    most_first.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let said: Vec<String> = most_first.iter().take(SAID_MAX).map(|(ip, n)| format!("{n} to {ip}")).collect();
    let more = match most_first.get(SAID_MAX..).unwrap_or_default() {
        [] => String::new(),
        rest => {
            format!(", {} to {} other addresses", rest.iter().map(|(_, count)| **count).sum::<u64>(), rest.len())
        }
    };
    format!("connections of {host}: {}{more}", said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn each_address_of_a_name_is_said_also_one_that_got_nothing() {
        let counts = Counts::default();
        counts.known("api.example", &[address(1), address(2)]);
        counts.known("one.example", &[address(1)]);
        counts.connected("one.example", address(1));
        for _ in 0..3 {
            counts.connected("api.example", address(2));
        }
        assert_eq!(counts.in_words(), ["connections of api.example: 3 to 127.0.0.2, 0 to 127.0.0.1"]);
    }

    #[test]
    fn a_name_with_very_many_addresses_fits_a_line() {
        let counts = Counts::default();
        for last in 0..=u8::MAX {
            counts.connected("api.example", address(last));
            counts.connected("api.example", IpAddr::from([127, 0, 1, last]));
        }
        let [line] = &counts.in_words()[..] else { panic!("one line") };
        assert!(line.ends_with(", 240 to 240 other addresses"), "{line}");
    }
}
