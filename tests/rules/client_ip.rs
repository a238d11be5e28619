//! Rules: client_ip.
