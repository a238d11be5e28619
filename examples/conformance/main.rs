//! Answers a corpus of test vectors through the crate's public API: one JSON question a line in, one JSON
//! answer a line out, in the same order. It holds no rule of its own.
//!
//! ```text
//! cargo run --release --all-features --example conformance < questions.jsonl > answers.jsonl
//! ```

mod question;

mod client_ip;
#[cfg(feature = "headers")]
mod headers;
#[cfg(feature = "jwt")]
mod jose;
#[cfg(feature = "rate-limit")]
mod rate_limit;
#[cfg(feature = "webhook")]
mod webhook;

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use crate::question::{Answer, Trouble};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        writeln!(out, "{}", reply(&line))?;
        out.flush()?;
    }
    Ok(())
}

/// The answer to one line, whatever the line is.
fn reply(line: &[u8]) -> Value {
    let question: Value = match serde_json::from_slice(line) {
        Ok(question @ Value::Object(_)) => question,
        Ok(_) => return json!({"error": "not a JSON object"}),
        Err(error) => return json!({"error": error.to_string()}),
    };
    let mut answer = match ask(&question) {
        Ok(answer) => answer,
        Err(Trouble::Unsupported(why)) => json!({"unsupported": why}),
        Err(Trouble::Malformed(why)) => json!({"error": why}),
    };
    if let Some(id) = question.get("id") {
        answer["id"] = id.clone();
    }
    answer
}

fn ask(question: &Value) -> Answer {
    let area = question::text(question, "area")?;
    match area {
        "client_ip" | "ip_key" => client_ip::answer(area, question),
        #[cfg(feature = "headers")]
        "headers" | "csp" => headers::answer(area, question),
        #[cfg(feature = "jwt")]
        "jws" | "jwt" | "jwk" | "jwks" => jose::answer(area, question),
        #[cfg(feature = "rate-limit")]
        "rate_limit" => rate_limit::answer(question),
        #[cfg(feature = "webhook")]
        "webhook" | "webhook_sign" => webhook::answer(area, question),
        other => Err(Trouble::Unsupported(format!("area {other}"))),
    }
}
