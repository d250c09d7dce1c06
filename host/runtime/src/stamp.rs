//! The custom section that an SDK writes into a component about it. It is read before linking.

use semver::Version;
use serde::Deserialize;
use wasmparser::{Parser, Payload};

/// The name of the section. Its content is a JSON object.
const SECTION: &str = "gtm:plugin";

/// The content of the section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Stamp {
    /// The version of the contract that the component was built against.
    pub(super) contract: Option<Version>,
    /// The author's version of the component.
    pub(super) version: Option<String>,
}

impl Stamp {
    /// Reads the stamp of the component or of the modules in it. A missing or malformed stamp is empty.
    pub(super) fn read(component: &[u8]) -> Self {
        let sections = Parser::new(0).parse_all(component).map_while(Result::ok);
        let mut stamps = sections.filter_map(|payload| match payload {
            Payload::CustomSection(section) if section.name() == SECTION => {
                serde_json::from_slice(section.data()).ok()
            }
            _ => None,
        });
        stamps.next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a component with one custom section.
    fn component(name: &str, data: &str) -> Vec<u8> {
        let byte = |length: usize| u8::try_from(length).unwrap();
        let mut bytes = b"\0asm\x0d\0\x01\0\0".to_vec();
        bytes.extend([byte(1 + name.len() + data.len()), byte(name.len())]);
        bytes.extend(name.bytes().chain(data.bytes()));
        bytes
    }

    #[test]
    fn a_stamp_is_read_if_there_is_one() {
        let stamp = Stamp::read(&component(SECTION, r#"{"contract":"0.1.0","version":"1.2.3","sdk":"x"}"#));
        assert_eq!(stamp.contract, Some(Version::new(0, 1, 0)));
        assert_eq!(stamp.version.as_deref(), Some("1.2.3"));
        for other in
            [component("producers", "{}"), component(SECTION, "{"), b"\0asm\x0d\0\x01\0\0\xff".to_vec()]
        {
            assert_eq!(Stamp::read(&other), Stamp::default());
        }
    }
}
