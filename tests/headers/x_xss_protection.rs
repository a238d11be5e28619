use portcullis::headers::XXssProtection;

use crate::support::{empty, field};

#[test]
fn the_filter_is_switched_off() {
    let layer = empty().x_xss_protection(XXssProtection::Off);
    assert_eq!(field(layer, "x-xss-protection"), "0");
}
