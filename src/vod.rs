//! VOD's API as it is configured: one account for each credential, one client for each
//! application.

mod fit;
mod look;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use vodbridge_vod::client::{Account, Client, Clock, Settings, Setup};
use vodbridge_vod::credentials::{self, CredentialsError, Env, Lookup, Origin};

use crate::config::{Credentials, CredentialsFrom, Name, Pull, Secret, environment};

pub use fit::{Misfit, SWITCHES, Switch, misfits, without_query};
pub use look::{Look, look};

/// Why VOD's API cannot be called as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("applications.{application}.pull cannot be used")]
pub struct VodError {
    application: Name,
    source: Wrong,
}

#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error(transparent)]
    Client(#[from] Setup),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// The accounts that clients were made for. VOD counts the calls of an account, so applications
/// with one credential share one.
#[derive(Debug, Default)]
pub struct Accounts(Vec<(Credentials, Arc<Account>)>);

// === impl Accounts ===

impl Accounts {
    /// A client for one application.
    ///
    /// # Errors
    ///
    /// What no attempt could mend: an address that is none, a file that cannot be used.
    pub fn client(&mut self, application: &Name, pull: &Pull) -> Result<Client, VodError> {
        let failed = |source| VodError { application: application.clone(), source };
        let account = self.account(pull).map_err(|why| failed(why.into()))?;
        // What cannot be read any more is told as what is no proxy.
        let read = |proxy: &Secret| proxy.to_connector().read_text().unwrap_or_default();
        let proxy = pull.proxy.as_ref().map(read);
        let settings = Settings {
            endpoint: pull.endpoint.clone(),
            region: pull.region.clone(),
            proxy,
            ca_file: pull.ca_file.clone(),
        };
        let clock: Clock = Arc::new(SystemTime::now);
        Client::new(&settings, account, clock).map_err(|why| failed(why.into()))
    }

    fn account(&mut self, pull: &Pull) -> Result<Arc<Account>, CredentialsError> {
        let known = self.0.iter().find(|(credentials, _)| *credentials == pull.credentials);
        if let Some((_, account)) = known {
            return Ok(Arc::clone(account));
        }
        let credentials = credentials::Credentials::new(settings(&pull.credentials))?;
        let account = Account::new(credentials, pull.calls_per_second.get());
        self.0.push((pull.credentials.clone(), Arc::clone(&account)));
        Ok(account)
    }
}

/// The credentials as the library takes them; it reads files again by itself.
fn settings(written: &Credentials) -> credentials::Settings {
    let variables: BTreeMap<_, _> = environment().collect();
    let env = Env::new(move |name| variables.get(name).cloned());
    let mut settings = credentials::Settings::new(origin(written), env);
    settings.role_arn.clone_from(&written.role_arn);
    settings.session.duration = written.role_duration.unwrap_or(settings.session.duration);
    let texts = [
        (&mut settings.session.name, &written.role_session_name),
        (&mut settings.sts_endpoint, &written.sts_endpoint),
        (&mut settings.metadata_endpoint, &written.metadata_endpoint),
    ];
    for (text, written) in texts {
        if let Some(written) = written {
            text.clone_from(written);
        }
    }
    settings
}

fn origin(written: &Credentials) -> Origin {
    let lookup = |secret: &Secret| -> Lookup {
        let secret = secret.to_connector();
        Arc::new(move || secret.read_text().map_err(|why| why.to_string()))
    };
    match written.from {
        CredentialsFrom::Environment => Origin::Environment,
        CredentialsFrom::Profile => Origin::Profile {
            file: written.profile_file.clone(),
            name: written.profile.clone().unwrap_or_else(|| "default".to_owned()),
        },
        CredentialsFrom::CvmRole => Origin::CvmRole,
        CredentialsFrom::TkeOidc => Origin::TkeOidc,
        CredentialsFrom::Static => Origin::Static {
            secret_id: written.secret_id.clone().unwrap_or_default(),
            // Configuration has seen to it that there is one.
            secret_key: written
                .secret_key
                .as_ref()
                .map_or_else(|| -> Lookup { Arc::new(|| Err("not set".to_owned())) }, lookup),
            token: written.token.as_ref().map(lookup),
        },
        CredentialsFrom::Chain => Origin::Chain,
    }
}
