//! What the examples print so that they can be tried: a token and the curl lines.

use std::{env, error::Error, net::SocketAddr, time::SystemTime};

use jsonwebtoken::{EncodingKey, Header};

pub(crate) const ISSUER: &str = "https://login.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// Where to listen: port 3000, or the one that the environment variable `PORT` names.
pub(crate) fn address() -> Result<SocketAddr, Box<dyn Error>> {
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Prints the lines to try the door at `address` with, and what each is answered.
pub(crate) fn print(address: SocketAddr, secret: &str) -> Result<(), Box<dyn Error>> {
    let token = token(secret)?;
    println!("200: curl -i -H 'Authorization: Bearer {token}' http://{address}/me");
    println!("401: curl -i http://{address}/me");
    println!(
        "429: for i in $(seq 70); do curl -s -o /dev/null -w '%{{http_code}} ' http://{address}/me; done"
    );
    Ok(())
}

/// A token as an identity provider would issue it, good for an hour.
fn token(secret: &str) -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    let claims = serde_json::json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "user-7", "exp": now + 3600,
    });
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &key)?)
}
