//! The version of the contract that a component was built against. It is read from the stamp of the SDK and from the names of the
//! imports before linking, so that a mismatch is one sentence instead of a linker error.

use semver::Version;

use super::abi;

/// The newest contract that this host supports.
pub(super) const CONTRACT: Version = abi::v0_2::VERSION;

/// The contracts that this host supports, with a folder in `wit/` for each.
pub(super) const SUPPORTED: [Version; 2] = [abi::v0_1::VERSION, abi::v0_2::VERSION];

/// The name of the contract's package.
pub(super) const PACKAGE_NAME: &str = "gtm:plugin";

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
    let (_, version) = import.strip_prefix(PACKAGE_NAME)?.strip_prefix('/')?.split_once('@')?;
    Version::parse(version).ok()
}

/// Compares the contract that a component was built against with those of the host.
pub(super) fn fit(version: Version) -> ContractFit {
    // Before 1.0, a minor version may break what the one before it promised.
    let same = |supported: &&Version| (supported.major, supported.minor) == (version.major, version.minor);
    match SUPPORTED.iter().find(same) {
        Some(supported) if version <= *supported => ContractFit::Same,
        None if version < CONTRACT => ContractFit::Older(version),
        _ => ContractFit::Newer(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_what_they_promise() {
        let of = |import| version(import).map(fit);
        assert_eq!(of("gtm:plugin/log@0.1.0"), Some(ContractFit::Same));
        assert_eq!(of("gtm:plugin/log@0.1.1"), Some(ContractFit::Newer(Version::new(0, 1, 1))));
        assert_eq!(of("gtm:plugin/log@0.2.0"), Some(ContractFit::Same));
        assert_eq!(of("gtm:plugin/log@0.2.1"), Some(ContractFit::Newer(Version::new(0, 2, 1))));
        assert_eq!(of("gtm:plugin/log@0.3.0"), Some(ContractFit::Newer(Version::new(0, 3, 0))));
        assert_eq!(of("gtm:plugin/log@0.0.9"), Some(ContractFit::Older(Version::new(0, 0, 9))));
        assert_eq!(of("wasi:cli/stdout@9.0.0"), None);
    }

    #[test]
    fn each_supported_contract_is_a_package_in_wit() {
        for version in SUPPORTED {
            let folder =
                format!("{}/../../wit/{}.{}", env!("CARGO_MANIFEST_DIR"), version.major, version.minor);
            let world = std::fs::read_to_string(format!("{folder}/world.wit")).unwrap();
            assert!(world.contains(&format!("package gtm:plugin@{version};")), "{version}");
        }
    }
}
