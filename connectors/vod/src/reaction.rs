//! What is to be done about an error of the API, by its code: the one table (spec 7.5). Codes are
//! stable, messages are not, so nothing is decided by a message.

use std::fmt::Write as _;

use crate::api::Action;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The queue is empty: no trouble at all.
    Empty,
    /// A person must act; it is tried again slowly, because rights can come back without a
    /// restart.
    Operator,
    /// The credential is too old, or the clock is wrong: a fresh one is fetched, then tried again.
    Renew,
    /// Too many calls: fewer from now on, then more again.
    SlowDown,
    /// Nobody's fault: it is tried again.
    Retry,
    /// The handles are not good any more: their events will come again.
    TooLate,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The code; with `.*` at its end also everything below it.
    pub code: &'static str,
    /// The action that it holds for; `None`: for all.
    pub action: Option<Action>,
    /// What is done.
    pub reaction: Reaction,
    /// What it means and what a person can do.
    pub advice: &'static str,
}

/// The first line that fits counts.
pub static RULES: [Rule; 37] = [
    of(Action::PullEvents, "ResourceNotFound", Reaction::Empty, "the queue is empty"),
    any(
        "InvalidParameterValue.SubAppId",
        Reaction::Operator,
        "sub_app_id is not an application of this account; accounts activated since 2023-12-25 need one",
    ),
    of(
        Action::ConfirmEvents,
        "InvalidParameterValue.*",
        Reaction::TooLate,
        "a handle is older than 30 s, or was confirmed before; its event comes again if it was not",
    ),
    of(
        Action::ConfirmEvents,
        "InvalidParameter.*",
        Reaction::TooLate,
        "a handle is older than 30 s, or was confirmed before; its event comes again if it was not",
    ),
    any(
        "AuthFailure.TokenFailure",
        Reaction::Renew,
        "the temporary credential has ended; a fresh one is fetched",
    ),
    any(
        "AuthFailure.SignatureExpire",
        Reaction::Renew,
        "this machine's clock is more than 5 minutes off: set it (NTP)",
    ),
    any(
        "AuthFailure.SignatureFailure",
        Reaction::Operator,
        "the SecretKey is not that of the SecretId, or a proxy changes requests",
    ),
    any(
        "AuthFailure.SecretIdNotFound",
        Reaction::Operator,
        "there is no such SecretId: it was deleted, or is of another account or site",
    ),
    any(
        "AuthFailure.UnauthorizedOperation",
        Reaction::Operator,
        "grant the credential vod:PullEvents, vod:ConfirmEvents, vod:DescribeEventsState and vod:DescribeEventConfig in CAM, and vod:ModifyEventConfig for vod configure",
    ),
    any("AuthFailure.*", Reaction::Operator, "see the credential in CAM: it may be disabled"),
    any(
        "UnauthorizedOperation.*",
        Reaction::Operator,
        "grant the credential vod:PullEvents, vod:ConfirmEvents, vod:DescribeEventsState and vod:DescribeEventConfig in CAM, and vod:ModifyEventConfig for vod configure",
    ),
    any(
        "FailedOperation.InvalidVodUser",
        Reaction::Operator,
        "this account has no VOD, or it was suspended: activate it in the console",
    ),
    any(
        "FailedOperation.InvalidAccount",
        Reaction::Operator,
        "this account cannot use VOD: see its state in the console",
    ),
    any(
        "FailedOperation.UserStatusInavlid",
        Reaction::Operator,
        "this account cannot use VOD: see its state in the console",
    ),
    any(
        "FailedOperation.NoPrivileges",
        Reaction::Operator,
        "this account may not use the action: see its state in the console",
    ),
    any(
        "ResourceNotFound.UserNotExist",
        Reaction::Operator,
        "this account has no VOD: activate it in the console, or use another credential",
    ),
    any(
        "ResourceNotFound.ServiceNotExist",
        Reaction::Operator,
        "this account has no VOD: activate it in the console, or use another credential",
    ),
    any("InvalidAction", Reaction::Operator, "the endpoint is not VOD's: see pull.endpoint"),
    any("NoSuchVersion", Reaction::Operator, "the endpoint is not VOD's: see pull.endpoint"),
    any("NoSuchProduct", Reaction::Operator, "the endpoint is not VOD's: see pull.endpoint"),
    any(
        "ActionOffline",
        Reaction::Operator,
        "VOD has withdrawn the action: is there a newer vodbridge?",
    ),
    any("UnsupportedRegion", Reaction::Operator, "VOD is not in this region: see pull.region"),
    any("IpInBlacklist", Reaction::Operator, "the account bars this machine's address"),
    any(
        "IpNotInWhitelist",
        Reaction::Operator,
        "the account does not allow this machine's address",
    ),
    any(
        "MissingParameter",
        Reaction::Operator,
        "is sub_app_id missing? Accounts activated since 2023-12-25 need one",
    ),
    any("UnknownParameter", Reaction::Operator, "VOD has changed: is there a newer vodbridge?"),
    any(
        "InvalidParameter",
        Reaction::Operator,
        "see sub_app_id and what else the configuration says of VOD",
    ),
    any(
        "InvalidParameterValue.*",
        Reaction::Operator,
        "see sub_app_id and what else the configuration says of VOD",
    ),
    any(
        "RequestLimitExceeded.*",
        Reaction::SlowDown,
        "other programs of the account use up its calls; pulling slows down",
    ),
    any(
        "LimitExceeded.*",
        Reaction::SlowDown,
        "other programs of the account use up its calls; pulling slows down",
    ),
    any("RequestSizeLimitExceeded", Reaction::Operator, "should not happen: please report it"),
    any("ResponseSizeLimitExceeded", Reaction::Operator, "should not happen: please report it"),
    any("InternalError.*", Reaction::Retry, "VOD's own trouble"),
    any("FailedOperation.*", Reaction::Retry, "VOD's own trouble"),
    any("ResourceUnavailable.*", Reaction::Retry, "VOD's own trouble"),
    any("ResourceInsufficient.*", Reaction::Retry, "VOD's own trouble"),
    any("ServiceUnavailable.*", Reaction::Retry, "VOD's own trouble"),
];

/// What no line of the table names: it is tried again, and said aloud.
pub static UNKNOWN: Rule =
    any("any other", Reaction::Retry, "unknown to vodbridge; it is tried again");

const fn any(code: &'static str, reaction: Reaction, advice: &'static str) -> Rule {
    Rule { code, action: None, reaction, advice }
}

const fn of(action: Action, code: &'static str, reaction: Reaction, advice: &'static str) -> Rule {
    Rule { code, action: Some(action), reaction, advice }
}

/// The line of the table for an error.
pub fn rule(action: Action, code: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.fits(action, code)).unwrap_or(&UNKNOWN)
}

/// The table as Markdown, as the documents print it.
pub fn markdown() -> String {
    let mut out = String::from(
        "| code | what vodbridge does | what it means, what you can do |\n| --- | --- | --- |\n",
    );
    for rule in RULES.iter().chain([&UNKNOWN]) {
        let only = rule.action.map(|action| format!(" ({action} only)")).unwrap_or_default();
        let code = if std::ptr::eq(rule, &UNKNOWN) {
            rule.code.to_owned()
        } else {
            format!("`{}`", rule.code)
        };
        writeln!(out, "| {code}{only} | {} | {} |", rule.reaction.told(), rule.advice)
            .expect("a String takes everything");
    }
    out
}

// === impl Rule ===

impl Rule {
    fn fits(&self, action: Action, code: &str) -> bool {
        if self.action.is_some_and(|only| only != action) {
            return false;
        }
        match self.code.strip_suffix(".*") {
            None => self.code == code,
            Some(stem) => {
                code.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
        }
    }
}

// === impl Reaction ===

impl Reaction {
    fn told(self) -> &'static str {
        match self {
            Self::Empty => "polls on",
            Self::Operator => "says so, tries again slowly",
            Self::Renew => "fetches a fresh credential, tries again",
            Self::SlowDown => "makes fewer calls for a while",
            Self::Retry => "tries again, ever more slowly",
            Self::TooLate => "goes on; confirms one by one",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_is_one_exact_code_of_one_action() {
        let empty = |action, code| rule(action, code).reaction == Reaction::Empty;
        assert!(empty(Action::PullEvents, "ResourceNotFound"));
        for (action, code) in [
            (Action::PullEvents, "ResourceNotFound.UserNotExist"),
            (Action::PullEvents, "ResourceNotFound.ServiceNotExist"),
            (Action::PullEvents, "ResourceNotFound.New"),
            (Action::PullEvents, "resourcenotfound"),
            (Action::ConfirmEvents, "ResourceNotFound"),
        ] {
            assert!(!empty(action, code), "{action} {code}");
        }
    }

    #[test]
    fn every_class_of_the_vendors_codes_has_its_reaction() {
        for (code, reaction) in [
            ("AuthFailure.SecretIdNotFound", Reaction::Operator),
            ("AuthFailure.MFAFailure", Reaction::Operator),
            ("UnauthorizedOperation", Reaction::Operator),
            ("UnauthorizedOperation.CamNoAuth", Reaction::Operator),
            ("UnauthorizedOperationX", Reaction::Retry),
            ("AuthFailure.TokenFailure", Reaction::Renew),
            ("RequestLimitExceeded.UinLimitExceeded", Reaction::SlowDown),
            ("InternalError", Reaction::Retry),
            ("InternalError.DBError", Reaction::Retry),
            ("FailedOperation", Reaction::Retry),
            ("FailedOperation.InvalidVodUser", Reaction::Operator),
            ("InvalidParameterValue.SubAppId", Reaction::Operator),
            ("NeverSeen", Reaction::Retry),
        ] {
            assert_eq!(rule(Action::PullEvents, code).reaction, reaction, "{code}");
        }
        for (code, reaction) in [
            ("InvalidParameterValue", Reaction::TooLate),
            ("InvalidParameterValue.EventHandles", Reaction::TooLate),
            ("InvalidParameterValue.SubAppId", Reaction::Operator),
        ] {
            assert_eq!(rule(Action::ConfirmEvents, code).reaction, reaction, "{code}");
        }
    }

    #[test]
    fn no_line_is_hidden_behind_an_earlier_one() {
        for (n, hidden) in RULES.iter().enumerate() {
            let code = hidden.code.trim_end_matches(".*");
            let action = hidden.action.unwrap_or(Action::DescribeEventConfig);
            let found = rule(action, code);
            assert!(std::ptr::eq(found, &RULES[n]), "{} is hidden by {}", hidden.code, found.code);
        }
    }
}
