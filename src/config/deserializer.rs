#![expect(clippy::result_large_err, reason = "serde's traits want figment's error by value")]

use figment::error::{Actual, Error, Kind, Result};
use figment::value::{Dict, Value};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

/// The key that says which variant a map is.
pub(super) const TAG: &str = "type";

/// Makes types of a tree's values, all scalars of which are texts: a number's type reads the
/// text as a number. Stricter than figment's own in what a struct, a list or a boolean is made
/// of. Errors carry the path from the value it began with.
///
/// An enum is a text, or a map whose key `type` names the variant. Serde's own tagged enums
/// would copy the map first and lose the path of what is wrong inside.
#[derive(Clone, Copy)]
pub(super) struct ValueDeserializer<'v>(pub(super) &'v Value);

struct Entries<'v> {
    iter: std::collections::btree_map::Iter<'v, String, Value>,
    skip: Option<&'static str>,
    entry: Option<(&'v str, &'v Value)>,
}

struct Elements<'v>(std::iter::Enumerate<std::slice::Iter<'v, Value>>);

struct Tagged<'v> {
    tag: &'v str,
    dict: &'v Dict,
}

// === impl ValueDeserializer ===

impl<'v> ValueDeserializer<'v> {
    fn wrong_type<T>(self, visitor: &impl Visitor<'v>) -> Result<T> {
        let expected = (visitor as &dyn serde::de::Expected).to_string();
        Err(Error::from(Kind::InvalidType(self.0.to_actual(), expected)))
    }

    fn text(self) -> Option<&'v str> {
        self.0.as_str()
    }
}

macro_rules! numbers {
    ($($method:ident => $visit:ident: $number:ty),*) => {$(
        fn $method<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value> {
            match self.text().map(str::parse::<$number>) {
                Some(Ok(number)) => visitor.$visit(number),
                _ => self.wrong_type(&visitor),
            }
        }
    )*};
}

impl<'v> Deserializer<'v> for ValueDeserializer<'v> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value> {
        match self.0 {
            Value::String(_, text) => visitor.visit_borrowed_str(text),
            Value::Dict(_, dict) => visitor.visit_map(Entries::of(dict, None)),
            Value::Array(_, list) => visitor.visit_seq(Elements(list.iter().enumerate())),
            Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => {
                self.wrong_type(&visitor)
            }
        }
    }

    fn deserialize_bool<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value> {
        match self.text() {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            _ => self.wrong_type(&visitor),
        }
    }

    numbers! {
        deserialize_u8 => visit_u8: u8, deserialize_u16 => visit_u16: u16,
        deserialize_u32 => visit_u32: u32, deserialize_u64 => visit_u64: u64,
        deserialize_i8 => visit_i8: i8, deserialize_i16 => visit_i16: i16,
        deserialize_i32 => visit_i32: i32, deserialize_i64 => visit_i64: i64,
        deserialize_f32 => visit_f32: f32, deserialize_f64 => visit_f64: f64
    }

    fn deserialize_str<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value> {
        match self.text() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => self.wrong_type(&visitor),
        }
    }

    fn deserialize_string<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value> {
        match self.0.as_array() {
            Some(list) => visitor.visit_seq(Elements(list.iter().enumerate())),
            None => self.wrong_type(&visitor),
        }
    }

    fn deserialize_map<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value> {
        match self.0.as_dict() {
            Some(dict) => visitor.visit_map(Entries::of(dict, None)),
            None => self.wrong_type(&visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if let Some(text) = self.text() {
            return visitor.visit_enum(text.into_deserializer());
        }
        let Some(dict) = self.0.as_dict() else { return self.wrong_type(&visitor) };
        let Some(tag) = dict.get(TAG) else { return Err(Kind::MissingField(TAG.into()).into()) };
        match tag.as_str() {
            Some(tag) => visitor.visit_enum(Tagged { tag, dict }),
            None => {
                let kind = Kind::InvalidType(tag.to_actual(), "a string".to_owned());
                Err(prefixed(kind.into(), TAG))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'v>>
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

fn prefixed(mut error: Error, key: &str) -> Error {
    error.path.insert(0, key.to_owned());
    error
}

// === impl Entries ===

impl<'v> Entries<'v> {
    fn of(dict: &'v Dict, skip: Option<&'static str>) -> Self {
        Self { iter: dict.iter(), skip, entry: None }
    }
}

impl<'v> MapAccess<'v> for Entries<'v> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'v>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let skip = self.skip;
        let Some((key, value)) = self.iter.find(|(key, _)| Some(key.as_str()) != skip) else {
            return Ok(None);
        };
        self.entry = Some((key, value));
        let key_deserializer: StrDeserializer<'_, Error> = key.as_str().into_deserializer();
        seed.deserialize(key_deserializer).map(Some).map_err(|e| prefixed(e, key))
    }

    fn next_value_seed<V: DeserializeSeed<'v>>(&mut self, seed: V) -> Result<V::Value> {
        let (key, value) = self.entry.take().expect("serde asks for a key before its value");
        seed.deserialize(ValueDeserializer(value)).map_err(|e| prefixed(e, key))
    }
}

// === impl Elements ===

impl<'v> SeqAccess<'v> for Elements<'v> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some((n, value)) = self.0.next() else { return Ok(None) };
        let element = seed.deserialize(ValueDeserializer(value));
        element.map(Some).map_err(|e| prefixed(e, &n.to_string()))
    }
}

// === impl Tagged ===

impl<'v> EnumAccess<'v> for Tagged<'v> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'v>>(self, seed: S) -> Result<(S::Value, Self)> {
        let tag: StrDeserializer<'_, Error> = self.tag.into_deserializer();
        let variant = seed.deserialize(tag).map_err(|e| prefixed(e, TAG))?;
        Ok((variant, self))
    }
}

impl<'v> VariantAccess<'v> for Tagged<'v> {
    type Error = Error;

    fn newtype_variant_seed<S: DeserializeSeed<'v>>(self, seed: S) -> Result<S::Value> {
        seed.deserialize(MapAccessDeserializer::new(Entries::of(self.dict, Some(TAG))))
    }

    fn unit_variant(self) -> Result<()> {
        Err(Error::invalid_type(Unexpected::Map, &"a string"))
    }

    fn tuple_variant<V: Visitor<'v>>(self, _: usize, visitor: V) -> Result<V::Value> {
        Err(Kind::InvalidType(Actual::Map, (&visitor as &dyn serde::de::Expected).to_string())
            .into())
    }

    fn struct_variant<V: Visitor<'v>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_map(Entries::of(self.dict, Some(TAG)))
    }
}
