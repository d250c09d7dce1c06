//! The version of the contract that a component was built against. It is read from the stamp of the SDK and from the names of the
//! imports before linking, so that a mismatch is one sentence instead of a linker error.

use semver::Version;

use super::abi;

/// The contract that this host supports: the version of the package in `wit/`.
pub(super) const CONTRACT: Version = abi::v0_1::VERSION;

const PACKAGE: &str = "gtm:plugin/";

/// How a component's contract compares to the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ContractFit {
    /// They are compatible.
    Same,
    /// The component's is newer: it may need something that this host does not have.
    Newer(Version),
    /// The component's is older, and this host no longer supports it.
    Older(Version),
}

/// Returns the version of the contract that an import names. None: the import belongs to another package.
pub(super) fn version(import: &str) -> Option<Version> {
    let (_, version) = import.strip_prefix(PACKAGE)?.split_once('@')?;
    Version::parse(version).ok()
}

/// Compares the contract that a component was built against with the host's.
pub(super) fn fit(version: Version) -> ContractFit {
    if version > CONTRACT {
        return ContractFit::Newer(version);
    }
    // Before 1.0, a minor version may break what the one before it promised.
    if (version.major, version.minor) != (CONTRACT.major, CONTRACT.minor) {
        return ContractFit::Older(version);
    }
    ContractFit::Same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_what_they_promise() {
        let of = |import| version(import).map(fit);
        assert_eq!(of("gtm:plugin/log@0.1.0"), Some(ContractFit::Same));
        assert_eq!(of("gtm:plugin/log@0.1.1"), Some(ContractFit::Newer(Version::new(0, 1, 1))));
        assert_eq!(of("gtm:plugin/log@0.2.0"), Some(ContractFit::Newer(Version::new(0, 2, 0))));
        assert_eq!(of("gtm:plugin/log@0.0.9"), Some(ContractFit::Older(Version::new(0, 0, 9))));
        assert_eq!(of("wasi:cli/stdout@9.0.0"), None);
    }

    #[test]
    fn the_contract_is_the_package_in_wit() {
        let world = include_str!("../../../wit/world.wit");
        assert!(world.contains(&format!("package gtm:plugin@{CONTRACT};")));
    }
}
