use portcullis::headers::XDownloadOptions;

use crate::support::{empty, field};

#[test]
fn it_is_noopen() {
    let layer = empty().x_download_options(XDownloadOptions::NoOpen);
    assert_eq!(field(layer, "x-download-options"), "noopen");
}
