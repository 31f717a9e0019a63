//! What the configuration and the connectors say in the same words.

use vodbridge_core as core;

use crate::config::{ContentMode, Provision, Size, TlsClient};

pub(super) fn content_mode(mode: ContentMode) -> core::ContentMode {
    match mode {
        ContentMode::Binary => core::ContentMode::Binary,
        ContentMode::Structured => core::ContentMode::Structured,
    }
}

pub(super) fn provision(provision: Provision) -> core::Provision {
    match provision {
        Provision::Create => core::Provision::Create,
        Provision::Verify => core::Provision::Verify,
    }
}

pub(super) fn tls(tls: &TlsClient) -> core::Tls {
    let identity = tls.cert_file.clone().zip(tls.key_file.clone());
    core::Tls {
        ca_file: tls.ca_file.clone(),
        identity: identity.map(|(cert_file, key_file)| core::Identity { cert_file, key_file }),
    }
}

/// The configuration admits nothing near the end of this range.
pub(super) fn bytes(size: Size) -> u32 {
    u32::try_from(size.bytes()).unwrap_or(u32::MAX)
}
