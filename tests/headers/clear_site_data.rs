use portcullis::headers::{ClearSiteData, SiteData};

use crate::support::{empty, field};

#[test]
fn kinds_stand_in_quotes() {
    let all = [
        (SiteData::Cache, "\"cache\""),
        (SiteData::Cookies, "\"cookies\""),
        (SiteData::Storage, "\"storage\""),
        (SiteData::ExecutionContexts, "\"executionContexts\""),
        (SiteData::ClientHints, "\"clientHints\""),
        (SiteData::PrefetchCache, "\"prefetchCache\""),
        (SiteData::PrerenderCache, "\"prerenderCache\""),
    ];
    for (kind, text) in all {
        let layer = empty().clear_site_data(ClearSiteData::new([kind]).unwrap());
        assert_eq!(field(layer, "clear-site-data"), text);
    }
    let every = ClearSiteData::new(all.map(|(kind, _)| kind)).unwrap();
    assert_eq!(every.to_string(), all.map(|(_, text)| text).join(", "));
    assert_eq!(
        field(
            empty().clear_site_data(ClearSiteData::all()),
            "clear-site-data"
        ),
        "\"*\""
    );
}

#[test]
fn a_list_names_each_kind_once_and_one_at_least() {
    assert_eq!(ClearSiteData::new([]).unwrap_err().given(), "[]");
    let error = ClearSiteData::new([SiteData::Cache, SiteData::Cache]).unwrap_err();
    assert_eq!(error.given(), "\"cache\"");
    assert_eq!(error.setting(), "Clear-Site-Data");
}
