//! Amazon S3, and what speaks its protocol: clients with the credentials, region and endpoint that
//! every AWS tool would use.

mod credentials;
mod errors;
mod list;
mod ranges;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AwsCredential, resolve_bucket_region};
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
};
use tokio::sync::Mutex;

use self::credentials::Account;
pub(super) use self::errors::{Doing, describe};
pub(super) use self::list::list;
pub(super) use self::ranges::{Ranges, Source};

/// How to reach S3. The default is the real one, with the credentials and the region that the AWS
/// SDK finds.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// The URL of another server than Amazon's, addressed as `endpoint/bucket/key`.
    pub endpoint: Option<String>,
    /// The region to ask; else the profile's, else the bucket's own.
    pub region: Option<String>,
    /// Ask without credentials, as public buckets allow.
    pub skip_signature: bool,
    /// Agree to pay for what is read, as requester-pays buckets want it.
    pub request_payer: bool,
    /// Access key and secret, instead of those that the AWS SDK finds.
    pub credentials: Option<(String, String)>,
}

impl S3Settings {
    /// The settings of the environment: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_REGION`,
    /// `AWS_DEFAULT_REGION`, `AWS_SKIP_SIGNATURE`, `AWS_REQUEST_PAYER`.
    pub fn from_env() -> Self {
        let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            endpoint: var("AWS_ENDPOINT_URL_S3").or_else(|| var("AWS_ENDPOINT_URL")),
            region: var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION")),
            skip_signature: var("AWS_SKIP_SIGNATURE").is_some_and(|value| {
                matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes")
            }),
            request_payer: var("AWS_REQUEST_PAYER")
                .is_some_and(|value| value.eq_ignore_ascii_case("requester")),
            credentials: None,
        }
    }
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The buckets opened so far; cheap to ask again.
pub(super) struct Buckets {
    settings: S3Settings,
    account: Account,
    open: Mutex<HashMap<Arc<str>, Arc<dyn ObjectStore>>>,
}

impl Buckets {
    pub(super) fn new(settings: S3Settings) -> Self {
        Self {
            account: Account::new(settings.region.clone()),
            settings,
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
    /// What is wrong, for people.
    pub(super) async fn open(&self, bucket: &Arc<str>) -> Result<Arc<dyn ObjectStore>, String> {
        let mut open = self.open.lock().await;
        if let Some(store) = open.get(bucket) {
            return Ok(Arc::clone(store));
        }
        let store = self.connect(bucket).await?;
        open.insert(Arc::clone(bucket), Arc::clone(&store));
        Ok(store)
    }

    async fn connect(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
        let endpoint = match &self.settings.endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None if self.settings.credentials.is_some() => None,
            None => self.account.endpoint().await,
        };
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
            .with_request_payer(self.settings.request_payer)
            .with_skip_signature(self.settings.skip_signature);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some((key, secret)) = &self.settings.credentials {
            let credential = AwsCredential {
                key_id: key.clone(),
                secret_key: secret.clone(),
                token: None,
            };
            builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
        } else if !self.settings.skip_signature {
            builder = builder.with_credentials(self.account.credentials().await);
        }
        match builder.build() {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(describe(&error, Doing::List, &format!("s3://{bucket}/"))),
        }
    }

    /// The bucket's own region where S3 tells it, else the one that is set.
    async fn region(
        &self,
        bucket: &str,
        has_endpoint: bool,
        client: &ClientOptions,
    ) -> Result<String, String> {
        let set = match &self.settings.region {
            Some(region) => Some(region.clone()),
            None if self.settings.credentials.is_some() => None,
            None => self.account.region().await,
        };
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
                Err(format!("there is no bucket `{bucket}`"))
            }
            _ => Err(format!(
                "the region of the bucket `{bucket}` could not be found out; set AWS_REGION to it, \
                 or AWS_ENDPOINT_URL for another server than Amazon's"
            )),
        }
    }
}

/// Seconds rather than minutes until people hear that a server is not there.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 7,
        retry_timeout: Duration::from_secs(120),
    }
}

const DEFAULT_REGION: &str = "us-east-1";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one request and its answer, which has 8 MiB at most.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const REGION_TIMEOUT: Duration = Duration::from_secs(5);
