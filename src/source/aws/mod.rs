//! AWS: credentials, region, endpoint and retries, for object_store and for every SDK client.
//!
//! They come from where every AWS tool takes them: environment, profiles, SSO, credential
//! processes, instance metadata. See
//! <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>.

mod clock;
mod credentials;
mod errors;

use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::sync::OnceCell;

pub(super) use clock::ServerClock;
pub(super) use credentials::{NoCredentials, SdkCredentials};
pub(super) use errors::Request;

/// Settings of the way to AWS. The default is AWS itself, with the credentials and the region that
/// the SDK finds.
#[derive(Clone, Default)]
pub struct AwsSettings {
    /// The URL of another server than Amazon's S3, addressed as `endpoint/bucket/key`.
    pub endpoint: Option<String>,
    /// The URL of another server for Kinesis, CloudWatch Logs and CloudTrail; else what the SDK finds, as in
    /// `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_KINESIS`.
    pub api_endpoint: Option<String>,
    /// The region to ask; else the profile's, for S3 else the bucket's own.
    pub region: Option<String>,
    /// Requests without credentials, as public buckets allow.
    pub skip_signature: bool,
    /// Agreement to pay for reads, as requester-pays buckets want it.
    pub request_payer: bool,
    /// Access key and secret, instead of those that the SDK finds.
    pub credentials: Option<(String, String)>,
}

impl AwsSettings {
    /// Reads the settings of the environment: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`,
    /// `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_SKIP_SIGNATURE`, `AWS_REQUEST_PAYER`.
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
            api_endpoint: None,
        }
    }
}

impl std::fmt::Debug for AwsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsSettings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The way to AWS. Looked up at the first question, then kept.
pub(super) struct Aws {
    pub(super) settings: AwsSettings,
    config: OnceCell<SdkConfig>,
    credentials: OnceCell<Arc<SdkCredentials>>,
}

impl Aws {
    pub(super) fn new(settings: AwsSettings) -> Self {
        Self {
            settings,
            config: OnceCell::new(),
            credentials: OnceCell::new(),
        }
    }

    /// The configuration that every SDK client is made of.
    pub(super) async fn sdk_config(&self) -> &SdkConfig {
        // Boxed: it is kilobytes of state, used once.
        self.config.get_or_init(|| Box::pin(self.load())).await
    }

    async fn load(&self) -> SdkConfig {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        // Not the instance's metadata: elsewhere that is seconds of waiting for nothing, and a
        // bucket says its region itself.
        let region = RegionProviderChain::first_try(self.settings.region.clone().map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new());
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(region)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(REQUEST_ATTEMPTS)
                    .with_initial_backoff(FIRST_PAUSE)
                    .with_max_backoff(LONGEST_PAUSE),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(REQUEST_TIMEOUT)
                    .build(),
            );
        if let Some((key, secret)) = &self.settings.credentials {
            let named = Credentials::new(key, secret, None, None, "settings");
            loader = loader.credentials_provider(SharedCredentialsProvider::new(named));
        }
        loader.load().await
    }

    /// The configuration of a client of Kinesis, CloudWatch Logs or CloudTrail, in a region of its own if one
    /// is named. Requests are tried a few times only: sources have retries of their own, which are told of.
    pub(super) async fn api_config(&self, region: Option<&str>) -> SdkConfig {
        let mut config = self.sdk_config().await.to_builder().retry_config(
            RetryConfig::standard()
                .with_max_attempts(API_ATTEMPTS)
                .with_initial_backoff(FIRST_PAUSE)
                .with_max_backoff(LONGEST_PAUSE),
        );
        if let Some(region) = region {
            config = config.region(Region::new(region.to_owned()));
        }
        if let Some(endpoint) = &self.settings.api_endpoint {
            config = config.endpoint_url(endpoint);
        }
        config.build()
    }

    /// The region that is set for this account, by environment or profile.
    pub(super) async fn region(&self) -> Option<String> {
        match (&self.settings.region, &self.settings.credentials) {
            (Some(region), _) => Some(region.clone()),
            // Credentials that were given belong to no profile.
            (None, Some(_)) => None,
            (None, None) => Some(self.sdk_config().await.region()?.as_ref().to_owned()),
        }
    }

    /// The endpoint that is set instead of Amazon's, by environment or profile.
    pub(super) async fn endpoint(&self) -> Option<String> {
        match (&self.settings.endpoint, &self.settings.credentials) {
            (Some(endpoint), _) => Some(endpoint.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(self.sdk_config().await.endpoint_url()?.to_owned()),
        }
    }

    /// The credentials; `None` if requests are not to be signed.
    pub(super) async fn credentials(&self) -> Option<Arc<SdkCredentials>> {
        if self.settings.skip_signature {
            return None;
        }
        let made = self.credentials.get_or_init(async || {
            let provider = match &self.settings.credentials {
                Some((key, secret)) => Some(SharedCredentialsProvider::new(Credentials::new(
                    key, secret, None, None, "settings",
                ))),
                None => self.sdk_config().await.credentials_provider(),
            };
            Arc::new(SdkCredentials::new(provider))
        });
        Some(Arc::clone(made.await))
    }
}

/// Pauses between the attempts of one request: seconds rather than minutes until people hear that a
/// server is not there.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Attempts of a request of a live source. The second one goes by the server's clock.
const API_ATTEMPTS: u32 = 3;
/// Attempts of one request.
pub(super) const REQUEST_ATTEMPTS: u32 = 8;
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time for one request and its answer, which has 8 MiB at most.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
