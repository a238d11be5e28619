use portcullis::headers::XContentTypeOptions;

use crate::support::{empty, field};

#[test]
fn it_is_nosniff() {
    let layer = empty().x_content_type_options(XContentTypeOptions::NoSniff);
    assert_eq!(field(layer, "x-content-type-options"), "nosniff");
}
