use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::did_you_mean;

/// How many secrets are valid together.
pub(super) const SECRETS_MAX: usize = 8;

/// The longest secret, and the largest file that one is read from.
pub(super) const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Where a secret is kept: in a file, in an environment variable, or in the configuration itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file with the secret and nothing else.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// The secret itself.
    Plain(Bytes),
}

/// One secret, or several that are valid together while they are exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Secrets(pub(super) Vec<Secret>);

/// Why there is no secret to be had. Never holds one.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    #[error("the file {} cannot be read: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the environment variable {0} is not set")]
    Variable(String),
    #[error("the secret is empty")]
    Empty,
    #[error("a sign key is made of letters and digits, at most {SIGN_KEY_LEN_MAX}")]
    SignKey,
}

/// What a secret is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Any,
    /// As VOD's console takes it.
    SignKey,
}

const SIGN_KEY_LEN_MAX: usize = 32;

// === impl Secret ===

impl Secret {
    /// The secret without the end of line that editors and `echo` leave.
    pub(super) fn read(
        &self,
        variables: &BTreeMap<String, String>,
        rule: Rule,
    ) -> Result<Bytes, SecretError> {
        let value = match self {
            Self::File(path) => read_file(path)
                .map_err(|source| SecretError::File { path: path.clone(), source })?,
            Self::Variable(name) => match variables.get(name) {
                Some(value) => Bytes::copy_from_slice(value.as_bytes()),
                None => return Err(SecretError::Variable(name.clone())),
            },
            Self::Plain(value) => value.clone(),
        };
        let value = value.slice(..len_of_line(&value));
        rule.check(&value)?;
        Ok(value)
    }
}

impl Secret {
    /// Reads it once, and a variable for good: those of a process do not change.
    pub(super) fn resolve(
        &mut self,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), SecretError> {
        let value = self.read(variables, Rule::Any)?;
        if matches!(self, Self::Variable(_)) {
            *self = Self::Plain(value);
        }
        Ok(())
    }

    /// For a connector: a file is read again whenever the secret is asked for.
    pub fn to_connector(&self) -> vodbridge_core::Secret {
        let secret = self.clone();
        vodbridge_core::Secret::new(move || Ok(secret.read(&BTreeMap::new(), Rule::Any)?))
    }
}

fn read_file(path: &Path) -> io::Result<Bytes> {
    // A pipe or a terminal would block whoever reads it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut value = Vec::new();
    File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_end(&mut value)?;
    if value.len() as u64 > SECRET_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {SECRET_BYTES_MAX} bytes")));
    }
    Ok(value.into())
}

/// The length of `value` without one end of line at its end.
fn len_of_line(value: &[u8]) -> usize {
    let line = value.strip_suffix(b"\n").unwrap_or(value);
    line.strip_suffix(b"\r").unwrap_or(line).len()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{{ file: {} }}", path.display()),
            Self::Variable(name) => write!(f, "{{ env: {name} }}"),
            Self::Plain(_) => f.write_str("[redacted]"),
        }
    }
}

// === impl Rule ===

impl Rule {
    fn check(self, value: &[u8]) -> Result<(), SecretError> {
        let is_sign_key =
            || value.len() <= SIGN_KEY_LEN_MAX && value.iter().all(u8::is_ascii_alphanumeric);
        match self {
            _ if value.is_empty() => Err(SecretError::Empty),
            Self::SignKey if !is_sign_key() => Err(SecretError::SignKey),
            Self::Any | Self::SignKey => Ok(()),
        }
    }
}

// === reading ===

const FORMS: &str = "{ file: PATH }, { env: NAME } or a text";

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretsVisitor)
    }
}

struct SecretVisitor;
struct SecretsVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORMS)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        // An environment variable with a slip in `{ file: ... }` must not become a token that
        // anybody can guess.
        if text.starts_with(['{', '[']) {
            return Err(E::custom(format!(
                "a secret written as plain text may not begin with '{{' or '[', expected {FORMS}"
            )));
        }
        Ok(Secret::Plain(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let wrong = || de::Error::custom(format!("expected {FORMS}"));
        let key = map.next_key::<String>()?.ok_or_else(wrong)?;
        let secret = match key.as_str() {
            "file" => Secret::File(map.next_value()?),
            "env" => Secret::Variable(map.next_value()?),
            other => {
                let nearest = did_you_mean(other, ["file", "env"]);
                return Err(de::Error::custom(format!("unknown key {other:?}{nearest}")));
            }
        };
        match map.next_key::<String>()? {
            None => Ok(secret),
            Some(_) => Err(wrong()),
        }
    }
}

impl<'de> Visitor<'de> for SecretsVisitor {
    type Value = Secrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMS}, or a list of these")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secrets, E> {
        SecretVisitor.visit_str(text).map(|secret| Secrets(vec![secret]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secrets, A::Error> {
        SecretVisitor.visit_map(map).map(|secret| Secrets(vec![secret]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Secrets, A::Error> {
        let mut secrets = Vec::new();
        while let Some(secret) = seq.next_element()? {
            secrets.push(secret);
        }
        match secrets.len() {
            1..=SECRETS_MAX => Ok(Secrets(secrets)),
            0 => Err(de::Error::custom("the list is empty; without a secret leave the key out")),
            _ => Err(de::Error::custom(format!("at most {SECRETS_MAX} secrets at once"))),
        }
    }
}

// === schema ===

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a secret is kept: in a file, in an environment variable, or, \
                            for trying things out, here in plain text. One end of line at its \
                            end is cut. A file is read again when it changes.",
            "oneOf": [
                { "type": "string", "minLength": 1, "pattern": "^[^\\[{]" },
                {
                    "type": "object",
                    "properties": { "file": {
                        "type": "string",
                        "description": "The path of a file that holds the secret and nothing else.",
                    } },
                    "required": ["file"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": { "env": {
                        "type": "string",
                        "description": "The name of an environment variable that holds the secret.",
                    } },
                    "required": ["env"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl JsonSchema for Secrets {
    fn schema_name() -> Cow<'static, str> {
        "Secrets".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Secret>();
        json_schema!({
            "description": "One secret, or several that are valid together while they are \
                            exchanged.",
            "anyOf": [one, { "type": "array", "items": one, "minItems": 1, "maxItems": SECRETS_MAX }],
        })
    }
}
