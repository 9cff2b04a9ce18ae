//! The public keys that CloudTrail signs digest files with, from its API.

use aws_sdk_cloudtrail::primitives::DateTime as SdkTime;
use chrono::{DateTime, Utc};

use super::Sources;
use super::aws::Request;
use crate::error::Result;

/// A public key of CloudTrail's, of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The name that digest files call the key by.
    pub fingerprint: String,
    /// The RSA key in DER, as PKCS #1 has it.
    pub der: Vec<u8>,
}

impl Sources {
    /// Lists the keys of a region that were valid at any time of a range.
    ///
    /// See <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_ListPublicKeys.html>.
    ///
    /// # Errors
    /// Config, for missing credentials and permissions; Unavailable, if there is no answer.
    pub async fn public_keys(
        &self,
        region: &str,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<PublicKey>> {
        let config = self.aws.api_config(Some(region)).await;
        let client = aws_sdk_cloudtrail::Client::new(&config);
        let mut keys = Vec::new();
        let mut token = None;
        loop {
            let request = client
                .list_public_keys()
                .start_time(SdkTime::from_secs(from.timestamp()))
                .end_time(SdkTime::from_secs(until.timestamp()))
                .set_next_token(token);
            let page = Box::pin(request.send()).await.map_err(|error| {
                let request = Request {
                    service: "CloudTrail",
                    action: "cloudtrail:ListPublicKeys",
                    resource: "the public keys",
                };
                request.failed(error)
            })?;
            for key in page.public_key_list.unwrap_or_default() {
                if let (Some(fingerprint), Some(value)) = (key.fingerprint, key.value) {
                    let der = value.into_inner();
                    keys.push(PublicKey { fingerprint, der });
                }
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(keys);
            }
        }
    }
}
