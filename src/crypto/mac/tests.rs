//! The backends make the same tags, however a message is cut.

use super::{MacHash, aws_lc, rust_crypto};

#[test]
fn the_backends_make_the_same_tags_of_every_cut() {
    let message: Vec<u8> = (0..=255).cycle().take(700).collect();
    for hash in [
        MacHash::Sha1,
        MacHash::Sha256,
        MacHash::Sha384,
        MacHash::Sha512,
    ] {
        for length in [0, 1, 20, 63, 64, 65, 127, 128, 129, 300] {
            let secret = vec![7; length];
            let (one, two) = (
                aws_lc::Key::new(hash, &secret),
                rust_crypto::Key::new(hash, &secret),
            );
            for cut in [0, 1, 63, 64, 65, 699, 700] {
                let (mut one, mut two) = (one.begin(), two.begin());
                for piece in [&message[..cut], &message[cut..]] {
                    one.update(piece);
                    two.update(piece);
                }
                let (one, two) = (one.finish(), two.finish());
                assert_eq!(one.expose(), two.expose());
                assert!(one.is(two.expose()) && !one.is(&two.expose()[1..]) && !one.is(&[]));
            }
        }
    }
}
