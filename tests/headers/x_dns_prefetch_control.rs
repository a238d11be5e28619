use portcullis::headers::XDnsPrefetchControl;

use crate::support::{empty, field};

#[test]
fn it_is_off_or_on() {
    for (value, text) in [
        (XDnsPrefetchControl::Off, "off"),
        (XDnsPrefetchControl::On, "on"),
    ] {
        let layer = empty().x_dns_prefetch_control(value);
        assert_eq!(field(layer, "x-dns-prefetch-control"), text);
    }
}
