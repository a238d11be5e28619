//! [`Port`]: one that no other server of the tests has.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    ops::Range,
};

/// Below those that systems hand out by themselves: no connection comes from one of them, and no listener on
/// port 0 gets it.
const RANGE: Range<u16> = 20_000..32_000;

/// A TCP port of the loopback interface, taken as long as this lives: test binaries that run at the same time,
/// and servers that are down for a while, do not get in each other's way.
pub(crate) struct Port {
    /// Has the same number, which the system gives to one socket alone, whichever process asks.
    sign: UdpSocket,
}

impl Port {
    pub(crate) fn take() -> Self {
        let chance = || RandomState::new().hash_one(()) % u64::from(RANGE.end - RANGE.start);
        for _ in 0..1_000 {
            let number = RANGE.start + u16::try_from(chance()).expect("within the range");
            let Ok(sign) = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)) else {
                continue;
            };
            // Somebody else than these tests may listen there.
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { sign };
            }
        }
        panic!("none of {RANGE:?} is free");
    }

    pub(crate) fn number(&self) -> u16 {
        self.sign.local_addr().expect("it is bound").port()
    }
}
