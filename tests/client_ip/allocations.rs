//! Finding the address is on the way of every request.

use allocation_counter::measure;
use portcullis::client_ip::{ClientIp, ForwardedHeader, RequestScheme};

use crate::support::{PROXY, proxies, request, walk};

#[test]
fn nothing_is_allocated() {
    let trusted = || proxies(&["10.0.0.0/8", "2001:db8::/32"]);
    let forwarded = ClientIp::trusted_ranges(ForwardedHeader::Forwarded, trusted());
    let cases = [
        (ClientIp::peer(), "x-none", String::from("1.1.1.1")),
        (
            ClientIp::header("x-real-ip").unwrap(),
            "x-real-ip",
            String::from("1.1.1.1:80"),
        ),
        (
            walk(),
            "x-forwarded-for",
            format!("{}, 1.1.1.1, 10.0.0.2", "6.6.6.6,".repeat(10_000)),
        ),
        (walk(), "x-forwarded-for", "x".repeat(100_000)),
        (
            forwarded,
            "forwarded",
            String::from(
                r#"for="[2001:db9::1]:80";proto=https;host="a,b", for="[2001:db8::1]";by=_x"#,
            ),
        ),
    ];
    for (client, name, line) in cases {
        let request = request(PROXY, name, &[line]);
        let used = measure(|| {
            let _ = client.resolve((&request).into());
        });
        assert_eq!(used.count_total, 0, "{client:?}");
    }
    let scheme = RequestScheme::forwarded(trusted());
    let request = request(
        PROXY,
        "forwarded",
        &["for=1.1.1.1;proto=\"https\", for=10.0.0.2"],
    );
    let used = measure(|| assert!(scheme.is_https((&request).into())));
    assert_eq!(used.count_total, 0);
}
