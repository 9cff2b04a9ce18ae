//! The AWS SDK's credentials, in the form that object_store asks for them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

/// Credentials that are looked up again before they expire.
#[derive(Debug)]
pub(in crate::source) struct SdkCredentials {
    provider: Option<SharedCredentialsProvider>,
    cached: Mutex<Option<Cached>>,
}

impl SdkCredentials {
    pub(super) fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self {
            provider,
            cached: Mutex::new(None),
        }
    }
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
                source: Box::new(NoCredentials(advice_for_buckets(&error))),
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

/// The reason that there are no credentials, for people: nothing of what a provider said, which
/// may be secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::source) struct NoCredentials(String);

/// Returns advice for people who lack credentials, with nothing of what a provider said.
pub(super) fn advice(error: &CredentialsError) -> String {
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
         check with `aws sts get-caller-identity`"
    )
}

/// Returns that advice for a bucket, which may be public.
fn advice_for_buckets(error: &CredentialsError) -> String {
    let advice = advice(error);
    match advice.contains("SSO") {
        true => advice,
        false => format!("{advice}, or set AWS_SKIP_SIGNATURE=true for a public bucket"),
    }
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
