//! Any document, taken as the `o` of an update: its description is a document of bounded size, or there is
//! none.

use bson::RawDocument;
use gtm_oplog::entry::delta::update_description;

pub fn run(bytes: &[u8]) {
    let Ok(object) = RawDocument::from_bytes(bytes) else { return };
    let Ok(description) = update_description(object) else { return };
    for section in description.iter_elements() {
        section.expect("what was written can be read");
    }
    assert!(description.as_bytes().len() <= (16 << 20) + 4 * bytes.len() + 100, "it grows without bound");
}
