//! Amazon S3, and servers that speak its protocol.

mod errors;
mod list;
mod ranges;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, resolve_bucket_region};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::source::aws::{
    Aws, CONNECT_TIMEOUT, FIRST_PAUSE, LONGEST_PAUSE, REQUEST_ATTEMPTS, REQUEST_TIMEOUT,
};

pub(in crate::source) use self::errors::{Operation, translate};
pub(super) use self::list::list;
pub(super) use self::ranges::{Ranged, Ranges};

/// The buckets opened so far; cheap to ask again.
pub(in crate::source) struct Buckets {
    aws: Arc<Aws>,
    open: Mutex<HashMap<Arc<str>, Arc<dyn ObjectStore>>>,
}

impl Buckets {
    pub(in crate::source) fn new(aws: Arc<Aws>) -> Self {
        Self {
            aws,
            open: Mutex::default(),
        }
    }

    /// Has `bucket` answered by `store`.
    #[cfg(test)]
    pub(super) async fn put(&self, bucket: &str, store: Arc<dyn ObjectStore>) {
        self.open.lock().await.insert(bucket.into(), store);
    }

    /// The client for one bucket. Asks S3 nothing but the bucket's region.
    ///
    /// # Errors
    /// As of [`translate`].
    pub(in crate::source) async fn open(&self, bucket: &Arc<str>) -> Result<Arc<dyn ObjectStore>> {
        let mut open = self.open.lock().await;
        if let Some(store) = open.get(bucket) {
            return Ok(Arc::clone(store));
        }
        let store = self.connect(bucket).await?;
        open.insert(Arc::clone(bucket), Arc::clone(&store));
        Ok(store)
    }

    async fn connect(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>> {
        let endpoint = self.aws.endpoint().await;
        let allow_http = endpoint
            .as_deref()
            .is_some_and(|url| url.starts_with("http://"));
        let client = ClientOptions::new()
            .with_allow_http(allow_http)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(self.region(bucket, endpoint.is_some(), &client).await?)
            .with_client_options(client)
            .with_retry(retries())
            .with_request_payer(self.aws.settings.request_payer)
            .with_skip_signature(self.aws.settings.skip_signature);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(credentials) = self.aws.credentials().await {
            builder = builder.with_credentials(credentials);
        }
        match builder.build() {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(translate(
                error,
                Operation::List,
                &format!("s3://{bucket}/"),
            )),
        }
    }

    /// The bucket's own region where S3 tells it, else the one that is set.
    async fn region(
        &self,
        bucket: &str,
        has_endpoint: bool,
        client: &ClientOptions,
    ) -> Result<String> {
        let set = self.aws.region().await;
        // Other partitions do not answer at Amazon's global endpoint.
        let apart = |region: &String| {
            ["cn-", "us-gov-", "us-iso", "eusc-"]
                .iter()
                .any(|partition| region.starts_with(partition))
        };
        if has_endpoint || set.as_ref().is_some_and(apart) {
            return Ok(set.unwrap_or_else(|| DEFAULT_REGION.to_owned()));
        }
        let asked = tokio::time::timeout(REGION_TIMEOUT, resolve_bucket_region(bucket, client));
        match (asked.await, set) {
            (Ok(Ok(region)), _) | (_, Some(region)) => Ok(region),
            (Ok(Err(error)), None) if error.to_string().contains("not found") => {
                Err(Error::config(format!("there is no bucket `{bucket}`")))
            }
            _ => Err(Error::config(format!(
                "the region of the bucket `{bucket}` could not be found out; set AWS_REGION to it, \
                 or AWS_ENDPOINT_URL for another server than Amazon's"
            ))),
        }
    }
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: FIRST_PAUSE,
            max_backoff: LONGEST_PAUSE,
            base: 2.0,
        },
        max_retries: REQUEST_ATTEMPTS as usize - 1,
        retry_timeout: Duration::from_secs(120),
    }
}

const DEFAULT_REGION: &str = "us-east-1";
const REGION_TIMEOUT: Duration = Duration::from_secs(5);
