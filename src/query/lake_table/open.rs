//! Lakes of this crate, as the scan reads them.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use tokio::sync::Mutex;

use super::LakeReader;
use crate::error::{Error, Result};
use crate::lake::log::{AsOf, Version};
use crate::lake::{Lake, LakeFile};

/// A lake that is read as it is by the time of each scan, or as it was at a version.
#[derive(Debug)]
pub struct OpenLake {
    lake: Lake,
    at: AsOf,
    /// The version that was read last, from which the next one is found.
    last: Mutex<Option<Version>>,
}

impl OpenLake {
    /// A reader of a lake. Nothing is read yet.
    pub fn new(lake: Lake) -> Self {
        Self {
            lake,
            at: AsOf::Latest,
            last: Mutex::default(),
        }
    }
}

#[async_trait]
impl LakeReader for OpenLake {
    fn name(&self) -> &str {
        self.lake.name()
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        self.lake.storage().objects()
    }

    async fn files(&self) -> Result<Arc<[LakeFile]>> {
        let mut last = self.last.lock().await;
        let version = match &*last {
            Some(version) if self.at != AsOf::Latest => version.clone(),
            Some(version) => self.lake.log().update(version).await?,
            None => {
                let version = self.lake.version(self.at).await?;
                version
                    .ok_or_else(|| Error::io(format!("the lake {} is gone", self.lake.name())))?
            }
        };
        let files = Arc::clone(&version.files);
        *last = Some(version);
        Ok(files)
    }

    fn at(&self, at: AsOf) -> Option<Arc<dyn LakeReader>> {
        Some(Arc::new(Self {
            lake: self.lake.clone(),
            at,
            last: Mutex::default(),
        }))
    }
}
