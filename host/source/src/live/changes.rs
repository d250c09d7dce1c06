//! Opens the changes of a deployment.

use super::SourceConfig;
use crate::change_stream::ChangeStream;
use crate::error::SourceError;
use crate::oplog::OplogTailer;
use crate::resolved::ResolvedSource;
use crate::source::Source;

/// Opens the source of changes that `config` names, at its start.
///
/// # Errors
/// See [`SourceError`].
pub(super) async fn open(config: &SourceConfig) -> Result<Box<dyn Source>, SourceError> {
    Ok(match &config.choice {
        ResolvedSource::Oplog(oplog) => Box::new(OplogTailer::follow(config, oplog).await?),
        ResolvedSource::ChangeStream(_) => Box::new(ChangeStream::follow(config).await?),
    })
}
