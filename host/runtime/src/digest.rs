//! The digest of a component, which pins a plugin to one version.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The text between a path and a digest, as in references to container images.
const MARK: &str = "@sha256:";
/// The number of hexadecimal digits.
const DIGITS: usize = 64;

/// The SHA-256 of a component.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ComponentDigest(String);

/// The text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a SHA-256: 64 hexadecimal digits")]
pub struct InvalidDigest;

impl ComponentDigest {
    /// Returns the digest of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// Returns the hexadecimal digits, in lowercase.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Splits `PATH@sha256:DIGEST` into both, and leaves any other path unchanged. The text after the last `@sha256:` is a digest unless it
    /// has a slash: then it is part of the path.
    ///
    /// # Errors
    /// The text after `@sha256:` is not a digest.
    pub fn split(path: &str) -> Result<(&str, Option<Self>), InvalidDigest> {
        match path.rsplit_once(MARK) {
            Some((path, digest)) if !digest.contains('/') => Ok((path, Some(digest.parse()?))),
            _ => Ok((path, None)),
        }
    }
}

impl FromStr for ComponentDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let is_digest = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digest { Ok(Self(text.to_ascii_lowercase())) } else { Err(InvalidDigest) }
    }
}

impl TryFrom<String> for ComponentDigest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_split_from_its_path() {
        let digest = "Ab".repeat(32);
        let same: ComponentDigest = "ab".repeat(32).parse().unwrap();
        let split = |path: &str| ComponentDigest::split(path).map(|(path, digest)| (path.to_owned(), digest));
        assert_eq!(
            split(&format!("a/x.wasm@sha256:{digest}")),
            Ok(("a/x.wasm".to_owned(), Some(same.clone())))
        );
        assert_eq!(split("a/x@sha256.wasm"), Ok(("a/x@sha256.wasm".to_owned(), None)));
        assert_eq!(split("a@sha256:b/x.wasm"), Ok(("a@sha256:b/x.wasm".to_owned(), None)));
        // A file with this name: its own digest follows the name.
        let odd = format!("x@sha256:{digest}");
        assert_eq!(split(&format!("{odd}@sha256:{digest}")), Ok((odd, Some(same))));
        for short in ["x.wasm@sha256:", "x.wasm@sha256:ab", &format!("x@sha256:{}", "g".repeat(64))] {
            assert_eq!(split(short), Err(InvalidDigest), "{short}");
        }
    }
}
