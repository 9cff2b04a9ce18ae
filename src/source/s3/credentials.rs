//! The AWS SDK's credentials for object_store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::{Mutex, OnceCell};

/// What the SDK finds in environment, profiles, SSO and instance metadata, looked up when first
/// asked for.
pub(super) struct Account {
    region: Option<String>,
    config: OnceCell<SdkConfig>,
    credentials: OnceCell<Arc<SdkCredentials>>,
}

impl Account {
    pub(super) fn new(region: Option<String>) -> Self {
        Self {
            region,
            config: OnceCell::new(),
            credentials: OnceCell::new(),
        }
    }

    /// The region that is set for this account, wherever it is.
    pub(super) async fn region(&self) -> Option<String> {
        Some(self.config().await.region()?.as_ref().to_owned())
    }

    /// The endpoint that the profile names.
    pub(super) async fn endpoint(&self) -> Option<String> {
        Some(self.config().await.endpoint_url()?.to_owned())
    }

    pub(super) async fn credentials(&self) -> Arc<SdkCredentials> {
        let config = self.config().await;
        let made = self.credentials.get_or_init(async || {
            Arc::new(SdkCredentials {
                provider: config.credentials_provider(),
                cached: Mutex::new(None),
            })
        });
        Arc::clone(made.await)
    }

    async fn config(&self) -> &SdkConfig {
        let load = async || {
            let http = aws_smithy_http_client::Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https();
            // Not the instance's metadata: elsewhere that is seconds of waiting for nothing, and
            // a bucket says its region itself.
            let region = RegionProviderChain::first_try(self.region.clone().map(Region::new))
                .or_else(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new());
            aws_config::defaults(BehaviorVersion::latest())
                .http_client(http)
                .region(region)
                .load()
                .await
        };
        // Boxed: it is kilobytes of state, used once.
        self.config.get_or_init(|| Box::pin(load())).await
    }
}

/// Credentials that are asked for again before they expire.
#[derive(Debug)]
pub(super) struct SdkCredentials {
    provider: Option<SharedCredentialsProvider>,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    credential: Arc<AwsCredential>,
    refresh_at: SystemTime,
    expires_at: Option<SystemTime>,
}

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut cached = self.cached.lock().await;
        let now = SystemTime::now();
        if let Some(known) = cached.as_ref().filter(|known| now < known.refresh_at) {
            return Ok(Arc::clone(&known.credential));
        }
        let found = match &self.provider {
            Some(provider) => provider.provide_credentials().await,
            None => Err(CredentialsError::not_loaded_no_source()),
        };
        match (found, cached.as_ref()) {
            (Ok(found), _) => Ok(Arc::clone(
                &cached.insert(Cached::new(&found, now)).credential,
            )),
            (Err(_), Some(known)) if known.expires_at.is_some_and(|expiry| now < expiry) => {
                Ok(Arc::clone(&known.credential))
            }
            (Err(error), _) => Err(object_store::Error::Generic {
                store: "S3",
                source: Box::new(NoCredentials(advice(&error))),
            }),
        }
    }
}

impl Cached {
    fn new(found: &Credentials, now: SystemTime) -> Self {
        let expires_at = found.expiry();
        let refresh_at = match expires_at {
            Some(expiry) => expiry.checked_sub(REFRESH_BEFORE).unwrap_or(now),
            // Files that name no expiry are rewritten by some tools all the same.
            None => now + LOOK_AGAIN_AFTER,
        };
        Self {
            credential: Arc::new(AwsCredential {
                key_id: found.access_key_id().to_owned(),
                secret_key: found.secret_access_key().to_owned(),
                token: found.session_token().map(str::to_owned),
            }),
            refresh_at,
            expires_at,
        }
    }
}

/// Why there are no credentials, for people: nothing of what a provider said, which may be secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoCredentials(String);

fn advice(error: &CredentialsError) -> String {
    let mut said = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        said.push_str(&error.to_string().to_lowercase());
        cause = error.source();
    }
    if said.contains("sso") {
        return "the AWS SSO session cannot be used; run `aws sso login`".to_owned();
    }
    let what = match error {
        CredentialsError::CredentialsNotLoaded(_) => "no AWS credentials were found",
        CredentialsError::ProviderTimedOut(_) => "the AWS credentials did not come in time",
        CredentialsError::InvalidConfiguration(_) => "the AWS configuration is not valid",
        _ => "no usable AWS credentials were found",
    };
    format!(
        "{what}; set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
         check with `aws sts get-caller-identity`, or set AWS_SKIP_SIGNATURE=true for a public bucket"
    )
}

const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use aws_credential_types::provider::future;

    use super::*;

    #[derive(Debug, Default)]
    struct Counting {
        calls: Arc<AtomicU32>,
        lasts: Option<Duration>,
        fails_after: Option<u32>,
    }

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let call = self.calls.fetch_add(1, Relaxed);
            if self.fails_after.is_some_and(|last| call >= last) {
                let error = CredentialsError::provider_error("exit 1: SECRETTOKEN");
                return future::ProvideCredentials::ready(Err(error));
            }
            let expiry = self.lasts.map(|lasts| SystemTime::now() + lasts);
            let found = Credentials::new(format!("key{call}"), "secret", None, expiry, "test");
            future::ProvideCredentials::ready(Ok(found))
        }
    }

    fn credentials(counting: Counting) -> SdkCredentials {
        SdkCredentials {
            provider: Some(SharedCredentialsProvider::new(counting)),
            cached: Mutex::new(None),
        }
    }

    #[tokio::test]
    async fn credentials_are_asked_for_once_until_they_near_their_end() {
        let (long, short) = (Duration::from_secs(3600), Duration::from_secs(60));
        for (lasts, expected) in [(None, 1), (Some(long), 1), (Some(short), 3)] {
            let counting = Counting {
                lasts,
                ..Counting::default()
            };
            let calls = Arc::clone(&counting.calls);
            let credentials = credentials(counting);
            for _ in 0..3 {
                credentials.get_credential().await.unwrap();
            }
            assert_eq!(calls.load(Relaxed), expected, "{lasts:?}");
        }
    }

    #[tokio::test]
    async fn credentials_are_used_to_their_end_if_new_ones_fail() {
        let credentials = credentials(Counting {
            lasts: Some(Duration::from_secs(60)),
            fails_after: Some(1),
            ..Counting::default()
        });
        for _ in 0..3 {
            let credential = credentials.get_credential().await.unwrap();
            assert_eq!(credential.key_id, "key0");
        }
    }

    #[tokio::test]
    async fn what_a_provider_said_is_not_repeated() {
        let credentials = credentials(Counting {
            fails_after: Some(0),
            ..Counting::default()
        });
        let error = credentials.get_credential().await.unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(
            said.contains("AWS_PROFILE") && !said.contains("SECRETTOKEN"),
            "{said}"
        );
    }
}
