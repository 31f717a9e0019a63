//! Whether what VOD is set to do with an application's events fits what the bridge does.

use vodbridge_vod::api::EventConfig;

use crate::config::Application;

/// Something that does not fit, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Whether nothing at all comes in because of it.
    pub is_silent: bool,
    /// What does not fit.
    pub what: String,
    /// What can be done.
    pub advice: String,
}

/// A switch of VOD's, the event type it holds back, and what `vod configure` calls it.
pub const SWITCHES: [(Switch, &str, &str); 3] = [
    (|config| config.upload_media_complete_event_switch.as_deref(), "NewFileUpload", "uploads"),
    (|config| config.delete_media_complete_event_switch.as_deref(), "FileDeleted", "deletions"),
    (
        |config| config.persistence_complete_event_switch.as_deref(),
        "PersistenceComplete",
        "persistence",
    ),
];

/// Reads one switch.
pub type Switch = fn(&EventConfig) -> Option<&str>;

/// Everything that does not fit.
pub fn misfits(name: &str, application: &Application, vod: &EventConfig) -> Vec<Misfit> {
    let mut all = Vec::new();
    let mut tell = |is_silent, what: String, advice: String| {
        all.push(Misfit { is_silent, what, advice });
    };
    let configure = |change: &str| format!("vodbridge vod configure --application {name} {change}");
    let url = vod.notification_url.as_deref().unwrap_or_default();
    match (vod.mode.as_deref(), &application.callback, &application.pull) {
        (Some("PUSH"), None, Some(_)) => tell(
            true,
            "the application is in PUSH mode but only pull is configured".to_owned(),
            configure("--mode pull, or configure callback"),
        ),
        (Some("PULL"), Some(_), None) => tell(
            true,
            "the application is in PULL mode but only callback is configured".to_owned(),
            configure("--mode push, or configure pull"),
        ),
        (Some("PUSH"), Some(callback), _) if url.is_empty() => tell(
            true,
            "the application is in PUSH mode but has no callback URL".to_owned(),
            configure(&format!("--url https://YOUR.HOST{}", callback.path)),
        ),
        (Some("PUSH"), Some(callback), _) => {
            let (address, query) = url.split_once('?').unwrap_or((url, ""));
            if !address.ends_with(&callback.path) {
                tell(
                    false,
                    format!(
                        "VOD's callback URL, {}, does not end in the configured path {}",
                        without_query(address),
                        callback.path
                    ),
                    configure(&format!("--url https://YOUR.HOST{}", callback.path)),
                );
            }
            let has_token = query.split('&').any(|pair| pair.starts_with("token="));
            if callback.token.is_some() && !has_token {
                tell(
                    false,
                    "a token is configured but VOD's callback URL has none".to_owned(),
                    configure(&format!("--url 'https://YOUR.HOST{}?token=...'", callback.path)),
                );
            }
        }
        _ => {}
    }
    for (switch, event_type, option) in SWITCHES {
        if switch(vod) == Some("OFF") {
            tell(
                false,
                format!("{event_type} events are switched OFF"),
                configure(&format!("--{option} on, unless you do without them")),
            );
        }
    }
    all
}

/// A callback URL for people: what stands in its query, or before its host, may be a secret.
pub fn without_query(url: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let query = if query.is_empty() { "" } else { "?[redacted]" };
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://[redacted]@{host}{query}"),
        _ => format!("{address}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn told(application: &str, mode: &str, url: &str) -> Vec<String> {
        let yaml = format!("applications: {{ movies: {application} }}");
        let config = Config::from_yaml(&yaml).unwrap();
        let (name, application) = config.applications.iter().next().unwrap();
        let vod = EventConfig {
            mode: Some(mode.to_owned()),
            notification_url: Some(url.to_owned()),
            upload_media_complete_event_switch: Some("ON".to_owned()),
            delete_media_complete_event_switch: Some("ON".to_owned()),
            persistence_complete_event_switch: Some("ON".to_owned()),
        };
        misfits(name.as_str(), application, &vod).into_iter().map(|misfit| misfit.what).collect()
    }

    #[test]
    fn what_comes_in_by_another_way_than_the_bridge_listens_is_told() {
        let url = "https://h/vod/movies";
        assert_eq!(
            told("{ pull: {} }", "PUSH", url),
            ["the application is in PUSH mode but only pull is configured"]
        );
        assert_eq!(
            told("{ callback: {} }", "PULL", url),
            ["the application is in PULL mode but only callback is configured"]
        );
        assert!(told("{ pull: {} }", "PULL", "").is_empty());
        assert!(told("{ callback: {} }", "PUSH", url).is_empty());
        for mode in ["PUSH", "PULL"] {
            assert!(told("{ callback: {}, pull: {} }", mode, url).is_empty());
        }
    }

    #[test]
    fn a_callback_url_that_is_not_ours_is_told_without_its_query() {
        assert_eq!(
            told("{ callback: {} }", "PUSH", ""),
            ["the application is in PUSH mode but has no callback URL"]
        );
        let [told] = &told("{ callback: {} }", "PUSH", "https://h/other?token=hunter2")[..] else {
            panic!("one thing does not fit")
        };
        assert!(told.contains("https://h/other") && !told.contains("hunter2"), "{told}");
        assert_eq!(without_query("https://h/x?token=hunter2"), "https://h/x?[redacted]");
        assert_eq!(without_query("https://u:hunter2@h/x"), "https://[redacted]@h/x");
    }

    #[test]
    fn a_missing_token_and_switches_that_are_off_are_told() {
        let application = "{ callback: { token: t } }";
        assert_eq!(
            told(application, "PUSH", "https://h/vod/movies?a=b"),
            ["a token is configured but VOD's callback URL has none"]
        );
        assert!(told(application, "PUSH", "https://h/vod/movies?a=b&token=t").is_empty());
        let config = Config::from_yaml("applications: { movies: { pull: {} } }").unwrap();
        let application = config.applications.values().next().unwrap();
        let off = EventConfig {
            upload_media_complete_event_switch: Some("OFF".to_owned()),
            ..EventConfig::default()
        };
        let all = misfits("movies", application, &off);
        assert_eq!(all[0].what, "NewFileUpload events are switched OFF");
        assert!(all[0].advice.contains("vod configure --application movies --uploads on"));
    }
}
