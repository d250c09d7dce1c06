//! Asks for fewer entries per reply after a reply that is too large for the driver. mongod sends at most 16 MB, but not each server does.

use gtm_mongo::server_error::is_unreadable;
use mongodb::error::Error;

/// The factor by which a number of entries becomes smaller.
const FACTOR: u32 = 8;

/// Returns how many entries to ask for if a reply of up to `entries` failed with this error. None: fewer would fail, too.
pub(crate) fn fewer_entries(entries: u32, error: &Error) -> Option<u32> {
    fewer(entries).filter(|_| is_unreadable(error))
}

/// Returns how many entries to ask for after a reply of up to `entries` was too large. None: one entry was.
fn fewer(entries: u32) -> Option<u32> {
    (entries > 1).then(|| (entries / FACTOR).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_entries_are_asked_for_until_it_is_one() {
        let asked: Vec<_> = std::iter::successors(Some(1000), |entries| fewer(*entries)).collect();
        assert_eq!(asked, [1000, 125, 15, 1]);
    }

    #[test]
    fn as_many_entries_are_asked_for_after_another_error() {
        let lost: Error = std::io::Error::from(std::io::ErrorKind::ConnectionReset).into();
        assert_eq!(fewer_entries(1000, &lost), None);
    }
}
