//! Who sent it: the HMAC (SHA-256) of the time and the body, by a secret that both know. The time is in it so that what was
//! sent once cannot be sent again by others.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `t=SECONDS,v1=HEXADECIMAL`
pub(crate) fn of(secret: &str, seconds: u64, body: &str) -> String {
    // It takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_hmac_of_time_and_body() {
        // By openssl: printf '7.{}' | openssl dgst -sha256 -hmac key
        let signature = super::of("key", 7, "{}");
        assert_eq!(signature, "t=7,v1=77bc83bd1f40422311e47918b203449aecf84b02c1568bb1b570ac2a474cc2d8");
    }
}
