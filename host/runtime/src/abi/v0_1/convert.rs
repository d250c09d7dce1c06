//! Converts ops, operation types and failures.

use super::types;
use crate::failure::Failure;

crate::abi::convert_ops!(super::types);

pub(super) fn lift_failure(failure: types::Failure) -> Failure {
    match failure {
        types::Failure::Retry(reason) => Failure::retry(reason),
        types::Failure::Reject(reason) => Failure::reject(reason),
    }
}
